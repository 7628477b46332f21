"""Which predicted key points find an object: as `box_matches`, with object key point similarity in place of overlap.

Of an object with marked points the similarity (OKS) is the mean over these of exp(-d^2 / (2 area (2 sigma)^2)), d how
far the predicted point is off, sigma how far people are who mark it, as a share of the root of the area. An object
without marked points is not counted, as a crowd is not; of such a d is how far a point lies beyond its box at thrice
its sides. Of each class the 20 surest detections of an image count.

Answers hold the points in records: of each image (N,) one text, a list in JSON with a row an object in the order of
their rows: of predicted ones x, y and score of each point, of true ones the area in pixels, then x, y and visibility of
each point (0 not marked, 1 marked but covered, 2 seen); None where points are not known.

Reference: Ronchi and Perona, "Benchmarking and error diagnosis in multi-instance pose estimation", ICCV 2017, and the
evaluation code of COCO.
"""

import json
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from .box_matches import Measures, Recorder, by_score, rows_of
from .metric import Answers, Array, Floats

TRUE_POINTS, POINTS = "true_points", "points"
MOST = 20  # detections of a class and image
SIGMA = 0.05  # about the mean of COCO's, where it gives none
COCO_SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062, "hip": 0.107,
    "knee": 0.087, "ankle": 0.089,
}  # fmt: skip
COCO_NAMES = ("nose", *(f"{side}_{part}" for part in list(COCO_SIGMAS)[1:] for side in ("left", "right")))


def sigmas_of(names: Sequence[str]) -> tuple[float, ...]:
    """Return sigma of each point: COCO's of its 17, else 0.05 of all.

    Example:
        >>> sigmas_of(("beak", "tail")), sigmas_of(COCO_NAMES)[:3]
        ((0.05, 0.05), (0.026, 0.025, 0.025))
    """
    if tuple(names) == COCO_NAMES:
        return tuple(COCO_SIGMAS[name.split("_")[-1]] for name in names)
    return (SIGMA,) * len(names)


def similarities(true: Floats, given: Floats, areas: Floats, boxes: Floats, sigmas: Sequence[float]) -> Floats:
    """Return the OKS (M, T) of predicted points with objects.

    Args:
        true: (T, K, 3) x, y and visibility.
        given: (M, K, 2).
        areas: (T,) of the objects.
        boxes: (T, 4) of the objects.

    Example:
        >>> true, given = np.array([[[0.0, 0, 2], [9, 9, 0]]]), np.array([[[3.0, 4], [0, 0]]])
        >>> similarities(true, given, np.array([100.0]), np.zeros((1, 4)), (0.5, 0.5)).round(3).tolist()
        [[0.882]]
    """
    is_marked = true[..., 2] > 0
    off = given[:, None] - true[None, ..., :2]
    low, sides = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2]
    places = given[:, None]
    beyond = np.maximum(0, low - sides - places) + np.maximum(0, places - (low + 2 * sides))
    has_any = np.asarray(is_marked.any(1))
    squares = np.where(has_any[:, None, None], off, beyond) ** 2
    spread = 2 * np.square(2 * np.asarray(sigmas)) * (areas[:, None] + np.spacing(1))
    likeness = np.exp(-squares.sum(-1) / spread)
    weight = np.where(has_any[:, None], is_marked, 1.0)
    return np.asarray((likeness * weight).sum(-1) / weight.sum(-1))


@cache
def point_recorder(num_classes: int, sigmas: tuple[float, ...]) -> Recorder:
    """Return the function that makes records as those of boxes; nothing is there where points are not known."""

    def record(answers: Answers) -> Array:
        truth, values = answers.truth.astype(np.float64), answers.values.astype(np.float64)
        unknown = np.full(len(truth), None)
        given, true = (answers.records.get(name, unknown) for name in (POINTS, TRUE_POINTS))
        (num, most), most_true = values.shape[:2], truth.shape[1]
        made = Measures(np.zeros((num, most, most_true)), np.zeros((num, most)), np.zeros((num, most_true)))
        for index in range(num):
            if given[index] is None or true[index] is None:
                truth[index], values[index] = np.nan, np.nan
            else:
                _measure(made, index, given[index], true[index], truth[index], sigmas)
        values[_is_beyond(values)] = np.nan
        return rows_of(truth, values, made, num_classes)

    return record


def _measure(made: Measures, index: int, text: str, true_text: str, truth: Floats, sigmas: tuple[float, ...]) -> None:
    """Write what the points of an image measure; objects without marked ones become such that are not counted."""
    count = len(sigmas)
    given = np.array(json.loads(text), np.float64).reshape(-1, count, 3)
    rows = np.array(json.loads(true_text), np.float64).reshape(-1, 1 + 3 * count)
    true, areas = rows[:, 1:].reshape(-1, count, 3), rows[:, 0]
    made.true_areas[index, : len(areas)] = areas
    truth[: len(true), 6] = np.maximum(truth[: len(true), 6], (true[..., 2] <= 0).all(1))
    found = similarities(true, given[..., :2], areas, truth[: len(true), 1:5], sigmas)
    made.ious[index, : len(given), : len(true)] = found


def _is_beyond(values: Floats) -> npt.NDArray[np.bool_]:
    """(N, M) which detections come after the 20 surest of their class and image."""
    order = by_score(values)
    label = np.take_along_axis(values[..., 0], order, 1)
    place = ((label[:, :, None] == label[:, None]) & np.tri(label.shape[1], k=-1, dtype=bool)).sum(2)
    found = np.zeros(label.shape, bool)
    np.put_along_axis(found, order, place >= MOST, 1)
    return found
