"""Key points of COCO JSON: of one thing an image, the largest one that has marked points."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from striate.base.errors import DataError
from striate.base.text import plural

from ..sample import Reading
from ..target.points import UNKNOWN
from .coco import Document, Listed, documents, listed_images
from .point_images import ImageMarks, Marks, PointCollection
from .walk import Walk


def read(walk: Walk) -> PointCollection | None:
    """Return the images that the COCO files of a folder list, with the key points of one thing each; None without any.

    Whole numbers are indices of pixels, whose middle is half a pixel further from the outer corner.

    Raises:
        DataError: categories have different key points, or an annotation is not whole.
    """
    lists = documents(walk)
    names = _point_names(walk, lists)
    if not names:
        return None
    listed = listed_images(walk, lists)
    sets = [_marked(image, len(names)) for image in listed]
    marks = [max(some, key=lambda one: one[0])[1] if some else np.zeros((len(names), 3)) for some in sets]
    is_index = all(float(place).is_integer() for one in marks for place in one[one[:, 2] > UNKNOWN, :2].ravel())
    shift = np.array([0.5, 0.5, 0]) if is_index else np.zeros(3)
    images = [
        ImageMarks(image.name, image.split, one + shift, image.size_hw if min(image.size_hw) > 0 else None)
        for image, one in zip(listed, marks, strict=True)
    ]
    return PointCollection(images, names, "COCO", tuple(_readings(sets, is_index=is_index)))


def _point_names(walk: Walk, lists: Mapping[str, Document]) -> tuple[str, ...]:
    """The names of the points that the categories have; none where they have none."""
    found = {
        tuple(map(str, row["keypoints"])): str(row["name"])
        for one in lists.values()
        for row in one["categories"]
        if isinstance(row.get("keypoints"), list) and row["keypoints"]
    }
    if len(found) > 1:
        what = f"the categories {' and '.join(list(found.values())[:2])} have different key points"
        raise DataError(what, where=walk.root, fix="keep the annotations of one of them")
    return next(iter(found), ())


def _marked(image: Listed, num: int) -> list[tuple[float, Marks]]:
    """The area and the points of each thing of an image that has a marked one; crowds have none."""
    found = []
    for _, row in image.things:
        numbers = row.get("keypoints")
        if numbers is None or row.get("iscrowd"):
            continue
        if not isinstance(numbers, list) or len(numbers) != 3 * num or not all(map(_is_finite, numbers)):
            what = f"the keypoints of annotation {row.get('id')} are not {num} times x, y, visibility"
            raise DataError(what, where=image.path, fix="mend or remove the annotation")
        marks = np.array(numbers, np.float64).reshape(num, 3)
        if (marks[:, 2] > UNKNOWN).any():
            found.append((_area(row, marks), marks))
    return found


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))


def _area(row: Mapping[str, Any], marks: Marks) -> float:
    """The area of a thing: as it stands there, else that of its box or of the hull of its points."""
    if _is_finite(row.get("area")):
        return float(row["area"])
    box = row.get("bbox")
    if isinstance(box, list) and len(box) == 4 and all(map(_is_finite, box)):
        return float(box[2] * box[3])
    return float(np.ptp(marks[marks[:, 2] > UNKNOWN, :2], axis=0).prod())


def _readings(sets: list[list[tuple[float, Marks]]], *, is_index: bool) -> list[Reading]:
    several = sum(len(some) > 1 for some in sets)
    said = [f"{plural(several, 'image')} with several things that have key points: the largest is taken"]
    said = (said if several else []) + (["key points are whole numbers: middles of pixels"] if is_index else [])
    return [Reading(text) for text in said]
