"""One annotation file of Pascal VOC: the things in an image, with their boxes."""

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from striate.base.errors import DataError
from striate.base.text import shown

MAX_BYTES = 1 << 22
SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class Thing:
    """One thing: its class, its box in pixels from the outer corner (xyxy), and whether it is hard to make out."""

    name: str
    xyxy: tuple[float, float, float, float]
    is_difficult: bool


def read_things(path: Path) -> list[Thing]:
    """Return the things of an annotation file, none where it has none.

    Stored pixels count from 1 and the last one belongs to the box, so that a box of one pixel is (0, 0, 1, 1) here.

    Raises:
        DataError: it cannot be read, declares entities, or a thing has no name or no box of numbers.
    """
    things = []
    for thing in _root(path).iter("object"):
        name, box = (thing.findtext("name") or "").strip(), thing.find("bndbox")
        texts = {side: (box.findtext(side) or "").strip() if box is not None else "" for side in SIDES}
        wrong = next((side for side in SIDES if not re.fullmatch(r"-?\d+(?:\.\d*)?", texts[side])), None)
        if not name or wrong:
            what = f"{shown(name, 40) or 'a thing'} has no {f'number {wrong}' if name else 'name'}"
            raise DataError(what, where=path, fix="mend the file, or remove the object")
        left, top, right, bottom = (float(texts[side]) for side in SIDES)
        is_difficult = (thing.findtext("difficult") or "0").strip() == "1"
        things.append(Thing(name, (left - 1, top - 1, right, bottom), is_difficult))
    return things


def _root(path: Path) -> ElementTree.Element:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise DataError(f"cannot be read ({problem.strerror})", where=path, fix="restore it") from problem
    if len(content) > MAX_BYTES or re.search(rb"<!(?:DOCTYPE|ENTITY)", content, re.IGNORECASE):
        what = "declares entities" if len(content) <= MAX_BYTES else f"has more than {MAX_BYTES >> 20} MB"
        raise DataError(f"the annotation {what}", where=path, fix="remove it: annotations are short and plain")
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as problem:
        raise DataError(f"no XML ({str(problem)[:60]})", where=path, fix="mend or remove the file") from problem
