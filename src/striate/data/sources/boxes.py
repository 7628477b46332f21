"""Files that give boxes or outlines for the images beside them: known by what they hold, whatever their folder."""

import codecs
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .masks import spread

HEAD_BYTES, TAIL_BYTES = 4 << 20, 256 << 10
NUM_PROBED, MAX_LISTS = 8, 20
MIN_SHARE = 0.1  # of the images: so many have a file of their own


@dataclass(frozen=True)
class Annotation:
    """A file that says where things are in images, its format, and the names it gives to them, as far as it does."""

    format: str
    file: str
    labels: frozenset[str] = frozenset()


def _is_yolo(text: str) -> bool:
    """Whether every line is a class number and boxes or outlines in 0..1."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    return bool(rows) and all(
        len(row) >= 4 and row[0].isdigit() and all(_is_number(cell) and -0.5 <= float(cell) <= 1.5 for cell in row[1:])
        for row in rows[:50]
    )


def _is_kitti(text: str) -> bool:
    rows = [line.split() for line in text.splitlines() if line.strip()]
    return bool(rows) and all(len(row) >= 15 and all(map(_is_number, row[1:15])) for row in rows[:50])


def _is_dota(text: str) -> bool:
    rows = [line.split() for line in text.splitlines() if line.strip() and ":" not in line]
    return bool(rows) and all(len(row) in {9, 10} and all(map(_is_number, row[:8])) for row in rows[:50])


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"[-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?", cell))


def _holds(*patterns: str) -> Callable[[str], bool]:
    """Return a test for texts that hold all of some patterns."""
    return lambda text: all(re.search(pattern, text) for pattern in patterns)


# a file for each image: the format, and its test
BESIDE: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("Pascal VOC", _holds(r"<(?:\w+:)?annotation\b", r"<(?:\w+:)?(?:bndbox|polygon|filename|size)\b")),
    ("LabelMe", _holds(r'"shapes"\s*:', r'"imagePath"\s*:|"points"\s*:')),
    ("Supervisely", _holds(r'"objects"\s*:', r'"classTitle"\s*:')),
    ("Pascal", _holds(r"Bounding box for object")),
    ("YOLO", _is_yolo),
    ("KITTI", _is_kitti),
    ("DOTA", _is_dota),
)
# a file for all images
LISTS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("COCO", _holds(r'"annotations"\s*:', r'"(?:bbox|segmentation|keypoints)"\s*:', r'"image_id"\s*:')),
    ("COCO captions", _holds(r'"annotations"\s*:', r'"caption"\s*:', r'"image_id"\s*:')),
    ("VIA", _holds(r"(?:region_)?shape_attributes")),
    ("CVAT", _holds(r"<annotations>", r"<image\b", r"<(?:box|polygon|mask|polyline|points)\b")),
    ("table", lambda text: {"xmin", "xmax"} <= set(re.split(r"[,;\t]", text.partition("\n")[0].strip().lower()))),
)
LIST_SUFFIXES = {".json", ".xml", ".csv", ".tsv"}


def find_beside(root: Path, images: Sequence[str], others: Sequence[str]) -> Annotation | None:
    """Return a file of boxes that is named like an image, or None; enough images must have one."""
    paths = [PurePosixPath(name.casefold()) for name in images]
    stems = {path.stem for path in paths} | {path.name for path in paths}
    beside: dict[str, list[str]] = {}
    for name in others:
        path = PurePosixPath(name.casefold())
        if path.stem in stems or path.name in stems:
            beside.setdefault(path.suffix, []).append(name)
    for names in beside.values():
        if len(names) < max(1, MIN_SHARE * len(stems) / 2):
            continue
        texts = {name: text for name in spread(names, NUM_PROBED) if (text := _text(root / name)).strip()}
        for kind, is_of_kind in BESIDE:
            fitting = [name for name, text in texts.items() if is_of_kind(text)]
            if fitting and 2 * len(fitting) >= len(texts):
                return Annotation(kind, fitting[0])
    inside = [name for name in others if name.casefold().endswith(".xml")] if ".xml" not in beside else []
    named = (name for name in spread(inside, NUM_PROBED) if image_named_in(root / name) in stems)
    return next((Annotation("Pascal VOC", name) for name in named), None)


def image_named_in(path: Path) -> str:
    """Return the name of the image, small and without suffix, that an annotation of Pascal VOC gives; "" for none."""
    text = _text(path)
    found = re.search(r"<filename>([^<]+)</filename>", text) if BESIDE[0][1](text) else None
    return PurePosixPath(found[1].strip().replace("\\", "/").casefold()).stem if found else ""


def find_list(root: Path, others: Sequence[str]) -> Annotation | None:
    """Return a file of boxes for many images, or None."""
    lists = [name for name in others if PurePosixPath(name).suffix.lower() in LIST_SUFFIXES]
    for name in sorted(lists, key=lambda name: name.count("/"))[:MAX_LISTS]:
        text = _text(root / name)
        for kind, is_of_kind in LISTS:
            if is_of_kind(text):
                return Annotation(kind, name, _labels(text))
    return None


def is_coco(path: Path) -> bool:
    """Return whether a file is a COCO list of boxes, outlines or key points."""
    return LISTS[0][1](_text(path))


def is_labelme(path: Path) -> bool:
    """Return whether a file holds LabelMe's shapes of one image."""
    return BESIDE[1][1](_text(path))


def _labels(text: str) -> frozenset[str]:
    """Return the names of the categories in a JSON file, in small letters."""
    found = re.findall(r'"name"\s*:\s*("(?:[^"\\]|\\.)*")', text)
    return frozenset(str(json.loads(name)).casefold() for name in found)


def _text(path: Path) -> str:
    """Return the beginning of a text file and, of a large one, its end; "" where it is none or cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(HEAD_BYTES)
            if len(data) == HEAD_BYTES:
                file.seek(max(HEAD_BYTES, path.stat().st_size - TAIL_BYTES))
                data += b"\n" + file.read(TAIL_BYTES)
    except OSError:
        return ""
    if data[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
        return data.decode("utf-16", "replace")
    return "" if b"\0" in data[:512] else data.decode("utf-8", "replace")
