"""What a training history says: where validation loss turned, how wide the gap is.

A history is one document an epoch, as history.jsonl holds it. E epochs.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
History = Sequence[Mapping[str, Any]]
MIN_EPOCHS = 6
RISE = 0.02  # a smaller rise of validation loss, relative to its least, is no overfitting anybody would notice
WIDE_GAP = 0.05  # of a share: 5 points
WIDE_RATIO = 1.25  # of an error: a quarter more on validation than in training


def overfit_epoch(history: History) -> int | None:
    """Return the epoch after which validation loss rose and stayed up while training loss fell; None if it did not.

    Both losses are smoothed (median of 3 epochs, then a mean over 3 epochs, or a tenth of the run if that is more).
    The turn is the least smoothed validation loss. It counts when, over the last half of the epochs after it, the
    validation loss lies above the turn by 2 % of it and by 4 times the noise of the smoothed curve, every epoch of
    that half by half as much, and the training loss lies below its value at the turn.

    Example:
        >>> fall = [{"epoch": e, "train": {"loss": 2 / e}, "val": {"loss": 2 / e + 0.05 * max(0, e - 8)}}
        ...         for e in range(1, 21)]
        >>> overfit_epoch(fall)
        8
    """
    rows = [row for row in history if _loss(row, "train") is not None and _loss(row, "val") is not None]
    if len(rows) < MIN_EPOCHS:
        return None
    train, val = (np.array([_loss(row, split) for row in rows], dtype=float) for split in ("train", "val"))
    window = max(3, len(rows) // 10)
    smooth_train, smooth_val = _smooth(train, window), _smooth(val, window)
    turn = int(smooth_val.argmin())
    after = np.arange(turn + 1, len(rows))
    if len(after) < 2:
        return None
    late = after[len(after) // 2 :]
    limit = max(RISE * abs(smooth_val[turn]), 4 * _noise(val, window))
    rise = smooth_val[late] - smooth_val[turn]
    has_risen = rise.mean() > limit and rise.min() > limit / 2
    return int(rows[turn]["epoch"]) if has_risen and smooth_train[late].mean() < smooth_train[turn] else None


def generalisation_gap(history: History, best_epoch: int, metric: str = "accuracy", mode: str = "max") -> float | None:
    """Return how much better the score was in training than on validation at an epoch; above 0 is the usual case.

    For an error (mode "min") it is validation minus training. None when a score is missing.
    """
    row = next((row for row in history if row["epoch"] == best_epoch), {})
    train, val = (_score(row, split, metric) for split in ("train", "val"))
    if train is None or val is None:
        return None
    return train - val if mode == "max" else val - train


def is_overfit(train: float, val: float, *, is_share: bool, half_width: float = 0.0, times: float = 1.0) -> bool:
    """Return whether a score is so much better in training than on validation that a run overfits.

    For a share that is 5 points, or half of the validation score's 95 % interval where that is more; for an error a
    quarter more on validation. False where one of the two is not known.

    Args:
        times: so many times the usual limit.

    Example:
        >>> is_overfit(0.99, 0.74, is_share=True), is_overfit(0.99, 0.9, is_share=True, half_width=0.1)
        (True, False)
    """
    if is_share:
        return train - val > times * max(WIDE_GAP, half_width)
    return bool(val > WIDE_RATIO**times * train)


def _smooth(values: Floats, window: int) -> Floats:
    """Median of 3, then a centred mean; at the ends over the epochs there are."""
    padded = np.concatenate([values[:1], values, values[-1:]])
    calm = np.median(np.lib.stride_tricks.sliding_window_view(padded, 3), axis=1)
    weights = np.ones(window)
    sums, counts = (np.convolve(series, weights, mode="same")[: len(values)] for series in (calm, np.ones(len(values))))
    return np.asarray(sums / counts)


def _noise(values: Floats, window: int) -> float:
    """Standard deviation of the smoothed curve about its trend: of quick noise, and of wobbles slower than the window.

    Medians of absolute values leave out the few epochs where the curve bends.
    """
    bends = np.diff(values, 2)  # a straight trend adds nothing; white noise of 1 gives sqrt(6)
    quick = np.median(np.abs(bends)) / math.sqrt(6 * window)
    if len(values) < 9 * window:  # too short to tell a slow wobble from the fall itself
        return float(1.4826 * quick)
    slow = np.median(np.abs(_smooth(values, window) - _smooth(values, 3 * window)))
    return float(1.4826 * max(quick, slow))


def _loss(row: Mapping[str, Any], split: str) -> float | None:
    return _score(row, split, "loss")


def _score(row: Mapping[str, Any], split: str, metric: str) -> float | None:
    value = (row.get(split) or {}).get(metric)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
