"""How well class maps follow the edges of the truth: boundary F1, and IoU near boundaries and away from them.

Maps are (H, W), or (D, H, W) of volumes: then a boundary voxel has another class beside it along any of the axes.

A boundary pixel of a class has a pixel of another class to the left, right, above or below; the image's edge is no
boundary, and neither is the edge of pixels whose truth is 255. The tolerance is 0.75 % of the image's diagonal, rounded
up to whole pixels (2 of 128 x 128, 3 of 240 x 180), distances are Euclidean. N images, K classes.

Reference: Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013; Perazzi et al.,
"A benchmark dataset and evaluation methodology for video object segmentation" (DAVIS), CVPR 2016, for the tolerance.
"""

import math
from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np
import numpy.typing as npt

from .iou import IGNORED, intersection_and_union, of_counts, pixel_counts
from .metric import SHARE, Answers, Array, Floats, Metric
from .ratios import contribution, mean_ratio

TOLERANCE = 0.0075  # of the diagonal
WORDS = (8, 16, 32, 64)  # classes in one number a pixel
Marks = npt.NDArray[np.bool_]


def tolerance_px(size_hw: tuple[int, ...]) -> int:
    """Return within how many pixels boundaries meet in an image of this size.

    Example:
        >>> tolerance_px((128, 128)), tolerance_px((180, 240)), tolerance_px((375, 500))
        (2, 3, 5)
    """
    return math.ceil(TOLERANCE * math.hypot(*size_hw))


def boundary_pixels(labels: Array) -> Marks:
    """Return which pixels of a map (H, W) have another class beside them; 255 is none.

    Example:
        >>> boundary_pixels(np.array([[0, 0, 1, 1, 255]])).astype(int).tolist()
        [[0, 1, 1, 0, 0]]
    """
    known, found = labels != IGNORED, np.zeros(labels.shape, dtype=bool)
    for axis in range(labels.ndim):
        before, after = ((slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None)))
        differ = (labels[before] != labels[after]) & known[before] & known[after]
        found[before] |= differ
        found[after] |= differ
    return found


def dilated(marks: Array, radius_px: int) -> Array:
    """Return the bitwise or of all of `marks` (H, W) or (D, H, W) within a distance of each pixel.

    Example:
        >>> dilated(np.array([[0, 0, 4, 0], [1, 0, 0, 0]], np.uint8), 1).tolist()
        [[1, 4, 4, 4], [1, 1, 4, 0]]
    """
    if marks.ndim == 3:
        return _dilated_in_space(marks, radius_px)
    found, across = marks.copy(), marks.copy()
    reach = [math.isqrt(radius_px**2 - down**2) for down in range(radius_px + 1)]
    for right in range(radius_px + 1):  # `across` has all that is at most `right` to the left or right
        if 0 < right < marks.shape[1]:
            across[:, right:] |= marks[:, :-right]
            across[:, :-right] |= marks[:, right:]
        for down in (down for down, most in enumerate(reach) if most == right and down < marks.shape[0]):
            found[down:] |= across[: len(marks) - down]
            found[: len(marks) - down] |= across[down:]
    return found


def _dilated_in_space(marks: Array, radius_px: int) -> Array:
    """The same of a volume: of each slice those of the slices around it, the nearer the wider."""
    found = np.zeros_like(marks)
    for away in range(min(radius_px, len(marks) - 1) + 1):
        wide = np.stack([dilated(one, math.isqrt(radius_px**2 - away**2)) for one in marks])
        found[: len(marks) - away] |= wide[away:]
        found[away:] |= wide[: len(marks) - away]
    return found


def boundary_f1_of(truth: Array, predicted: Array, num_classes: int) -> list[float | None]:
    """Return the boundary F1 of each class of one image; None of a class without boundaries in either map.

    Precision is the share of predicted boundary pixels that have a true one of their class within the tolerance, recall
    the share of true ones that have a predicted one.

    Args:
        truth, predicted: (H, W) class indices; `truth` 255 where it is not known.
    """
    predicted = np.where(truth == IGNORED, IGNORED, predicted)
    (num_true, hit), (num_given, right) = _met(truth, predicted, num_classes), _met(predicted, truth, num_classes)
    found: list[float | None] = []
    for true, recalled, given, precise in zip(num_true, hit, num_given, right, strict=True):
        recall, precision = recalled / max(1, true), precise / max(1, given)
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        found.append(f1 if true + given else None)
    return found


