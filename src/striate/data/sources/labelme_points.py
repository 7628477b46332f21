"""LabelMe's points: one set an image, named by their labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from striate.base.errors import DataError
from striate.base.text import shown

from ..target.points import SEEN
from .coco import is_number
from .labelme_masks import label_of, read_documents, size_of
from .mask_pairs import split_of
from .names import natural_key
from .point_images import ImageMarks, Marks, PointCollection
from .walk import Walk

KIND = "point"


def read(walk: Walk) -> PointCollection | None:
    """Return the images of a folder that have a LabelMe file beside them, and their points; None where none has any.

    Raises:
        DataError: a file cannot be read, a point has no label or no place, or an image has two of one label.
    """
    documents = read_documents(walk, only_areas=False)
    sets = {image: _places(document, path) for image, (path, document) in documents.items()}
    names = tuple(sorted({name for places in sets.values() for name in places}, key=natural_key))
    if not names:
        return None
    images = []
    for image, (path, document) in documents.items():
        images.append(ImageMarks(image, split_of(image), _marks(sets[image], names), size_of(document, path)))
    return PointCollection(images, names, "LabelMe")


def _marks(places: Mapping[str, tuple[float, float]], names: tuple[str, ...]) -> Marks:
    return np.array([(*places[name], SEEN) if name in places else (0, 0, 0) for name in names], np.float64)


def _places(document: Mapping[str, Any], path: Path) -> dict[str, tuple[float, float]]:
    """The place of each point of an image by its label."""
    found: dict[str, tuple[float, float]] = {}
    for number, shape in enumerate(document["shapes"], 1):
        if shape.get("shape_type") != KIND:
            continue
        name, points = label_of(path, shape), np.array(shape.get("points"), dtype=object)
        if points.shape != (1, 2) or not all(map(is_number, points.ravel())):
            raise DataError(f"shape {number} is a point without a place", where=path, fix="mark it in LabelMe again")
        if name in found:
            what = f"two points are called {shown(name, 40)!r}"
            raise DataError(what, where=path, fix="keep one, or give each its own label, such as left_eye")
        found[name] = (float(points[0, 0]), float(points[0, 1]))
    return found
