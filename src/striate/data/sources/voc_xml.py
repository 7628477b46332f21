"""One annotation file of Pascal VOC: the things in an image, with their boxes."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

from striate.base.errors import DataError
from striate.base.text import shown

from .boxed import Thing
from .kinds import number as number_in

MAX_BYTES = 1 << 22
SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class Annotated:
    """What a file says of its image: the things, their boxes as written, and the size, None where it says none."""

    things: tuple[Thing, ...]
    size_hw: tuple[int, int] | None = None


def read_annotation(path: Path) -> Annotated:
    """Return what an annotation file says, with its boxes as it writes them: numbers of pixels, the last one included.

    Raises:
        DataError: it cannot be read, declares entities, or a thing has no name or no box of numbers.
    """
    root = _root(path)
    things = tuple(_thing(path, number, thing) for number, thing in enumerate(root.iter("object"), 1))
    sides = [root.findtext(f"size/{side}") or "" for side in ("height", "width")]
    is_known = all(side.strip().isdecimal() and int(side) > 0 for side in sides)
    return Annotated(things, (int(sides[0]), int(sides[1])) if is_known else None)


def read_things(path: Path) -> list[Thing]:
    """Return the things of an annotation file, none where it has none.

    Stored pixels count from 1 and the last one belongs to the box, so that a box of one pixel is (0, 0, 1, 1) here.

    Raises:
        DataError: see `read_annotation`.
    """
    return [from_first_pixel(thing, 1) for thing in read_annotation(path).things]


def from_first_pixel(thing: Thing, first: int) -> Thing:
    """Return a thing whose box counts pixels, the first called `first`, with places from the outer corner."""
    left, top, right, bottom = thing.xyxy
    return replace(thing, xyxy=(left - first, top - first, right, bottom))


def _thing(path: Path, number: int, thing: ElementTree.Element) -> Thing:
    name, box = (thing.findtext("name") or "").strip(), thing.find("bndbox")
    texts = {side: (box.findtext(side) or "").strip() if box is not None else "" for side in SIDES}
    wrong = next((side for side in SIDES if number_in(texts[side]) is None), None)
    if not name or wrong:
        what = f"{shown(name, 40) or 'a thing'} has no {f'number {wrong}' if name else 'name'} (object {number})"
        raise DataError(what, where=path, fix="mend the file, or remove the object")
    left, top, right, bottom = (float(texts[side]) for side in SIDES)
    is_difficult = (thing.findtext("difficult") or "0").strip() == "1"
    return Thing(name, (left, top, right, bottom), is_difficult, number=number)


def _root(path: Path) -> ElementTree.Element:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise DataError(f"cannot be read ({problem.strerror})", where=path, fix="restore it") from problem
    plain = content.replace(b"\0", b"")  # of UTF-16
    if len(content) > MAX_BYTES or re.search(rb"<!(?:DOCTYPE|ENTITY)", plain, re.IGNORECASE):
        what = "declares entities" if len(content) <= MAX_BYTES else f"has more than {MAX_BYTES >> 20} MB"
        raise DataError(f"the annotation {what}", where=path, fix="remove it: annotations are short and plain")
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as problem:
        raise DataError(f"no XML ({str(problem)[:60]})", where=path, fix="mend or remove the file") from problem
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # without its namespace
    return root
