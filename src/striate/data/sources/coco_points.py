"""Key points of COCO JSON: of one thing an image, the largest one that has marked points."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from striate.base.errors import DataError
from striate.base.text import plural

from ..sample import Reading
from ..target.points import HIDDEN, SEEN, UNKNOWN
from .coco import Document, Listed, documents, is_number, listed_images
from .point_images import ImageMarks, Marks, PointCollection
from .walk import Walk


def read(walk: Walk) -> PointCollection | None:
    """Return the images that the COCO files of a folder list, with the key points of one thing each; None without any.

    Whole numbers are indices of pixels, whose middle is half a pixel further from the outer corner.

    Raises:
        DataError: categories have different key points, or an annotation is not whole.
    """
    lists = documents(walk)
    lists_of_names = point_names(lists)
    if len(lists_of_names) > 1:
        what = f"the categories {' and '.join(list(lists_of_names.values())[:2])} have different key points"
        raise DataError(what, where=walk.root, fix="keep the annotations of one of them")
    names = next(iter(lists_of_names), ())
    if not names:
        return None
    listed = listed_images(walk, lists)
    sets = [_marked(image, len(names)) for image in listed]
    marks = [max(some, key=lambda one: one[0])[1] if some else np.zeros((len(names), 3)) for some in sets]
    said = index_readings(marks)
    images = [
        ImageMarks(image.name, image.split, one, image.size_hw if min(image.size_hw) > 0 else None)
        for image, one in zip(listed, in_pixels(marks), strict=True)
    ]
    return PointCollection(images, names, "COCO", (*_several(sets), *said))


def point_names(lists: Mapping[str, Document]) -> dict[tuple[str, ...], str]:
    """Return the names of the points that categories have, each list of names with the last category that has it."""
    return {
        tuple(map(str, row["keypoints"])): str(row["name"])
        for one in lists.values()
        for row in one["categories"]
        if isinstance(row.get("keypoints"), list) and row["keypoints"]
    }


def marks_of(row: Mapping[str, Any], num: int, path: Path) -> Marks:
    """Return the points (K, 3) of an annotation as it has them: x, y, visibility; 0 where it has none.

    Raises:
        DataError: they are not so many, or a visibility is not 0, 1 or 2.
    """
    numbers = row.get("keypoints") or [0] * (3 * num)
    if not isinstance(numbers, list) or len(numbers) != 3 * num or not all(map(is_number, numbers)):
        what = f"the keypoints of annotation {row.get('id')} are not {num} times x, y, visibility"
        raise DataError(what, where=path, fix="mend or remove the annotation")
    if strange := set(numbers[2::3]) - {UNKNOWN, HIDDEN, SEEN}:
        what = f"a key point of annotation {row.get('id')} has the visibility {min(strange)}"
        raise DataError(what, where=path, fix="write 0 (not marked), 1 (covered) or 2 (seen)")
    return np.array(numbers, np.float64).reshape(num, 3)


def is_index(marks: Sequence[Marks]) -> bool:
    """Return whether points (K, 3) are whole numbers where they are marked, so indices of pixels."""
    places = [place for one in marks for place in one[one[:, 2] > UNKNOWN, :2].ravel().tolist()]
    return bool(places) and all(map(float.is_integer, places))


def in_pixels(marks: Sequence[Marks]) -> list[Marks]:
    """Return points (K, 3) from the outer corner: the middle of a pixel is half a pixel further than its index."""
    shift = np.array([0.5, 0.5, 0]) if is_index(marks) else np.zeros(3)
    return [one + shift for one in marks]


def index_readings(marks: Sequence[Marks]) -> list[Reading]:
    """Return what a person should know of points (K, 3) that are indices of pixels."""
    return [Reading("key points are whole numbers: middles of pixels")] if is_index(marks) else []


def _marked(image: Listed, num: int) -> list[tuple[float, Marks]]:
    """The area and the points of each thing of an image that has a marked one; crowds have none."""
    found = []
    for _, row in image.things:
        if row.get("iscrowd"):
            continue
        marks = marks_of(row, num, image.path)
        if (marks[:, 2] > UNKNOWN).any():
            found.append((_area(row, marks), marks))
    return found


def _area(row: Mapping[str, Any], marks: Marks) -> float:
    """The area of a thing: as it stands there, else that of its box or of the hull of its points."""
    if is_number(row.get("area")):
        return float(row["area"])
    box = row.get("bbox")
    if isinstance(box, list) and len(box) == 4 and all(map(is_number, box)):
        return float(box[2] * box[3])
    return float(np.ptp(marks[marks[:, 2] > UNKNOWN, :2], axis=0).prod())


def _several(sets: list[list[tuple[float, Marks]]]) -> list[Reading]:
    several = sum(len(some) > 1 for some in sets)
    text = f"{plural(several, 'image')} with several things that have key points: the largest is taken"
    return [Reading(text)] if several else []
