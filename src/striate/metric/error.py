"""How far numbers are off, in the target's unit; angles (unit "deg") err the short way round the circle."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from .metric import ANY, ERROR, Answers, Array, Floats, Metric, column, mean


def absolute_errors(truth: npt.ArrayLike, prediction: npt.ArrayLike, unit: str = "") -> Floats:
    """Return |prediction - truth|; for unit "deg" the short way round the circle, 0 to 180.

    Example:
        >>> absolute_errors([[359.0]], [[1.0]], "deg")
        array([[2.]])
    """
    errors = np.abs(np.asarray(prediction, dtype=float) - np.asarray(truth, dtype=float))
    return np.asarray(np.minimum(errors % 360, 360 - errors % 360) if unit == "deg" else errors)


def _absolute(answers: Answers, unit: str) -> Array:
    return _table(absolute_errors(answers.truth, answers.values, unit))


def _squared(answers: Answers, unit: str) -> Array:
    return _absolute(answers, unit) ** 2


def _table(errors: Floats) -> Floats:
    return errors if errors.ndim == 2 else column(errors)


def _root_mean(records: Array, weights: Array) -> Floats:
    return np.sqrt(mean(records, weights))


def _root_mean_contribution(records: Array) -> Floats:
    squares = records.mean(1)
    root = math.sqrt(squares.mean())
    return np.asarray(squares if root == 0 else root + (squares - root**2) / (2 * root))


def _middle(records: Array, weights: Array) -> Floats:
    """Weighted medians over images and columns; between the two middle ones where there are two."""
    flat = records.ravel()
    order = np.argsort(flat, kind="stable")
    sums = np.repeat(weights, records.shape[1], axis=1)[:, order].astype(np.float64).cumsum(1)
    half = sums[:, -1:] / 2
    low, high = (sums < half).sum(1), (sums <= half).sum(1)
    return np.asarray((flat[order[low]] + flat[order[np.minimum(high, len(flat) - 1)]]) / 2)


def _truth_and_error(answers: Answers, unit: str) -> Array:
    truth = _table(np.asarray(answers.truth, dtype=float))
    return np.concatenate([truth, _absolute(answers, unit)], axis=1)


def _explained(records: Array, weights: Array, unit: str) -> Floats:
    truth, errors = np.split(records, 2, axis=1)
    return np.array([_explained_once(truth, errors, row[:, None], unit) for row in weights])


def _explained_once(truth: Floats, errors: Floats, weight: Floats, unit: str) -> float:
    total = weight.sum()
    if not total:
        return math.nan
    if unit == "deg":  # the spread of angles is about their circular mean
        radians = np.deg2rad(truth)
        sine, cosine = ((weight * part).sum(0) / total for part in (np.sin(radians), np.cos(radians)))
        centre = np.rad2deg(np.arctan2(sine, cosine))
    else:
        centre = (weight * truth).sum(0) / total
    spread = (weight * absolute_errors(truth, centre, unit) ** 2).sum(0)
    is_constant = np.ptp(truth[weight[:, 0] > 0], axis=0) == 0  # the mean of equal numbers may miss them by a rounding
    return (
        float(1 - ((weight * errors**2).sum(0) / spread).mean())
        if (spread > 0).all() and not is_constant.any()
        else math.nan
    )


def per_field(answers: Answers, names: Sequence[str], unit: str = "") -> list[dict[str, Any]]:
    """Return {"name", "rmse", "mae", "r2"} of each field; None where it is not defined."""
    truth, errors = np.split(_truth_and_error(answers, unit), 2, axis=1)
    return [
        {
            "name": name,
            "rmse": rmse(unit).score(error[:, None] ** 2),
            "mae": mae(unit).score(error[:, None]),
            "r2": r2(unit).score(np.stack([true, error], axis=1)),
        }
        for name, true, error in zip(names, truth.T, errors.T, strict=True)
    ]


def rmse(unit: str = "") -> Metric:
    """Return the root mean squared error, over images and fields."""
    return Metric(
        "rmse",
        "root mean squared error",
        "min",
        unit=unit,
        possible=ERROR,
        record=partial(_squared, unit=unit),
        value=_root_mean,
        closed=_root_mean_contribution,
        stream="values",
    )


def mae(unit: str = "", key: str = "mae", name: str = "mean absolute error") -> Metric:
    """Return the mean absolute error, over images and fields."""
    record = partial(_absolute, unit=unit)
    return Metric(key, name, "min", unit=unit, possible=ERROR, record=record, stream="values")


MEAN_ERROR_DEG = mae("deg", "mean_error_deg", "mean error")
MEDIAN_ERROR_DEG = Metric(
    "median_error_deg",
    "median error",
    "min",
    unit="deg",
    possible=ERROR,
    record=partial(_absolute, unit="deg"),
    value=_middle,
    interval="none",
)


def r2(unit: str = "") -> Metric:
    """Return the share of the truth's variance that is explained, mean over fields; None for a constant truth."""
    record, value = partial(_truth_and_error, unit=unit), partial(_explained, unit=unit)
    return Metric("r2", "R²", possible=(ANY[0], 1.0), record=record, value=value, interval="none")
