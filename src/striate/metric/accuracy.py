"""How often the answer is right: accuracy, top-k accuracy, exact match, and numbers that are near enough."""

from functools import partial

import numpy as np
import numpy.typing as npt

from .error import absolute_errors
from .metric import SHARE, Answers, Array, Metric, column


def correct(answers: Answers) -> npt.NDArray[np.bool_]:
    """Return which images are right (N,); of several tags all must be.

    Example:
        >>> correct(Answers(np.array([[0, 1], [1, 1]]), np.array([[0, 1], [1, 0]]), losses=np.zeros(2))).tolist()
        [True, False]
    """
    same = np.equal(answers.truth, answers.values)
    return same if same.ndim == 1 else np.all(same, axis=1)


def in_top(true: npt.NDArray[np.int64], p: npt.NDArray[np.floating], num: int) -> npt.NDArray[np.bool_]:
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


def _right(answers: Answers) -> Array:
    return column(correct(answers))


def _top(answers: Answers, num: int) -> Array:
    assert answers.probabilities is not None
    return column(in_top(answers.truth, answers.probabilities, num))


def _near(answers: Answers, limit: float, unit: str) -> Array:
    return np.asarray(absolute_errors(answers.truth, answers.values, unit) < limit)


ACCURACY = Metric("accuracy", "accuracy", form="percent", possible=SHARE, record=_right, interval="wilson")
EXACT_MATCH = Metric("exact_match", "exact match", form="percent", possible=SHARE, record=_right, interval="wilson")


def top(num: int) -> Metric:
    """Return top-k accuracy."""
    record = partial(_top, num=num)
    return Metric(
        f"top{num}_accuracy", f"top-{num} accuracy", form="percent", possible=SHARE, record=record, interval="wilson"
    )


def within(limit: float, unit: str) -> Metric:
    """Return the share of numbers that err by less than `limit`.

    Example:
        >>> within(10, "deg").key, within(0.5, "mm").name
        ('within_10_deg', 'share within 0.5 mm')
    """
    key, name = f"within_{limit:g}_{unit}".rstrip("_"), "degrees" if unit == "deg" else unit
    record = partial(_near, limit=limit, unit=unit)
    return Metric(
        key,
        f"share within {limit:g} {name}".rstrip(),
        form="percent",
        possible=SHARE,
        record=record,
        interval="wilson",
    )
