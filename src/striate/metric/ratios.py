"""Ratios of sums over images, of which precision, recall, F1, Dice and IoU are made. N images, R weightings, K classes.

A class counts in a mean where something is there to divide by, unless it is said which do.
"""

import math

import numpy as np
import numpy.typing as npt

from .metric import Array, Floats


def ratio(part: float, whole: float) -> float | None:
    """Return part / whole; None of nothing."""
    return float(part / whole) if whole else None


def mean_ratio(part: Array, whole: Array, is_counted: npt.NDArray[np.bool_] | None = None) -> Floats:
    """Return the means (R,) of part / whole (R, K) over the classes that count; NaN where none does.

    Example:
        >>> mean_ratio(np.array([[1, 0, 3], [0, 0, 0]]), np.array([[2, 0, 4], [0, 0, 0]])).tolist()
        [0.625, nan]
    """
    kept = whole > 0 if is_counted is None else is_counted
    num = kept.sum(1)
    total = np.where(kept, part / np.where(whole > 0, whole, 1), 0).sum(1)
    return np.where(num > 0, total / np.maximum(num, 1), math.nan)


def contribution(part: Array, whole: Array) -> Floats:
    """Return (N,) the contributions of images to the mean of sum(part) / sum(whole) over classes, from (N, K) each.

    Columns without a whole do not count; without any the contributions are NaN.

    Example:
        >>> contribution(np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]])).tolist()
        [1.0, 0.0]
    """
    kept = whole.sum(0) > 0
    if not kept.any():
        return np.full(len(part), math.nan)
    part, whole = part[:, kept], whole[:, kept]
    means = part.sum(0) / whole.sum(0)
    return np.asarray((means + len(part) * (part - means * whole) / whole.sum(0)).mean(1))
