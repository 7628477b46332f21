"""How well class maps overlap the truth: IoU, Dice, pixel accuracy, class accuracy, from counts of pixels an image.

N images, K classes. Scores are of all pixels of a split together, as in the field's benchmarks, not means over images.
A class that is neither in the truth nor in the prediction has no IoU and counts in no average; one without true pixels
has no accuracy. Pixels whose truth is 255 are left out.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.base.errors import SettingsError

from .metric import SHARE, Answers, Array, Floats, Metric
from .ratios import contribution, mean_ratio, ratio

IGNORED = 255  # a pixel whose class is not known


def pixel_counts(truth: Array, predicted: Array, num_classes: int) -> npt.NDArray[np.int64]:
    """Return (3 K,) counts of pixels of one image, a class each: right, true, predicted.

    Args:
        truth, predicted: (H, W) class indices; `truth` 255 where it is not known.

    Example:
        >>> pixel_counts(np.array([[0, 0, 1, 255]]), np.array([[0, 1, 1, 1]]), 2).tolist()
        [1, 1, 2, 1, 1, 2]

    Raises:
        SettingsError: a class is not below `num_classes`.
    """
    known = truth != IGNORED
    true, given = truth[known].astype(np.int64), predicted[known].astype(np.int64)
    beyond = max((int(labels.max()) for labels in (true, given) if labels.size), default=0)
    if beyond >= num_classes:
        what = f"a map holds class {beyond}; there are {num_classes}, from 0"
        raise SettingsError(what, where="the task's answers", fix="give the task a name for every class")
    counts = (np.bincount(labels, minlength=num_classes) for labels in (true[true == given], true, given))
    return np.concatenate([count.astype(np.int64) for count in counts])


def _record(answers: Answers, num_classes: int) -> Array:
    maps: Iterable[tuple[Array, Array]] = zip(answers.truth, answers.values, strict=True)
    rows = [pixel_counts(np.asarray(truth), np.asarray(predicted), num_classes) for truth, predicted in maps]
    return np.stack(rows) if rows else np.empty((0, 3 * num_classes), dtype=np.int64)


@cache
def _recorder(num_classes: int) -> Callable[[Answers], Array]:
    """One function a number of classes, so that metrics of the same counts share them."""
    return partial(_record, num_classes=num_classes)


def _intersection_and_union(right: Floats, true: Floats, predicted: Floats) -> tuple[Floats, Floats]:
    return right, true + predicted - right


def _twice_and_sum(right: Floats, true: Floats, predicted: Floats) -> tuple[Floats, Floats]:
    return 2 * right, true + predicted


def _right_and_true(right: Floats, true: Floats, predicted: Floats) -> tuple[Floats, Floats]:
    return right, true


Parts = Callable[[Floats, Floats, Floats], tuple[Floats, Floats]]


def _parts(records: Array, parts: Parts) -> tuple[Floats, Floats]:
    right, true, predicted = np.split(records.astype(np.float64), 3, axis=1)
    return parts(right, true, predicted)


def _value(records: Array, weights: Array, parts: Parts) -> Floats:
    part, whole = _parts(records, parts)
    return mean_ratio(weights @ part, weights @ whole)


def _contribution(records: Array, parts: Parts) -> Floats:
    return contribution(*_parts(records, parts))


def _all_classes(right: Floats, true: Floats, predicted: Floats) -> tuple[Floats, Floats]:
    return right.sum(1, keepdims=True), true.sum(1, keepdims=True)


def _metric(key: str, name: str, num_classes: int, parts: Parts) -> Metric:
    return Metric(
        key,
        name,
        form="percent",
        possible=SHARE,
        record=_recorder(num_classes),
        value=partial(_value, parts=parts),
        closed=partial(_contribution, parts=parts),
        stream="pixels",
        record_name="pixel_counts",
    )


def mean_iou(num_classes: int) -> Metric:
    """Return intersection over union, mean over the classes that occur (mIoU)."""
    return _metric("mean_iou", "mean IoU", num_classes, _intersection_and_union)


def mean_dice(num_classes: int) -> Metric:
    """Return 2 x intersection over the sum of both areas (Dice, F1 of pixels), mean over the classes that occur."""
    return _metric("mean_dice", "mean Dice", num_classes, _twice_and_sum)


def class_accuracy(num_classes: int) -> Metric:
    """Return the share of a class's pixels that are right, mean over the classes in the truth."""
    return _metric("class_accuracy", "class accuracy", num_classes, _right_and_true)


def pixel_accuracy(num_classes: int) -> Metric:
    """Return the share of all pixels that are right."""
    return _metric("pixel_accuracy", "pixel accuracy", num_classes, _all_classes)


def per_class(records: Array, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return {"name", "iou", "dice", "accuracy", "pixels"} of each class from records (N, 3 K); None of nothing.

    Example:
        >>> per_class(pixel_counts(np.array([[0, 0, 1]]), np.array([[0, 1, 1]]), 3)[None], ["sky", "sea", "ship"])[::2]
        [{'name': 'sky', 'iou': 0.5, 'dice': 0.666..., 'accuracy': 0.5, 'pixels': 2},
         {'name': 'ship', 'iou': None, 'dice': None, 'accuracy': None, 'pixels': 0}]
    """
    sums = np.split(records.sum(0, keepdims=True).astype(np.float64), 3, axis=1)
    shares = [parts(*sums) for parts in (_intersection_and_union, _twice_and_sum, _right_and_true)]
    ratios = [map(ratio, part[0], whole[0]) for part, whole in shares]
    return [
        {"name": name, "iou": iou, "dice": dice, "accuracy": share, "pixels": int(pixels)}
        for name, iou, dice, share, pixels in zip(names, *ratios, sums[1][0], strict=True)
    ]