def _met(labels: Array, others: Array, num_classes: int) -> tuple[list[int], list[int]]:
    """How many boundary pixels each class has in one map, and how many of them are met by the same class in another."""
    at, radius_px = np.flatnonzero(boundary_pixels(labels)), tolerance_px(labels.shape)
    other_at = np.flatnonzero(boundary_pixels(others))
    own, other = labels.ravel()[at].astype(np.int64), others.ravel()[other_at].astype(np.int64)
    is_met, word = np.zeros(len(own), dtype=bool), next(word for word in WORDS if num_classes <= word or word == 64)
    for first in range(0, num_classes, word):  # a bit a class: one pass for all of them
        bits, inside = np.zeros(labels.shape, f"uint{word}"), (other >= first) & (other < first + word)
        one = bits.dtype.type(1)
        bits.ravel()[other_at[inside]] = one << (other[inside] - first).astype(bits.dtype)
        here = (own >= first) & (own < first + word)
        near = dilated(bits, radius_px).ravel()[at[here]]
        is_met[here] = (near >> (own[here] - first).astype(bits.dtype)) & one
    total, met = (np.bincount(some, minlength=num_classes).tolist() for some in (own, own[is_met]))
    return total, met


def _pairs(answers: Answers) -> Iterator[tuple[Array, Array]]:
    for truth, predicted in zip(answers.truth, answers.values, strict=True):
        yield np.asarray(truth), np.asarray(predicted)


def _record_f1(answers: Answers, num_classes: int) -> Array:
    """(N, 2): the mean F1 of the classes of an image, and 1; 0, 0 of one without boundaries."""
    rows = []
    for truth, predicted in _pairs(answers):
        known = [one for one in boundary_f1_of(truth, predicted, num_classes) if one is not None]
        rows.append((sum(known) / len(known), 1.0) if known else (0.0, 0.0))
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def _value_f1(records: Array, weights: Array) -> Floats:
    part, whole = (weights @ column[:, None] for column in records.T)
    return mean_ratio(part, whole)


def _contribution_f1(records: Array) -> Floats:
    return contribution(records[:, :1], records[:, 1:])


def boundary_f1(num_classes: int) -> Metric:
    """Return boundary F1: mean over the classes of an image, then over the images that have boundaries."""
    return Metric(
        "boundary_f1",
        "boundary F1",
        form="percent",
        possible=SHARE,
        record=_recorder(_record_f1, num_classes),
        value=_value_f1,
        closed=_contribution_f1,
        stream="boundaries",
    )


def _record_band(answers: Answers, num_classes: int) -> Array:
    """(N, 6 K): `pixel_counts` of the pixels near a boundary of the truth, and of the others."""
    rows = []
    for truth, predicted in _pairs(answers):
        is_near = dilated(boundary_pixels(truth), tolerance_px(truth.shape))
        parts = (np.where(where, truth, IGNORED) for where in (is_near, ~is_near))
        rows.append(np.concatenate([pixel_counts(part, predicted, num_classes) for part in parts]))
    return np.stack(rows) if rows else np.empty((0, 6 * num_classes), dtype=np.int64)


@cache
def _recorder(record: Callable[[Answers, int], Array], num_classes: int) -> Callable[[Answers], Array]:
    """One function a number of classes, so that metrics of the same records share them."""
    return lambda answers: record(answers, num_classes)


def _half(records: Array, part: int) -> Array:
    return np.split(records, 2, axis=1)[part]


def _band(key: str, name: str, num_classes: int, part: int) -> Metric:
    record = _recorder(_record_band, num_classes)
    return of_counts(key, name, intersection_and_union, record, "boundary_counts", partial(_half, part=part))


def boundary_iou(num_classes: int) -> Metric:
    """Return mean IoU of the pixels within the tolerance of a boundary of the truth."""
    return _band("boundary_iou", "mean IoU at boundaries", num_classes, 0)


def interior_iou(num_classes: int) -> Metric:
    """Return mean IoU of the pixels further away from boundaries."""
    return _band("interior_iou", "mean IoU inside", num_classes, 1)
