"""Which detections find an object, image by image, as COCO's evaluation says it.

Answers: truth (N, T, 7) class, x0, y0, x1, y1, crowd, difficult; values (N, M, 6) class, score, x0, y0, x1, y1, by
falling score; rows of NaN are not there; pixels of the original image. N images, T objects, M detections, K classes,
L = 10 levels of IoU from 0.5 to 0.95, A = 4 ranges of area: all, small, medium, large.

From the best score down, a detection takes of the free objects of its class the one it overlaps most, if its IoU
reaches the level. What is not counted (crowds, difficult objects, objects outside the range of area) is taken only by
a detection that reaches no object that counts, which then counts as nothing; a crowd can be taken many times, and its
overlap is the share of the detection that lies in it. A detection that finds nothing is a false one, unless its own
area is outside the range.

Reference: Lin et al., "Microsoft COCO", ECCV 2014, and its evaluation code; difficult objects are Pascal VOC's.
"""

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .metric import Answers, Array, Floats

LEVELS = np.linspace(0.5, 0.95, 10)
SMALL, LARGE = 32.0**2, 96.0**2  # pixels of area, both sides belong to it
RANGES = {"all": (0.0, 1e10), "small": (0.0, SMALL), "medium": (SMALL, LARGE), "large": (LARGE, 1e10)}
FALSE, TRUE, UNCOUNTED = 0, 1, 2
NONE = -1.0  # instead of the class and the score of a detection that is not there
NUM_COLUMNS = 2 + len(RANGES)  # of a detection: class, score, and what it is at all levels, a number a range
POWERS = 3 ** np.arange(len(LEVELS))
CHUNK_IMAGES = 64

Bits = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]


class Recorder(Protocol):
    """From answers to records; one function a number of classes, so that metrics share it."""

    def __call__(self, answers: Answers, /) -> Array: ...


@cache
def recorder(num_classes: int) -> Recorder:
    """Return the function that makes records (N, 6 M + 4 K) float64 of answers.

    A record has of each detection its class, score and what it is in each range of area (ten digits of base 3: false,
    true or uncounted at each level), then how many objects of each class count in each range.
    """

    def record(answers: Answers) -> Array:
        truth, values = answers.truth.astype(np.float64), answers.values.astype(np.float64)
        steps = range(0, max(1, len(truth)), CHUNK_IMAGES)
        parts = ((truth[i : i + CHUNK_IMAGES], values[i : i + CHUNK_IMAGES]) for i in steps)
        return np.concatenate([rows_of(*part, of_boxes(*part), num_classes) for part in parts])

    return record


@dataclass(frozen=True)
class Measures:
    """How detections and objects lie to each other.

    Args:
        ious: (N, M, T), with a crowd the share of the detection inside it.
        areas: (N, M) pixels of the detections.
        true_areas: (N, T) of the objects.
    """

    ious: Floats
    areas: Floats
    true_areas: Floats


def of_boxes(truth: Floats, values: Floats) -> Measures:
    """Return the measures of the boxes."""
    return Measures(overlaps(truth, values), _areas(values[:, :, 2:6]), _areas(truth[:, :, 1:5]))


def rows_of(truth: Floats, values: Floats, measures: Measures, num_classes: int) -> Floats:
    """Return the records (N, S), see `recorder`."""
    codes, order = matches(truth, values, measures)
    kept = np.take_along_axis(values[:, :, :2], order[:, :, None], 1)
    kept = np.where(np.isnan(kept), NONE, kept)
    packed = (codes * POWERS).sum(-1)  # (N, M, A)
    is_counted = counted(truth, measures.true_areas)
    num_objects = np.zeros((len(truth), num_classes, len(RANGES)))
    image, row = np.nonzero(is_counted.any(2))
    np.add.at(num_objects, (image, truth[image, row, 0].astype(int)), is_counted[image, row])
    rows = np.concatenate([kept, packed], axis=2).reshape(len(truth), values.shape[1] * NUM_COLUMNS)
    return np.concatenate([rows, num_objects.reshape(len(truth), num_classes * len(RANGES))], axis=1)


