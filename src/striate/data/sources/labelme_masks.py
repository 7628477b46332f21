"""LabelMe: a JSON file of polygons, rectangles and circles beside each image, as class masks."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from striate.base.errors import DataError
from striate.base.text import shown

from ..documents import read_object
from ..sample import IGNORE, Dataset
from ..target.extent import Points, area_of
from .boxes import is_labelme
from .coco import MAX_PX
from .coco_masks import BACKGROUND, Collected, numbered, outline_dataset
from .mask_names import IGNORED
from .mask_pairs import split_of
from .names import class_list, classes_of, natural_key
from .outlines import Outline
from .walk import Reason, Walk

BACKGROUNDS = {"_background_", BACKGROUND}
AREAS = {"polygon", "rectangle", "circle"}
CIRCLE_POINTS = 64
NO_FILE = Reason("image without outlines", "images without outlines", True, "outline what they show, or remove them")
NO_IMAGE = Reason("file of outlines without image", "files of outlines without image", True, "restore their images")
NO_AREA = Reason(
    "file with lines or points",
    "files with lines or points",
    True,
    "outline areas by polygons; of points use --task points",
)


def read(walk: Walk, where: str, ignore: str | None = None) -> Dataset | None:
    """Return the dataset of LabelMe's files beside the images of a folder, None where there are none.

    Classes are "background" and the labels in natural order; `__ignore__` and void are left out of loss and scores.

    Raises:
        DataError: a file cannot be read, or a shape has no label or no points of its kind.

    Reference: Russell et al., LabelMe: a database and web-based tool for image annotation (2008).
    """
    documents = read_documents(walk)
    if not documents:
        return None
    labels = {label_of(path, shape) for path, one in documents.values() for shape in one["shapes"]}
    first = next(iter(documents.values()))[0]
    names = _classes(sorted(labels), ignore, first)
    found = Collected()
    for image, (path, document) in documents.items():
        found.names.append(image)
        found.sizes_hw.append(size_of(document, path))
        found.outlines.append(_outlines(document, names, path, found.flat))
        found.splits.append(split_of(image))
    return outline_dataset(walk, where, found, names, None, "LabelMe JSON", first)


def read_documents(walk: Walk, *, only_areas: bool = True) -> dict[str, tuple[Path, Mapping[str, Any]]]:
    """Return of each image that has one its LabelMe file and what it holds; none where folders are classes.

    Args:
        only_areas: files with lines or points are counted among what is left out.

    Raises:
        DataError: a file cannot be read.
    """
    files = [name for name in walk.others() if name.lower().endswith(".json") and is_labelme(walk.root / name)]
    folders = {folder: names for folder, names in walk.tree().items() if names}
    images = sorted((name for names in folders.values() for name in names), key=natural_key)
    by_stem = {_stem(name): name for name in images}
    pairs = {by_stem[_stem(name)]: name for name in files if _stem(name) in by_stem}
    if not pairs or len(classes_of(folders)) > 1:
        return {}
    walk.use(*files)
    lost = [name for name in files if _stem(name) not in by_stem]
    for reason, some in ((NO_FILE, [name for name in images if name not in pairs]), (NO_IMAGE, lost)):
        if some:
            walk.leave_out(reason, *some)
    documents = {image: _document(walk.root / pairs[image]) for image in images if image in pairs}
    for image, document in documents.items():
        if only_areas and any(shape.get("shape_type", "polygon") not in AREAS for shape in document["shapes"]):
            walk.leave_out(NO_AREA, pairs[image])
    return {image: (walk.root / pairs[image], document) for image, document in documents.items()}


def areas_of(document: Mapping[str, Any], path: Path) -> Iterator[tuple[int, str, Points, Mapping[str, Any]]]:
    """Yield of each shape that has an area its number from 1 on, its label, its polygon (P, 2), and itself.

    Raises:
        DataError: a shape has no label or no points of its kind.
    """
    for number, shape in enumerate(document["shapes"], 1):
        if shape.get("shape_type", "polygon") in AREAS:
            yield number, label_of(path, shape), _polygon(shape, number, path), shape


def _stem(name: str) -> str:
    """A file's path without suffix; outlines and images may lie in folders of their own, of the same names inside."""
    return PurePosixPath(name).stem


def _document(path: Path) -> Mapping[str, Any]:
    document: Mapping[str, Any] = read_object(path, "outlines")
    shapes = document.get("shapes")
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise DataError("no list 'shapes'", where=path, fix="save it with LabelMe again")
    return document


def label_of(path: Path, shape: Mapping[str, Any]) -> str:
    """Return what a shape is called.

    Raises:
        DataError: it has no label.
    """
    label = shape.get("label")
    if not isinstance(label, str) or not label.strip():
        raise DataError("a shape without label", where=path, fix="name it in LabelMe")
    return label.strip()


def _classes(labels: Sequence[str], ignore: str | None, where: Path) -> dict[str, int]:
    """Return the class of each label, background 0."""
    things = class_list((label for label in labels if label not in BACKGROUNDS), where)
    quiet = [label for label in things if is_ignored(label)]
    names = numbered([BACKGROUND, *things], ",".join([*(ignore or "").split(","), *quiet]), where)
    return names | {label: names[BACKGROUND] for label in labels if label in BACKGROUNDS}


def is_ignored(label: str) -> bool:
    """Return whether a label says that nobody knows, such as `__ignore__`."""
    return IGNORED.fullmatch(label.strip("_")) is not None


def size_of(document: Mapping[str, Any], path: Path) -> tuple[int, int]:
    """Return height and width of the image that shapes were drawn on.

    Raises:
        DataError: they are not there.
    """
    height, width = document.get("imageHeight"), document.get("imageWidth")
    if not isinstance(height, int) or not isinstance(width, int) or min(height, width) < 1:
        raise DataError("no imageHeight and imageWidth", where=path, fix="save it with LabelMe again")
    return height, width


def _outlines(document: Mapping[str, Any], names: dict[str, int], path: Path, flat: list[str]) -> list[Outline]:
    found = []
    for number, label, polygon, _ in areas_of(document, path):
        if area_of(polygon) > 0:
            found.append(Outline(names.get(label, IGNORE), area_of(polygon), (polygon,)))
        else:
            flat.append(f"shape {number} of {path.name}")
    return found


def _polygon(shape: Mapping[str, Any], number: int, path: Path) -> Points:
    kind = shape.get("shape_type", "polygon")
    try:
        points = np.array(shape.get("points"), np.float64).reshape(-1, 2)
    except (ValueError, TypeError, OverflowError):
        points = np.zeros((0, 2))
    is_far = not (np.abs(points) <= MAX_PX).all()  # nan is too
    if len(points) < (3 if kind == "polygon" else 2) or is_far:
        why = "a place that is no pixel" if is_far else f"{len(points)} points"
        what = f"shape {number} ({shown(shape.get('label'), 30)}) is no {kind}: it has {why}"
        raise DataError(what, where=path, fix="draw it again, or remove it")
    if kind == "polygon":
        return points
    if kind == "rectangle":
        (left, top), (right, bottom) = points.min(0), points.max(0)
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    turn = np.arange(CIRCLE_POINTS) * (2 * np.pi / CIRCLE_POINTS)
    radius = float(np.hypot(*(points[1] - points[0])))
    return np.asarray(points[0] + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1), np.float64)
