"""What follows from which class was taken for which: balanced accuracy, kappa, correlation, figures of each class.

Precision and recall are not defined, and None, where nothing was predicted or nothing is there. A class without images
counts in no average; one that has images and is never predicted has F1 and recall 0.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from .metric import SHARE, Answers, Array, Floats, Metric
from .ratios import mean_ratio, ratio


def matrix(true: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], num_classes: int) -> npt.NDArray[np.intp]:
    """Return (K, K) counts, true classes as rows."""
    cells = np.bincount(true * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def per_class(counts: npt.ArrayLike, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return precision, recall and F1 of each class from a confusion matrix; a class without images has none.

    Example:
        >>> per_class([[3, 1], [0, 0]], ["a", "b"])[0]
        {'name': 'a', 'precision': 1.0, 'recall': 0.75, 'f1': 0.8571428571428571, 'support': 4}
    """
    table = np.asarray(counts)
    return figures(np.diag(table), table.sum(1), table.sum(0), names)


def figures(hits: Array, support: Array, predicted: Array, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return precision, recall and F1 of each class or tag from (K,) counts: hits, in the truth, in the prediction."""
    return [
        {
            "name": name,
            "precision": ratio(hit, given) if true else None,
            "recall": ratio(hit, true),
            "f1": ratio(2 * hit, given + true) if true else None,
            "support": int(true),
        }
        for name, hit, true, given in zip(names, hits, support, predicted, strict=True)
    ]


def pairs(answers: Answers) -> Array:
    """Return (N, 2) true and predicted class."""
    return np.stack([np.asarray(answers.truth, dtype=np.int64), np.asarray(answers.values, dtype=np.int64)], axis=1)


Margins = tuple[Array, Array, Array]


def margins(records: Array, weights: Array, num_classes: int = 0) -> Margins:
    """Return the weighted (R, K) hits, true and predicted counts of pairs (N, 2)."""
    records = records.astype(np.int64, copy=False)  # an epoch's tally keeps them as floats
    true, predicted = records[:, 0], records[:, 1]
    num, hit = max(num_classes, int(records.max(initial=-1)) + 1), true == predicted
    return (
        _sums(weights[:, hit], true[hit], num),
        _sums(weights, true, num),
        _sums(weights, predicted, num),
    )


def _sums(weights: Array, labels: Array, num: int) -> Array:
    """Sum the columns (R, N) that share a label into (R, K)."""
    sums = np.zeros((len(weights), num), dtype=weights.dtype)
    if len(labels):
        order = np.argsort(labels, kind="stable")
        present, starts = np.unique(labels[order], return_index=True)
        sums[:, present] = np.add.reduceat(weights[:, order], starts, axis=1)
    return sums


def _balanced(records: Array, weights: Array, num_classes: int) -> Floats:
    hits, support, _ = margins(records, weights, num_classes)
    return mean_ratio(hits, support)


def _balanced_contribution(records: Array) -> Floats:
    true, right = records[:, 0], records[:, 0] == records[:, 1]
    support = np.bincount(true)
    recall, num = np.bincount(true, right) / np.maximum(support, 1), (support > 0).sum()
    shifts = len(true) / (num * np.maximum(support, 1))
    return np.asarray(recall.sum() / num + shifts[true] * (right - recall[true]))


def _kappa(records: Array, weights: Array) -> Floats:
    hits, support, predicted = margins(records, weights.astype(np.float64))
    total = support.sum(1)
    chance = (support * predicted).sum(1) / total**2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(chance < 1, (hits.sum(1) / total - chance) / (1 - chance), math.nan))


def _correlation(records: Array, weights: Array) -> Floats:
    hits, support, predicted = margins(records, weights.astype(np.float64))
    total = support.sum(1)
    shared = hits.sum(1) * total - (support * predicted).sum(1)
    spread = (total**2 - (support**2).sum(1)) * (total**2 - (predicted**2).sum(1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(spread > 0, shared / np.sqrt(spread), math.nan))


def over_cells(
    key: str,
    name: str,
    value: Callable[[Array, Array], Floats],
    closed: Callable[[Array], Floats] | None = None,
    **options: Any,
) -> Metric:
    """Return a metric of (true, predicted) pairs, which are bootstrapped by the cells of the confusion matrix."""
    return Metric(key, name, record=pairs, value=value, closed=closed, stream="confusion", is_discrete=True, **options)


def balanced_accuracy(num_classes: int = 0) -> Metric:
    """Return the mean recall over the classes that have images."""
    value = partial(_balanced, num_classes=num_classes)
    return over_cells(
        "balanced_accuracy", "balanced accuracy", value, _balanced_contribution, form="percent", possible=SHARE
    )


KAPPA = over_cells("kappa", "Cohen's kappa", _kappa, possible=(-1.0, 1.0))
MCC = over_cells("mcc", "Matthews correlation", _correlation, possible=(-1.0, 1.0))
