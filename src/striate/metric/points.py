"""How far predicted points are from the true ones. Truth and values are (N, K, 2) xy in pixels, nan where not marked.

PCK, the percentage of correct key points: the share of points that are off by less than a tolerance, which is a share
of the longer side of the image, or of the box around the true points (Yang and Ramanan, "Articulated human detection
with flexible mixtures of parts", PAMI 2013). N images, K points, R weightings.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .mask_matches import SIZE
from .metric import ERROR, SHARE, Answers, Array, Floats, Metric
from .ratios import contribution, mean_ratio

TOLERANCE = 0.05
Of = Literal["image", "points"]


def distances(truth: npt.ArrayLike, values: npt.ArrayLike) -> Floats:
    """Return the distance (N, K) of each point from the true one; nan where that is not marked.

    Example:
        >>> distances([[[0, 0], [np.nan, np.nan]]], [[[3, 4], [1, 1]]]).tolist()
        [[5.0, nan]]
    """
    given, true = (np.asarray(part, dtype=np.float64) for part in (values, truth))
    return np.asarray(np.hypot(*np.moveaxis(given - true, -1, 0)))


def lengths(answers: Answers, of: Of) -> Floats:
    """Return (N,) the length of which a tolerance is a share: the longer side of each image, or of the box around its
    true points, nan where these are fewer than two.
    """
    if of == "image":
        return np.asarray(answers.records[SIZE].max(1), dtype=np.float64)
    truth = np.asarray(answers.truth, dtype=np.float64)
    is_known = ~np.isnan(truth[:, :, :1])
    high, low = (np.where(is_known, sign * truth, -np.inf).max(1) for sign in (1, -1))
    side = (high + low).max(1)
    return np.where((is_known.sum((1, 2)) > 1) & (side > 0), side, np.nan)


def _parts(numbers: Array, is_known: Array) -> Array:
    """Numbers (N, K) as records (N, 2 K): 0 where they are not known, and whether they are."""
    return np.concatenate([np.where(is_known, numbers, 0), is_known], axis=1).astype(np.float64)


def _is_marked(answers: Answers) -> Array:
    return np.asarray(~np.isnan(np.asarray(answers.truth, dtype=np.float64)).any(2))


def _errors(answers: Answers) -> Array:
    return _parts(distances(answers.truth, answers.values), _is_marked(answers))


def _hits(answers: Answers, tolerance: float, of: Of) -> Array:
    length = lengths(answers, of)[:, None]
    hits = distances(answers.truth, answers.values) <= tolerance * length
    return _parts(hits, _is_marked(answers) & ~np.isnan(length))


def _sums(records: Array) -> tuple[Array, Array]:
    """The sums (N, 1) of the numbers and of the points that are known."""
    part, whole = (side.sum(1, keepdims=True) for side in np.split(records, 2, axis=1))
    return part, whole


def _mean(records: Array, weights: Array) -> Floats:
    part, whole = _sums(records)
    return mean_ratio(weights @ part, weights @ whole)


def _contribution(records: Array) -> Floats:
    return contribution(*_sums(records))


POINT_ERROR = Metric(
    "point_error", "mean error of points", "min", unit="px", possible=ERROR, record=_errors, value=_mean,
    closed=_contribution,
)  # fmt: skip


def pck(tolerance: float = TOLERANCE, of: Of = "image") -> Metric:
    """Return the share of points that are within a tolerance of the true ones."""
    record = partial(_hits, tolerance=tolerance, of=of)
    return Metric("pck", "PCK", form="percent", possible=SHARE, record=record, value=_mean, closed=_contribution)


def per_point(metrics: Sequence[Metric], answers: Answers, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the name of each point, in how many images it is marked, and its value of each metric."""
    found: list[dict[str, Any]] = [{"name": name} for name in names]
    for metric in metrics:
        numbers, flags = np.split(metric.records(answers), 2, axis=1)
        for at, row in enumerate(found):
            row["support"] = max(row.get("support", 0), int(flags[:, at].sum()))
            row[metric.key] = metric.score(np.stack([numbers[:, at], flags[:, at]], axis=1))
    return found


def constant(metrics: Sequence[Metric], answers: Answers) -> dict[str, float | None]:
    """Return what the same answer for all images would score: the points' mean places, as shares of the image."""
    size_wh = answers.records[SIZE][:, None, ::-1].astype(np.float64)
    shares = np.asarray(answers.truth, dtype=np.float64) / size_wh
    is_known = ~np.isnan(shares)
    means = np.where(is_known, shares, 0).sum(0) / np.maximum(is_known.sum(0), 1)
    same = replace(answers, values=means * size_wh, records={SIZE: answers.records[SIZE]})
    return {metric.key: metric.score(metric.made(same)) for metric in metrics}
