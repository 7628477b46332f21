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
        truth, predicted: (H, W) class indices; `truth` 255 where it is not known, `predicted` 255 where nothing was
            predicted, which is no class and so wrong.

    Example:
        >>> pixel_counts(np.array([[0, 0, 1, 255]]), np.array([[0, 1, 1, 1]]), 2).tolist()
        [1, 1, 2, 1, 1, 2]

    Raises:
        SettingsError: a class is not below `num_classes`.
    """
    known = truth != IGNORED
    true, given = truth[known], predicted[known]
    right, given = true[true == given], given[given != IGNORED]
    counts = [np.bincount(labels, minlength=num_classes) for labels in (right, true, given)]
    if (beyond := max(map(len, counts)) - 1) >= num_classes:
        what = f"a map holds class {beyond}; there are {num_classes}, from 0"
        raise SettingsError(what, where="the task's answers", fix="give the task a name for every class")
    return np.concatenate(counts).astype(np.int64)


def _record(answers: Answers, num_classes: int) -> Array:
    maps: Iterable[tuple[Array, Array]] = zip(answers.truth, answers.values, strict=True)
    rows = [pixel_counts(np.asarray(truth), np.asarray(predicted), num_classes) for truth, predicted in maps]
    return np.stack(rows) if rows else np.empty((0, 3 * num_classes), dtype=np.int64)


@cache
def _recorder(num_classes: int) -> Callable[[Answers], Array]:
    """One function a number of classes, so that metrics of the same counts share them."""
    return partial(_record, num_classes=num_classes)


def intersection_and_union(right: Floats, true: Floats, predicted: Floats) -> tuple[Floats, Floats]:
    """Return both parts of IoU."""
    return right, true + predicted - right


def _twice_and_sum(right: Floats, true: Floats, predicted: Floats) -> tuple[Floats, Floats]:
    return 2 * right, true + predicted


def _right_and_true(right: Floats, true: Floats, predicted: Floats) -> tuple[Floats, Floats]:
    return right, true


Parts = Callable[[Floats, Floats, Floats], tuple[Floats, Floats]]
Columns = Callable[[Array], Array]


def _parts(records: Array, parts: Parts) -> tuple[Floats, Floats]:
    right, true, predicted = np.split(records.astype(np.float64), 3, axis=1)
    return parts(right, true, predicted)


def _value(records: Array, weights: Array, parts: Parts, columns: Columns) -> Floats:
    part, whole = _parts(columns(records), parts)
    return mean_ratio(weights @ part, weights @ whole)


def _contribution(records: Array, parts: Parts, columns: Columns) -> Floats:
    return contribution(*_parts(columns(records), parts))


def _all_classes(right: Floats, true: Floats, predicted: Floats) -> tuple[Floats, Floats]:
    return right.sum(1, keepdims=True), true.sum(1, keepdims=True)


def _whole(records: Array) -> Array:
    return records


def of_counts(
    key: str,
    name: str,
    parts: Parts,
    record: Callable[[Answers], Array],
    record_name: str = "pixel_counts",
    columns: Columns = _whole,
) -> Metric:
    """Return the mean over classes of a ratio of `pixel_counts`, summed over images.

    Args:
        parts: from right, true and predicted pixels (N, K) to the part and the whole of the ratio.
        columns: which of the records (N, S) are the (N, 3 K) counts.
    """
    return Metric(
        key,
        name,
        form="percent",
        possible=SHARE,
        record=record,
        value=partial(_value, parts=parts, columns=columns),
        closed=partial(_contribution, parts=parts, columns=columns),
        stream="pixels",
        record_name=record_name,
    )


def mean_iou(num_classes: int) -> Metric:
    """Return intersection over union, mean over the classes that occur (mIoU)."""
    return of_counts("mean_iou", "mean IoU", intersection_and_union, _recorder(num_classes))


def mean_dice(num_classes: int) -> Metric:
    """Return 2 x intersection over the sum of both areas (Dice, F1 of pixels), mean over the classes that occur."""
    return of_counts("mean_dice", "mean Dice", _twice_and_sum, _recorder(num_classes))


def class_accuracy(num_classes: int) -> Metric:
    """Return the share of a class's pixels that are right, mean over the classes in the truth."""
    return of_counts("class_accuracy", "class accuracy", _right_and_true, _recorder(num_classes))


