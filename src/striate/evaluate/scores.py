"""Every score of a split, from truth, probabilities and losses. What is not defined is None, never 0.

N images, K classes or tags, D fields, C cells of the confusion matrix, R resamples. A class without images has no
recall, and counts in no average. Intervals are 95 % over the choice of images: Wilson's for shares, else bootstrap
percentiles.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from striate.base.errors import DivergedError

from .interval import bootstrap, no_narrower, proportion_interval

Floats = npt.NDArray[np.floating]
Array = npt.NDArray[Any]
NUM_BINS = 15  # Guo et al., "On calibration of modern neural networks" (2017)


class Evaluated(Protocol):
    """One row an image: truth, predicted values, losses, and probabilities where there are classes."""

    @property
    def truth(self) -> Array: ...
    @property
    def values(self) -> Array: ...
    @property
    def losses(self) -> Floats: ...
    @property
    def probabilities(self) -> Floats | None: ...


def scores_of(kind: str, found: Evaluated, names: Sequence[str], unit: str = "") -> dict[str, Any]:
    """Return the scores of an evaluated split, as scores.json holds them.

    Args:
        kind: the target's kind: "label", "tags" or "value".

    Raises:
        DivergedError: a prediction is not a finite number.
    """
    if kind == "value":
        return regression_scores(found.truth, found.values, found.losses, names, unit)
    assert found.probabilities is not None
    make = tag_scores if kind == "tags" else classification_scores
    return make(found.truth, found.probabilities, found.losses, names)


def classification_scores(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, losses: npt.ArrayLike, names: Sequence[str]
) -> dict[str, Any]:
    """Return the scores of one class an image.

    Args:
        truth: (N,) class indices.
        probabilities: (N, K), rows sum to 1; the prediction is the first greatest.
        losses: (N,).

    Raises:
        DivergedError: a probability is not a finite number.

    Example:
        >>> p = [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]
        >>> scores = classification_scores([0, 0, 1], p, [0.1, 0.9, 0.2], ["cat", "dog"])
        >>> scores["accuracy"], scores["confusion"], scores["per_class"][0]["recall"]
        (0.666..., [[1, 1], [0, 1]], 0.5)
    """
    true, p = np.asarray(truth, dtype=np.int64), _finite(probabilities)
    num, num_classes = len(true), len(names)
    said = p.argmax(1) if num else true
    confusion = np.bincount(true * num_classes + said, minlength=num_classes**2).reshape(num_classes, num_classes)
    parts = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    right = said == true
    scores: dict[str, Any] = {
        "num_images": num,
        "accuracy": _mean(right),
        **{name: float(value) if num else None for name, value in _class_averages(*parts).items()},
        "loss": _mean(losses),
    }
    shares = {"accuracy": right}
    if num_classes > 5:
        shares["top5_accuracy"] = in_top(true, p, 5)
        scores["top5_accuracy"] = _mean(shares["top5_accuracy"])
    bins = calibration(p.max(1) if num else np.empty(0), right)
    scores["ece"] = calibration_error(bins)
    if num_classes == 2:
        scores["auc"] = area_under_roc(true == 1, p[:, 1])
    return {
        **scores,
        "intervals": _share_intervals(shares) | _widened(_confusion_intervals(true, said, num_classes), scores),
        "confusion": confusion.tolist(),
        "per_class": _per_class(*parts, names),
        "calibration": bins,
    }


def tag_scores(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, losses: npt.ArrayLike, names: Sequence[str]
) -> dict[str, Any]:
    """Return the scores of several tags an image; a tag is given above probability 0.5.

    `f1` is over all tags and images together (micro), `macro_f1` and `mean_average_precision` are means over tags.

    Args:
        truth: (N, K) of 0 and 1.
        probabilities: (N, K), each 0 to 1.
        losses: (N,).

    Raises:
        DivergedError: a probability is not a finite number.
    """
    true, p = np.asarray(truth).astype(bool).reshape(-1, len(names)), _finite(probabilities).reshape(-1, len(names))
    said = p > 0.5
    hits, exact = (true & said).sum(0), (true == said).all(1)
    rows = _per_class(hits, true.sum(0), said.sum(0), names)
    for k, row in enumerate(rows):
        row |= {"ap": average_precision(true[:, k], p[:, k]), "auc": area_under_roc(true[:, k], p[:, k])}
    bins = calibration(p.ravel(), true.ravel())
    averages = {"num_images": len(true), "f1": _ratio(2 * hits.sum(), true.sum() + said.sum())}
    return {
        **averages,
        "exact_match": _mean(exact),
        "macro_f1": _mean_defined(row["f1"] for row in rows),
        "mean_average_precision": _mean_defined(row["ap"] for row in rows),
        "auc": _mean_defined(row["auc"] for row in rows),
        "loss": _mean(losses),
        "ece": calibration_error(bins),
        "intervals": _share_intervals({"exact_match": exact}) | _widened(_tag_intervals(true, said), averages),
        "per_class": rows,
        "calibration": bins,
    }


def regression_scores(
    truth: npt.ArrayLike, prediction: npt.ArrayLike, losses: npt.ArrayLike, names: Sequence[str], unit: str = ""
) -> dict[str, Any]:
    """Return the scores of numbers, in the target's unit; for unit "deg" errors go the short way round the circle.

    Args:
        truth, prediction: (N, D).
        losses: (N,).

    Raises:
        DivergedError: a prediction is not a finite number.

    Example:
        >>> scores = regression_scores([[359.0], [10.0]], [[1.0], [25.0]], [0.1, 0.2], ["angle"], "deg")
        >>> scores["mean_error_deg"], scores["within_10_deg"]
        (8.5, 0.5)
    """
    true, said = np.asarray(truth, dtype=float).reshape(-1, len(names)), _finite(prediction).reshape(-1, len(names))
    errors = absolute_errors(true, said, unit)
    scores = {
        "num_images": len(true),
        "rmse": _root(_mean(errors**2)),
        "mae": _mean(errors),
        "r2": explained(true, errors, unit),
        "loss": _mean(losses),
    }
    features = {"rmse": (errors**2).mean(1), "mae": errors.mean(1)}
    shares = {}
    if unit == "deg":
        shares["within_10_deg"] = (errors < 10).mean(1)
        median = float(np.median(errors)) if errors.size else None
        scores |= {
            "mean_error_deg": scores["mae"],
            "median_error_deg": median,
            "within_10_deg": _mean(shares["within_10_deg"]),
        }
        features |= {"mean_error_deg": features["mae"]}
    per_field = [
        {"name": name, "rmse": _root(_mean(e**2)), "mae": _mean(e), "r2": explained(t[:, None], e[:, None], unit)}
        for name, t, e in zip(names, true.T, errors.T, strict=True)
    ]
    return {**scores, "intervals": _share_intervals(shares) | _value_intervals(features), "per_field": per_field}


def absolute_errors(truth: npt.ArrayLike, prediction: npt.ArrayLike, unit: str = "") -> npt.NDArray[np.float64]:
    """Return |prediction - truth|; for unit "deg" the short way round the circle, 0 to 180.

    Example:
        >>> absolute_errors([[359.0]], [[1.0]], "deg")
        array([[2.]])
    """
    errors = np.abs(np.asarray(prediction, dtype=float) - np.asarray(truth, dtype=float))
    return np.minimum(errors % 360, 360 - errors % 360) if unit == "deg" else errors


def explained(truth: npt.NDArray[np.floating], errors: npt.NDArray[np.floating], unit: str = "") -> float | None:
    """Return R2, the share of the truth's variance that is explained, mean over fields; None for a constant truth.

    For angles the spread of the truth is about its circular mean.
    """
    if not len(truth):
        return None
    centre = truth.mean(0)
    if unit == "deg":
        radians = np.deg2rad(truth)
        centre = np.rad2deg(np.arctan2(np.sin(radians).mean(0), np.cos(radians).mean(0)))
    spread = (absolute_errors(truth, centre, unit) ** 2).sum(0)
    return float(1 - ((errors**2).sum(0) / spread).mean()) if (spread > 0).all() else None


def calibration(confidence: npt.ArrayLike, right: npt.ArrayLike) -> list[dict[str, Any]]:
    """Return 15 equal bins of confidence (lower, upper], each with mean confidence, share right and count."""
    sure, hit = np.asarray(confidence, dtype=float), np.asarray(right, dtype=float)
    place = np.clip(np.ceil(sure * NUM_BINS).astype(int) - 1, 0, NUM_BINS - 1)
    return [
        {
            "lower": k / NUM_BINS,
            "upper": (k + 1) / NUM_BINS,
            "confidence": _mean(sure[place == k]),
            "accuracy": _mean(hit[place == k]),
            "count": int((place == k).sum()),
        }
        for k in range(NUM_BINS)
    ]


def calibration_error(bins: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the expected calibration error: the mean over images of |confidence - accuracy| of their bin."""
    filled = [row for row in bins if row["count"]]
    gaps = sum(row["count"] * abs(row["confidence"] - row["accuracy"]) for row in filled)
    return _ratio(gaps, sum(row["count"] for row in filled))


