"""LabelMe's polygons, rectangles and circles as objects: the box around each, and what it covers."""

import numpy as np

from ..sample import Dataset
from ..target.extent import Extent, Points
from .boxed import Boxed, Collection, Thing, dataset_of
from .labelme_masks import BACKGROUNDS, areas_of, is_ignored, read_documents, size_of
from .mask_pairs import split_of
from .walk import Walk


def read(walk: Walk, where: str) -> Dataset | None:
    """Return the dataset of the objects that LabelMe's files beside the images outline; None where there are none.

    Shapes of one label with the same `group_id` are parts of one object. Background and `__ignore__` are no objects.

    Raises:
        DataError: a file cannot be read, or a shape has no label or no points of its kind.
    """
    images = []
    for name, (path, document) in read_documents(walk).items():
        size_hw = size_of(document, path)
        parts: dict[tuple[str, object], list[tuple[int, Points]]] = {}
        for number, label, polygon, shape in areas_of(document, path):
            if label not in BACKGROUNDS and not is_ignored(label):
                group = shape.get("group_id")
                key = (label, number if group is None else f"group {group}")
                parts.setdefault(key, []).append((number, polygon))
        things = [_thing(label, some, size_hw) for (label, _), some in parts.items()]
        images.append(Boxed(name, split_of(name), tuple(things), size_hw))
    return dataset_of(walk, where, Collection(images, "LabelMe", "shape {}")) if images else None


def _thing(label: str, parts: list[tuple[int, Points]], size_hw: tuple[int, int]) -> Thing:
    polygons = tuple(polygon for _, polygon in parts)
    points = np.concatenate(polygons)
    (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
    return Thing(label, (left, top, right, bottom), number=parts[0][0], extent=Extent(size_hw, polygons))