def pixel_accuracy(num_classes: int) -> Metric:
    """Return the share of all pixels that are right."""
    return of_counts("pixel_accuracy", "pixel accuracy", _all_classes, _recorder(num_classes))


def per_class(records: Array, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return {"name", "iou", "dice", "accuracy", "pixels"} of each class from records (N, 3 K); None of nothing.

    Example:
        >>> per_class(pixel_counts(np.array([[0, 0, 1]]), np.array([[0, 1, 1]]), 3)[None], ["sky", "sea", "ship"])[::2]
        [{'name': 'sky', 'iou': 0.5, 'dice': 0.666..., 'accuracy': 0.5, 'pixels': 2},
         {'name': 'ship', 'iou': None, 'dice': None, 'accuracy': None, 'pixels': 0}]
    """
    sums = np.split(records.sum(0, keepdims=True).astype(np.float64), 3, axis=1)
    shares = [parts(*sums) for parts in (intersection_and_union, _twice_and_sum, _right_and_true)]
    ratios = [map(ratio, part[0], whole[0]) for part, whole in shares]
    return [
        {"name": name, "iou": iou, "dice": dice, "accuracy": share, "pixels": int(pixels)}
        for name, iou, dice, share, pixels in zip(names, *ratios, sums[1][0], strict=True)
    ]


def image_iou(records: Array) -> Floats:
    """Return the mean IoU (N,) of each image alone, over the classes that are in it, from records (N, 3 K).

    NaN of an image without a known pixel.

    Example:
        >>> image_iou(pixel_counts(np.array([[0, 0, 1]]), np.array([[0, 1, 1]]), 3)[None]).tolist()
        [0.5]
    """
    right, true, predicted = np.split(records.astype(np.float64), 3, axis=1)
    union = true + predicted - right
    is_there = union > 0
    found = np.where(is_there, right / np.where(is_there, union, 1), 0).sum(1) / np.maximum(is_there.sum(1), 1)
    return np.where(is_there.any(1), found, np.nan)


def image_dice(records: Array, names: Sequence[str]) -> dict[str, float | None]:
    """Return the Dice of each class, mean over the images in whose truth or prediction it is; None if in none.

    What medical challenges report: a small structure counts as much as a large one, where sums over images do not.

    Example:
        >>> one, other = (pixel_counts(np.array([true]), np.array([[0, 1, 1]]), 2) for true in ([0, 0, 1], [0, 0, 0]))
        >>> image_dice(np.stack([one, other]), ["sky", "sea"])
        {'sky': 0.583..., 'sea': 0.333...}
    """
    right, true, predicted = np.split(records.astype(np.float64), 3, axis=1)
    twice, areas = _twice_and_sum(right, true, predicted)
    is_there = areas > 0
    dice = np.where(is_there, twice / np.where(is_there, areas, 1), 0).sum(0)
    return {name: ratio(total, num) for name, total, num in zip(names, dice, is_there.sum(0), strict=True)}


def constant_answer(records: Array, names: Sequence[str]) -> dict[str, Any]:
    """Return {"class", "mean_iou", "pixel_accuracy"} of one who gives every pixel the most frequent class.

    What a network must beat; of records (N, 3 K), None where no pixel is known.

    Example:
        >>> constant_answer(pixel_counts(np.array([[0, 0, 0, 1]]), np.array([[0, 1, 1, 1]]), 2)[None], ["sky", "sea"])
        {'class': 'sky', 'mean_iou': 0.375, 'pixel_accuracy': 0.75}
    """
    true = np.split(records.sum(0), 3)[1]
    label, total = int(true.argmax()), float(true.sum())
    share = ratio(float(true[label]), total)
    iou = None if share is None else share / int((true > 0).sum())
    return {"class": names[label], "mean_iou": iou, "pixel_accuracy": share}
