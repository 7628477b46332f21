"""Any score as a mean over images: the value each image contributes, so that scores can be compared image by image.

Accuracy is the mean of right (1) and wrong (0). A score that is no mean (a root, a ratio, a rank) has for each image
the value score + N x (change of the score per change of the image's weight); their mean is the score itself, and
their spread gives its sampling error to first order (the infinitesimal jackknife).

N images, K classes. Reference: Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapter 21.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from striate.base.choose import choose
from striate.base.errors import SettingsError

from .interval import SHARE, Interval
from .predictions import Predictions
from .scores import absolute_errors, in_top

Floats = npt.NDArray[np.float64]
ERRORS = {"loss", "mae", "rmse", "mean_error_deg"}


def image_values(metric: str, table: Predictions) -> Floats:
    """Return (N,) values, one an image, whose mean is the score `metric` of this table.

    Raises:
        SettingsError: the metric cannot be compared image by image, or is not defined for this kind of target.
    """
    make = choose("score to compare by", metric, METRICS[table.kind], SettingsError)
    return np.asarray(make(table), dtype=np.float64)


def possible(metric: str) -> Interval:
    """Return the least and the largest value a score can have.

    Example:
        >>> possible("accuracy"), possible("rmse")
        ((0.0, 1.0), (0.0, inf))
    """
    return (0.0, math.inf) if metric in ERRORS else SHARE


def _correct(table: Predictions) -> Floats:
    return table.correct.astype(np.float64)


def _loss(table: Predictions) -> Floats:
    return np.asarray(table.losses, dtype=np.float64)


def _top5(table: Predictions) -> Floats:
    return in_top(table.truth, _probabilities(table), 5).astype(np.float64)


def _balanced(table: Predictions) -> Floats:
    true, right = table.truth, table.correct
    support = np.bincount(true, minlength=len(table.names))
    recall = np.bincount(true, right, len(table.names)) / np.maximum(support, 1)
    num_present = (support > 0).sum()
    shifts = len(true) / (num_present * np.maximum(support, 1))
    return np.asarray(recall.sum() / num_present + shifts[true] * (right - recall[true]))


def _macro_f1(table: Predictions) -> Floats:
    classes = np.arange(len(table.names))
    return _mean_f1(table.truth[:, None] == classes, table.values[:, None] == classes)


def _macro_f1_tags(table: Predictions) -> Floats:
    return _mean_f1(table.truth.astype(bool), table.values.astype(bool))


def _mean_f1(true: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_]) -> Floats:
    kept = true.any(0)
    return _ratio_values(2.0 * (true & said)[:, kept], true[:, kept] + 1.0 * said[:, kept]).mean(1)


def _micro_f1(table: Predictions) -> Floats:
    true, said = table.truth.astype(bool), table.values.astype(bool)
    return _ratio_values(2.0 * (true & said).sum(1), 1.0 * true.sum(1) + said.sum(1))


def _ratio_values(part: npt.NDArray[np.floating], whole: npt.NDArray[np.floating]) -> Floats:
    """Values of sum(part) / sum(whole) over images, the first axis."""
    ratio = part.sum(0) / whole.sum(0)
    return np.asarray(ratio + len(part) * (part - ratio * whole) / whole.sum(0))


def _mean_average_precision(table: Predictions) -> Floats:
    true, p = table.truth.astype(bool), _probabilities(table)
    kept = np.flatnonzero(true.any(0))
    return np.mean([_precision_values(true[:, k], p[:, k]) for k in kept], axis=0)


def _precision_values(true: npt.NDArray[np.bool_], score: npt.NDArray[np.floating]) -> Floats:
    """Values of average precision: an image adds its own precision and changes that of all ranked at or below it."""
    levels, place = np.unique(-score, return_inverse=True)
    given, hits = (np.bincount(place, weights, len(levels)) for weights in (None, true))
    total, found, num_true = np.cumsum(given), np.cumsum(hits), true.sum()
    average = (hits * found / total).sum() / num_true
    gain, cost = (np.cumsum(terms[::-1])[::-1][place] for terms in (hits / total, hits * found / total**2))
    change = (true * (found / total)[place] + true * gain - cost - true * average) / num_true
    return np.asarray(average + len(true) * change)


def _area_under_roc(table: Predictions) -> Floats:
    true, score = table.truth == 1, _probabilities(table)[:, 1]
    above, below = score[true], score[~true]
    if not len(above) or not len(below):
        return np.full(len(true), np.nan)
    values = np.empty(len(true))
    values[true] = _share_below(above, below)
    values[~true] = 1 - _share_below(below, above)
    area = values[true].mean()
    weight = np.where(true, len(true) / len(above), len(true) / len(below))
    return np.asarray(area + weight * (values - area))


def _share_below(scores: npt.NDArray[np.floating], others: npt.NDArray[np.floating]) -> Floats:
    ordered = np.sort(others)
    places = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    return np.asarray(places / (2 * len(others)))


def _absolute(table: Predictions) -> Floats:
    return _errors(table).mean(1)


def _within_10(table: Predictions) -> Floats:
    return (_errors(table) < 10).mean(1)


def _rmse(table: Predictions) -> Floats:
    squares = (_errors(table) ** 2).mean(1)
    root = np.sqrt(squares.mean())
    return squares if root == 0 else np.asarray(root + (squares - root**2) / (2 * root))


def _errors(table: Predictions) -> Floats:
    return absolute_errors(table.truth, table.values, table.unit)


def _probabilities(table: Predictions) -> npt.NDArray[np.floating]:
    assert table.probabilities is not None
    return table.probabilities


Values = Callable[[Predictions], Floats]
METRICS: dict[str, dict[str, Values]] = {
    "label": {
        "accuracy": _correct,
        "top5_accuracy": _top5,
        "balanced_accuracy": _balanced,
        "macro_f1": _macro_f1,
        "auc": _area_under_roc,
        "loss": _loss,
    },
    "tags": {
        "exact_match": _correct,
        "f1": _micro_f1,
        "macro_f1": _macro_f1_tags,
        "mean_average_precision": _mean_average_precision,
        "loss": _loss,
    },
    "value": {
        "mae": _absolute,
        "rmse": _rmse,
        "mean_error_deg": _absolute,
        "within_10_deg": _within_10,
        "loss": _loss,
    },
}
