"""How well scores order images, whatever the threshold: area under the ROC curve, average precision.

A class without a positive image (for the area: or without a negative one) has none, and counts in no average.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt

from .metric import SHARE, Answers, Array, Floats, Metric

Bits = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.floating]
Columns = Callable[[Array], Iterator[tuple[Bits, Scores]]]


def area_under_roc(truth: Bits, score: Scores) -> float | None:
    """Return the probability that a positive scores above a negative, ties half; None without one of either."""
    area = float(_areas(truth, score, np.ones((1, len(truth))))[0]) if len(truth) else math.nan
    return None if math.isnan(area) else area


def average_precision(truth: Bits, score: Scores) -> float | None:
    """Return the mean precision at each positive, from the highest score down; None without positives."""
    precision = float(_precisions(truth, score, np.ones((1, len(truth))))[0]) if truth.any() else math.nan
    return None if math.isnan(precision) else precision


def _levels(truth: Bits, score: Scores, weights: Array) -> tuple[Floats, Floats]:
    """The weights (R, L) of all and of positive images at each score, from the highest down."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    shares = weights[:, order].astype(np.float64)
    return np.add.reduceat(shares, starts, axis=1), np.add.reduceat(shares * truth[order], starts, axis=1)


def _areas(truth: Bits, score: Scores, weights: Array) -> Floats:
    every, positive = _levels(truth, score, weights)
    negative = every - positive
    total, others = positive.sum(1), negative.sum(1)
    beaten = others[:, None] - negative.cumsum(1) + negative / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((positive * beaten).sum(1) / (total * others))


def _precisions(truth: Bits, score: Scores, weights: Array) -> Floats:
    every, positive = _levels(truth, score, weights)
    shares = positive * positive.cumsum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(shares > 0, shares / every.cumsum(1), 0)
        return np.asarray(ratios.sum(1) / positive.sum(1))


def _area_contribution(truth: Bits, score: Scores) -> Floats:
    above, below = score[truth], score[~truth]
    if not len(above) or not len(below):
        return np.full(len(truth), math.nan)
    values = np.empty(len(truth))
    values[truth] = _share_below(above, below)
    values[~truth] = 1 - _share_below(below, above)
    area = values[truth].mean()
    weight = np.where(truth, len(truth) / len(above), len(truth) / len(below))
    return np.asarray(area + weight * (values - area))


def _share_below(scores: Scores, others: Scores) -> Floats:
    ordered = np.sort(others)
    places = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    return np.asarray(places / (2 * len(others)))


def _precision_contribution(truth: Bits, score: Scores) -> Floats:
    """An image adds its own precision and changes that of all ranked at or below it."""
    if not truth.any():
        return np.full(len(truth), math.nan)
    levels, place = np.unique(-score, return_inverse=True)
    given, hits = (np.bincount(place, weights, len(levels)) for weights in (None, truth))
    total, positive, num_true = np.cumsum(given), np.cumsum(hits), truth.sum()
    average = (hits * positive / total).sum() / num_true
    gain, cost = (np.cumsum(terms[::-1])[::-1][place] for terms in (hits / total, hits * positive / total**2))
    change = (truth * (positive / total)[place] + truth * gain - cost - truth * average) / num_true
    return np.asarray(average + len(truth) * change)


def tag_scores(answers: Answers) -> Array:
    """Return (N, 2 K): 0 or 1 for each tag, then its probability."""
    assert answers.probabilities is not None
    p = np.asarray(answers.probabilities)
    return np.concatenate([np.asarray(answers.truth).reshape(p.shape), p], axis=1, dtype=p.dtype)


def class_scores(answers: Answers) -> Array:
    """Return (N, 1 + K): the true class, then the probability of each; of two classes 0 or 1 and the second one's."""
    assert answers.probabilities is not None
    p = np.asarray(answers.probabilities)
    kept = p[:, 1:] if p.shape[1] == 2 else p
    return np.concatenate([np.asarray(answers.truth).reshape(-1, 1), kept], axis=1, dtype=np.float64)


def _tags(records: Array) -> Iterator[tuple[Bits, Scores]]:
    truth, scores = np.split(records, 2, axis=1)
    return ((truth[:, k] == 1, scores[:, k]) for k in range(truth.shape[1]))


def _classes(records: Array) -> Iterator[tuple[Bits, Scores]]:
    if records.shape[1] == 2:
        return iter([(records[:, 0] == 1, records[:, 1])])
    return ((records[:, 0] == k, records[:, k + 1]) for k in range(records.shape[1] - 1))


Each = Callable[[Bits, Scores, Array], Floats]


def _mean_value(records: Array, weights: Array, columns: Columns, each: Each) -> Floats:
    scores = np.stack([each(truth, score, weights) for truth, score in columns(records)])
    is_known = np.isfinite(scores)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(is_known, scores, 0).sum(0) / is_known.sum(0))


def _mean_contribution(records: Array, columns: Columns, each: Callable[[Bits, Scores], Floats]) -> Floats:
    total, num = np.zeros(len(records)), 0
    for truth, score in columns(records):
        values = each(truth, score)
        if np.isfinite(values).all():
            total, num = total + values, num + 1
    return total / num if num else np.full(len(records), math.nan)


def _metric(
    key: str, name: str, columns: Columns, each: Each, contribution: Callable[[Bits, Scores], Floats]
) -> Metric:
    return Metric(
        key,
        name,
        form="percent" if each is _precisions else "number",
        possible=SHARE,
        record=tag_scores if columns is _tags else class_scores,
        value=partial(_mean_value, columns=columns, each=each),
        closed=partial(_mean_contribution, columns=columns, each=contribution),
        interval="student",
    )


AUC = _metric("auc", "area under the ROC curve", _classes, _areas, _area_contribution)
AUC_TAGS = _metric("auc", "area under the ROC curve", _tags, _areas, _area_contribution)
MEAN_AVERAGE_PRECISION = _metric(
    "mean_average_precision", "mean average precision", _tags, _precisions, _precision_contribution
)
