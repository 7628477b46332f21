"""Whether a network is right as often as it is sure: bins of confidence, and the expected calibration error."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .accuracy import correct
from .metric import SHARE, Answers, Array, Floats, Metric

NUM_BINS = 15  # Guo et al., "On calibration of modern neural networks" (2017)


def bins(confidence: npt.ArrayLike, right: npt.ArrayLike) -> list[dict[str, Any]]:
    """Return 15 equal bins of confidence (lower, upper], each with mean confidence, share right and count."""
    sure, hit = np.asarray(confidence, dtype=float), np.asarray(right, dtype=float)
    place = _places(sure)
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


def bins_of(answers: Answers) -> list[dict[str, Any]]:
    """Return the bins of answers: of the predicted class, or of each tag."""
    sure, hit = np.split(_record(answers), 2, axis=1)
    return bins(sure.ravel(), hit.ravel())


def error_of_bins(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the expected calibration error: the mean over images of |confidence - accuracy| of their bin."""
    filled = [row for row in rows if row["count"]]
    gaps, total = 0.0, sum(row["count"] for row in filled)
    for row in filled:
        gaps += row["count"] * abs(row["confidence"] - row["accuracy"])
    return gaps / total if total else None


def _places(confidence: Floats) -> npt.NDArray[np.intp]:
    return np.clip(np.ceil(confidence * NUM_BINS).astype(np.intp) - 1, 0, NUM_BINS - 1)


def _mean(values: Floats) -> float | None:
    mean = float(values.mean()) if values.size else math.nan
    return mean if math.isfinite(mean) else None


def _record(answers: Answers) -> Array:
    """Confidence and right, side by side: of the predicted class, or of each tag."""
    assert answers.probabilities is not None
    p = np.asarray(answers.probabilities)
    if np.ndim(answers.truth) == 1:
        sure, hit = p.max(1, initial=0.0)[:, None], correct(answers)[:, None]
    else:
        sure, hit = p, np.asarray(answers.truth)
    return np.concatenate([sure, hit], axis=1, dtype=np.float64)


def _value(records: Array, weights: Array) -> Floats:
    sure, hit = (part.ravel() for part in np.split(records, 2, axis=1))
    weights = np.repeat(weights, records.shape[1] // 2, axis=1)
    place, gaps = _places(sure), np.zeros(len(weights))
    for k in range(NUM_BINS):
        inside = place == k
        shares = weights[:, inside]
        total = shares.sum(1)
        means = ((shares * part[inside]).sum(1) / np.where(total > 0, total, 1) for part in (sure, hit))
        gaps += total * np.abs(next(means) - next(means))
    return np.asarray(gaps / weights.sum(1))


def _contribution(records: Array) -> Floats:
    """Within a bin the error is a mean of confidence minus right, with the sign of the bin."""
    sure, hit = np.split(records, 2, axis=1)
    place = _places(sure)
    signs = np.sign(np.bincount(place.ravel(), (sure - hit).ravel(), NUM_BINS))
    return np.asarray((signs[place] * (sure - hit)).mean(1))


ECE = Metric(
    "ece",
    "expected calibration error",
    "min",
    form="percent",
    possible=SHARE,
    record=_record,
    value=_value,
    closed=_contribution,
    interval="none",
)
