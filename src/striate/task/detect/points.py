"""Where the key points of predicted and true objects lie in the images themselves, as texts of lists in JSON."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.text import listed
from striate.data.geometry import WayBack
from striate.data.target import Boxes

DIGITS = 3  # of a place in pixels, of a score, and of an area
Texts = npt.NDArray[np.object_]


def triples(numbers: npt.NDArray[np.floating]) -> tuple[tuple[float, ...], ...]:
    """Return the numbers (3 K,) of an object's points as x, y and score of each."""
    return tuple(map(tuple, np.asarray(numbers, np.float64).reshape(-1, 3).tolist()))


def texts(values: npt.NDArray[np.float32], ways: Sequence[WayBack]) -> Texts:
    """Return a text an image (N,): of each of its objects x, y and score of all points, in the image's own pixels.

    Args:
        values: (N, M, 6 + 3 K) class, score, box, and its points in the network's view; nan where none is.
    """
    found = []
    for rows, way in zip(values, ways, strict=True):
        points = rows[~np.isnan(rows[:, 0]), 6:].astype(np.float64).reshape(-1, (rows.shape[1] - 6) // 3, 3)
        points[..., :2] = way.inner_points(points[..., :2])
        found.append(points.reshape(len(points), 3 * points.shape[1]))
    return _array(found)


def true_texts(boxes: Boxes, indices: npt.NDArray[np.intp], names: Sequence[str]) -> Texts:
    """Return a text an image (N,): of each of its true objects its area, and x, y and visibility of all points.

    The area is what the object covers where the data know it, else that of its box. Texts are None where points are
    not known.

    Raises:
        DataError: the points are others than `names`.
    """
    some = boxes.take(indices)
    if some.points is None:
        return np.full(len(indices), None, object)
    if some.points.names != tuple(names):
        what = f"the key points are {listed(some.points.names)}, and the run's are {listed(names)}"
        raise DataError(what, fix="choose data whose points have the run's names, in their order")
    sides = some.xyxy[:, 2:].astype(np.float64) - some.xyxy[:, :2]
    areas = np.array([extent.mask().sum() for extent in some.extents]) if some.extents else sides.prod(1)
    points = np.concatenate([some.points.xy, some.points.visible[..., None]], 2)
    points = points.reshape(len(areas), 3 * len(names))
    return _array(np.split(np.column_stack([areas, points]), some.starts[1:-1]))


def _array(parts: Sequence[npt.NDArray[Any]]) -> Texts:
    return np.array([json.dumps(np.round(rows.astype(np.float64), DIGITS).tolist()) for rows in parts], object)