def area_under_roc(truth: npt.NDArray[np.bool_], score: Floats) -> float | None:
    """Return the probability that a positive scores above a negative, ties half; None without one of either."""
    num_true = int(truth.sum())
    num_false = len(truth) - num_true
    if not num_true or not num_false:
        return None
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # ties share their mean rank
    return float((ranks[truth].sum() - num_true * (num_true + 1) / 2) / (num_true * num_false))


def average_precision(truth: npt.NDArray[np.bool_], score: Floats) -> float | None:
    """Return the mean precision at each positive, from the highest score down; None without positives."""
    if not truth.any():
        return None
    values, place = np.unique(-score, return_inverse=True)
    given, hits = (np.bincount(place, weights, len(values)) for weights in (None, truth))
    return float((hits * np.cumsum(hits) / np.cumsum(given)).sum() / hits.sum())


def _per_class(hits: Array, support: Array, given: Array, names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of per_class; a class without images has none of the three scores."""
    return [
        {
            "name": name,
            "precision": _ratio(hit, said) if true else None,
            "recall": _ratio(hit, true),
            "f1": _ratio(2 * hit, said + true) if true else None,
            "support": int(true),
        }
        for name, hit, true, said in zip(names, hits, support, given, strict=True)
    ]


def _class_averages(hits: Array, support: Array, given: Array) -> dict[str, npt.NDArray[np.float64]]:
    """Balanced accuracy and macro F1 over the classes that have images; the last axis is the class."""
    has_images = support > 0
    num = np.maximum(has_images.sum(-1), 1)
    recall = np.where(has_images, hits / np.maximum(support, 1), 0)
    f1 = np.where(has_images, 2 * hits / np.maximum(support + given, 1), 0)
    return {"balanced_accuracy": recall.sum(-1) / num, "macro_f1": f1.sum(-1) / num}


def _confusion_intervals(true: npt.NDArray[np.int64], said: npt.NDArray[np.int64], num_classes: int) -> dict[str, Any]:
    if not len(true):
        return {}
    cells, groups = np.unique(true * num_classes + said, return_inverse=True)
    row, column = np.divmod(cells, num_classes)

    def averages(counts: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
        sums = (_sum_by(counts[:, kept], label[kept], num_classes) for label, kept in parts)
        return _class_averages(*sums)

    parts = ((row, row == column), (row, row >= 0), (column, column >= 0))
    return _lists(bootstrap(groups, averages, "confusion"))


def _sum_by(counts: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], num: int) -> npt.NDArray[np.int64]:
    """Sum the columns (R, C) that share a label into (R, K)."""
    summed = np.zeros((len(counts), num), dtype=np.int64)
    if len(labels):
        order = np.argsort(labels, kind="stable")
        present, starts = np.unique(labels[order], return_index=True)
        summed[:, present] = np.add.reduceat(counts[:, order], starts, axis=1)
    return summed


def _tag_intervals(true: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_]) -> dict[str, Any]:
    if not len(true) or not (true | said).any():
        return {}
    hits, total = (true & said).sum(1), true.sum(1) + said.sum(1)

    def micro(counts: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
        sums = counts @ total
        return {"f1": np.where(sums > 0, 2 * (counts @ hits) / np.maximum(sums, 1), np.nan)}

    return _lists(bootstrap(np.arange(len(true)), micro, "tags"))


def _value_intervals(features: Mapping[str, npt.NDArray[np.floating]]) -> dict[str, Any]:
    table = np.stack(list(features.values()), 1)
    if not len(table):
        return {}

    def means(counts: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
        found = dict(zip(features, (counts @ table / len(table)).T, strict=True))
        return found | {"rmse": np.sqrt(found["rmse"])}

    found = bootstrap(np.arange(len(table)), means, "values")
    return _lists({name: ends for name, ends in found.items() if ends[0] < ends[1]})  # equal errors say nothing


def _widened(intervals: Mapping[str, list[float]], scores: Mapping[str, Any]) -> dict[str, list[float]]:
    num, known = scores["num_images"], {name: scores[name] for name in intervals}
    return _lists({name: no_narrower((ends[0], ends[1]), known[name], num) for name, ends in intervals.items()})


def _share_intervals(shares: Mapping[str, Array]) -> dict[str, Any]:
    return _lists({name: proportion_interval(right.sum(), len(right)) for name, right in shares.items() if len(right)})


def _lists(intervals: Mapping[str, tuple[float, float]]) -> dict[str, list[float]]:
    return {name: list(interval) for name, interval in intervals.items()}


def in_top(true: npt.NDArray[np.int64], p: Floats, num: int) -> npt.NDArray[np.bool_]:
    """Return whether the true class (N,) is among the `num` most probable of (N, K); of equal ones the first counts.

    So top-1 is the accuracy of the prediction, which is the first greatest, and an answer that does not choose (all
    classes equal) is right by chance only.

    Example:
        >>> in_top(np.array([0, 1, 2]), np.full((3, 3), 1 / 3), 2).tolist()
        [True, True, False]
    """
    own = p[np.arange(len(true)), true][:, None]
    is_before = (p > own) | ((p == own) & (np.arange(p.shape[1]) < np.asarray(true)[:, None]))
    return np.asarray(is_before.sum(1) < num)


def _finite(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    table = np.asarray(values, dtype=np.float64)
    if not np.isfinite(table).all():
        raise DivergedError("the network's prediction is not a finite number", fix="train again with a lower --lr")
    return table


def _mean(values: npt.ArrayLike) -> float | None:
    table = np.asarray(values, dtype=np.float64)
    mean = float(table.mean()) if table.size else math.nan
    return mean if math.isfinite(mean) else None


def _mean_defined(values: Iterable[float | None]) -> float | None:
    return _mean([value for value in values if value is not None])


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _root(value: float | None) -> float | None:
    return None if value is None else math.sqrt(value)