@dataclass(frozen=True)
class Matches:
    """Records taken apart.

    Args:
        label, score: (N, M) of the detections; `label` is -1 where there is none.
        packed: (N, M, A), what each is.
        num_objects: (N, K, A).
    """

    label: npt.NDArray[np.int64]
    score: Floats
    packed: npt.NDArray[np.int64]
    num_objects: Floats

    @classmethod
    def of(cls, records: Array, num_classes: int) -> "Matches":
        """Return the matches of records (N, S)."""
        num = len(records)
        rows, objects = np.split(np.asarray(records), [records.shape[1] - num_classes * len(RANGES)], axis=1)
        rows = rows.reshape(num, rows.shape[1] // NUM_COLUMNS, NUM_COLUMNS)
        return cls(
            rows[:, :, 0].astype(np.int64),
            rows[:, :, 1],
            rows[:, :, 2:].astype(np.int64),
            objects.reshape(num, num_classes, len(RANGES)),
        )

    @property
    def num_classes(self) -> int:
        """K."""
        return int(self.num_objects.shape[1])

    def of_class(self, k: int, area: int = 0) -> "Ranked":
        """Return the detections of class `k` of all images, by falling score; equal scores stay in order."""
        image, column = np.nonzero(self.label == k)
        order = np.argsort(-self.score[image, column], kind="stable")
        image, column = image[order], column[order]
        digits = self.packed[image, column, area][:, None] // POWERS % 3
        return Ranked(image, self.score[image, column], digits.astype(np.int8))


@dataclass(frozen=True)
class Ranked:
    """D detections of one class by falling score: image (D,), score (D,), and codes (D, L)."""

    image: npt.NDArray[np.intp]
    score: Floats
    codes: Codes


def counted(truth: Floats, areas: Floats | None = None) -> Bits:
    """Return (N, T, A) whether an object counts in a range: it is there, no crowd, not difficult, of that area.

    Args:
        areas: (N, T) of the objects, by default those of their boxes.
    """
    known = ~np.isnan(truth[:, :, 0]) & ~(np.nan_to_num(truth[:, :, 5:]) > 0).any(2)
    return np.asarray(known[:, :, None] & _is_in_range(_areas(truth[:, :, 1:5]) if areas is None else areas))


def _areas(xyxy: Floats) -> Floats:
    return np.asarray(np.nan_to_num((xyxy[..., 2] - xyxy[..., 0]) * (xyxy[..., 3] - xyxy[..., 1])))


def _is_in_range(areas: Floats) -> Bits:
    low, high = np.array(list(RANGES.values())).T
    return np.asarray((areas[..., None] >= low) & (areas[..., None] <= high))


def overlaps(truth: Floats, values: Floats) -> Floats:
    """Return (N, M, T) the IoU of detections with objects; with a crowd, the share of the detection inside it."""
    true, given = np.nan_to_num(truth[:, None, :, 1:5]), np.nan_to_num(values[:, :, None, 2:6])
    sides = np.minimum(true[..., 2:], given[..., 2:]) - np.maximum(true[..., :2], given[..., :2])
    shared = np.clip(sides[..., 0], 0, None) * np.clip(sides[..., 1], 0, None)
    area = _areas(given)
    is_crowd = np.nan_to_num(truth[:, None, :, 5]) > 0
    whole = np.where(is_crowd, area, area + _areas(true) - shared)
    return np.asarray(np.divide(shared, whole, out=np.zeros_like(shared), where=(shared > 0) & (whole > 0)))


def by_score(values: Floats) -> npt.NDArray[np.intp]:
    """Return (N, M) the order of falling scores; equal ones stay in order, absent rows come last."""
    return np.argsort(-values[:, :, 1], axis=1, kind="stable")


def matches(truth: Floats, values: Floats, measures: Measures | None = None) -> tuple[Codes, npt.NDArray[np.intp]]:
    """Return what each detection is (N, M, A, L) by falling score, and that order (N, M) of the rows.

    Args:
        measures: by default those of the boxes.
    """
    measures, order = measures or of_boxes(truth, values), by_score(values)
    ious = measures.ious * (truth[:, None, :, 0] == values[:, :, None, 0])
    ious = np.take_along_axis(ious, order[:, :, None], 1)[:, :, ::-1]  # of equal overlaps COCO's last wins
    codes = np.zeros((*values.shape[:2], len(RANGES), len(LEVELS)), np.int8)
    codes[~_is_in_range(np.take_along_axis(measures.areas, order, 1))] = UNCOUNTED
    is_counted = counted(truth, measures.true_areas)[:, ::-1].transpose(0, 2, 1)
    _fill(codes, ious, is_counted, np.nan_to_num(truth[:, ::-1, 5]) > 0)
    return codes, order


def _fill(codes: Codes, ious: Floats, is_counted: Bits, is_crowd: Bits) -> None:
    """Go through the detections that reach any object, one of each image at a time."""
    limits = np.minimum(LEVELS, 1 - 1e-10)
    reaches = (ious >= limits[0]).any(2)
    turn = reaches.cumsum(1)
    free = np.ones((len(ious), len(RANGES), len(LEVELS), ious.shape[2]), dtype=bool)
    for step in range(1, int(turn.max(initial=0)) + 1):
        image, row = np.nonzero(reaches & (turn == step))
        iou = ious[image, row][:, None, None, :]
        rank = np.where(free[image] & (iou >= limits[:, None]), iou + 2 * is_counted[image][:, :, None, :], NONE)
        best = rank.argmax(3)
        value = np.take_along_axis(rank, best[..., None], 3)[..., 0]
        codes[image, row] = np.where(value >= 2, TRUE, np.where(value >= 0, UNCOUNTED, codes[image, row]))
        place, area, level = np.nonzero((value >= 0) & ~is_crowd[image[:, None, None], best])
        free[image[place], area, level, best[place, area, level]] = False
