"""What a metric is: numbers of each image, a score of all of them, and the way that score is written.

From `record` and `value` follow the score of a split (weights 1), its bootstrap interval (weights: how often each image
was drawn), and the contribution of each image, by which scores are compared image by image. Accuracy is the mean of
right (1) and wrong (0). A score that is no mean (a root, a ratio, a rank) has for each image the contribution
score + N x (change of the score per change of the image's weight): their mean is the score itself, and their spread
gives its sampling error to first order (the infinitesimal jackknife).

N images, S numbers an image, R rows of weights. Reference: Efron and Tibshirani, "An introduction to the bootstrap"
(1993), chapter 21.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from striate.base.errors import SettingsError
from striate.base.numbers import NA, bounds, digits_of, number, significant

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]
SHARE: Interval = (0.0, 1.0)
ERROR: Interval = (0.0, math.inf)
ANY: Interval = (-math.inf, math.inf)
WORDS = ("key", "name", "direction", "form", "unit")
STEP = 1e-3  # of a weight, for a derivative: errs by 1e-6 of it, and rounds by N x 1e-13
CHUNK_NUMBERS = 2_000_000  # weights held at once: 16 MB


@dataclass(frozen=True)
class Answers:
    """What a network answered for N images beside the truth: classes, numbers, maps or objects, as the task says.

    `truth` and `values` are laid out alike, `losses` (N,); `probabilities` (N, K) where there are classes; `records`
    maps the name of what a metric records to its numbers of each image (N, S), where they cannot be made again from
    the rest.
    """

    truth: Array
    values: Array
    losses: npt.NDArray[np.floating]
    probabilities: npt.NDArray[np.floating] | None = None
    records: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.losses)


def mean(records: Array, weights: Array) -> Floats:
    """Return the weighted means (R,) over images and columns of records (N, S), the value of most metrics."""
    if len(weights) == 1:  # numpy's pairwise sum: a score has the least rounding
        total = (weights[0][:, None] * records).sum(dtype=np.float64)
        return np.array([total / (weights.sum() * records.shape[1])])
    return np.asarray(weights @ records.mean(1, dtype=np.float64) / weights.sum(1))


def column(values: Array) -> Array:
    """Return values (N,) as records (N, 1)."""
    return np.asarray(values).reshape(-1, 1)


def words_only(_: Answers) -> Array:
    raise SettingsError("this score cannot be computed here", fix="load the task that defines it with --plugin")


@dataclass(frozen=True)
class Metric:
    """One metric.

    Args:
        key: its name in files.
        name: its name in words.
        direction: "max" where more is better.
        form: "percent" for a share that is written so; its differences are in points.
        unit: of the numbers; "deg" for degrees.
        possible: the least and the largest value.
        record: from answers to the numbers of each image (N, S).
        record_name: what the records are called in files where several metrics make the same; by default the key.
        value: from records (N, S) and weights (R, N), not negative, to scores (R,); NaN where there is none.
        closed: from records to contributions (N,), where there is a closed form of the general ones.
        interval: how the interval of a score is found: "wilson" (a mean of 0 and 1), "bootstrap", "student" (of the
            contributions; for scores that take long to compute again) or "none".
        stream: metrics of one stream are computed on the same bootstrap draws.
        is_discrete: there are few different records, so that images with equal ones are drawn together.
        is_typeset: written with the signs of print, as in a report: `−0.5°`.

    Example:
        >>> accuracy = Metric("accuracy", "accuracy", form="percent", possible=SHARE)
        >>> accuracy.text(0.9134), accuracy.change(0.041), accuracy.amount(-0.1), accuracy.span([0.09, 0.107])
        ('91.3%', '+4.1 points', '10.0 points', '9.0% to 10.7%')
        >>> error = Metric("mean_error_deg", "mean error", "min", unit="deg", possible=ERROR)
        >>> error.text(6.42), error.typeset().change(-0.5), error.span([5.9, 7.0]), error.text(None)
        ('6.42 degrees', '−0.500°', '5.90 to 7.00 degrees', 'n/a')
    """

    key: str
    name: str
    direction: Literal["max", "min"] = "max"
    form: Literal["number", "percent"] = "number"
    unit: str = ""
    possible: Interval = ANY
    record: Callable[[Answers], Array] = words_only
    value: Callable[[Array, Array], Floats] = mean
    closed: Callable[[Array], Floats] | None = None
    interval: Literal["wilson", "bootstrap", "student", "none"] = "bootstrap"
    stream: str = "images"
    record_name: str = ""
    is_discrete: bool = False
    is_typeset: bool = False

    @property
    def is_percent(self) -> bool:
        """Whether it is written in percent, and its differences in points."""
        return self.form == "percent"

    @property
    def is_less_better(self) -> bool:
        """Whether a small score is a good one."""
        return self.direction == "min"

    @property
    def best(self) -> float:
        """The best score that is possible."""
        return self.possible[0 if self.is_less_better else 1]

    @property
    def is_share(self) -> bool:
        """Whether it goes from 0 to 1, the best."""
        return self.possible == SHARE and self.direction == "max"

    def score(self, records: Array) -> float | None:
        """Return the score of records (N, S); None where it is not defined."""
        if not len(records):
            return None
        score = float(self.value(records, np.ones((1, len(records))))[0])
        return score if math.isfinite(score) else None

    def per_image(self, answers: Answers) -> Floats:
        """Return (N,) the contribution of each image, whose mean is the score."""
        return self.contribution(self.records(answers))

    def made(self, answers: Answers) -> Array:
        """Return the numbers of each image (N, S) as `record` makes them; one number an image may come as (N,)."""
        records = np.asarray(self.record(answers))
        return records[:, None] if records.ndim == 1 else records

    def records(self, answers: Answers) -> Array:
        """Return the numbers of each image (N, S): those that a table of predictions kept, else made anew."""
        kept = answers.records.get(self.record_name or self.key)
        return self.made(answers) if kept is None else kept

    def contribution(self, records: Array) -> Floats:
        """Return (N,) values of records (N, S), whose mean is the score; NaN where the score is not defined."""
        if self.closed is not None:
            return np.asarray(self.closed(records), dtype=np.float64)
        if self.value is mean:
            return np.asarray(records.mean(1, dtype=np.float64))
        return self.jackknife(records)

    def jackknife(self, records: Array) -> Floats:
        """Return the contributions by the general way: a numeric derivative by each weight (N of them, N^2 work)."""
        kinds, place, counts = self.kinds(records)
        weights = counts[None].astype(np.float64)
        score, size = self.value(kinds, weights)[0], max(1, CHUNK_NUMBERS // len(kinds))
        slopes = np.empty(len(kinds))
        for start in range(0, len(kinds), size):
            rows = np.arange(start, min(start + size, len(kinds)))
            up, down = (np.repeat(weights, len(rows), 0) for _ in range(2))
            up[rows - start, rows] += STEP
            down[rows - start, rows] -= STEP
            slopes[rows] = (self.value(kinds, up) - self.value(kinds, down)) / (2 * STEP)
        return np.asarray((score + len(records) * slopes)[place])

    def kinds(self, records: Array) -> tuple[Array, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return the different records (G, S), which of them each image has (N,), and how many images have it (G,)."""
        if not self.is_discrete:
            return records, np.arange(len(records)), np.ones(len(records), dtype=np.intp)
        _, first, place, counts = np.unique(_keys(records), return_index=True, return_inverse=True, return_counts=True)
        return records[first], place, counts

    def words(self) -> dict[str, Any]:
        """Return what a document needs so that its scores are written by who does not know the metric."""
        ends = [end if math.isfinite(end) else None for end in self.possible]
        return {name: getattr(self, name) for name in WORDS} | {"possible": ends}

    def typeset(self) -> Self:
        """Return this metric written with the signs of print."""
        return replace(self, is_typeset=True)

    def text(self, value: Any) -> str:
        """Return a score as text, or n/a."""
        known = number(value)
        return NA if known is None else self._digits(known) + ("%" if self.is_percent else self._unit)

    def change(self, value: Any) -> str:
        """Return a difference of two scores with its sign, which one that rounds to zero has not."""
        known = number(value)
        if known is None:
            return NA
        plus = "+" if known > 0 and any(digit in self._digits(known) for digit in "123456789") else ""
        return plus + self._digits(known) + self._points

    def amount(self, value: Any) -> str:
        """Return the size of a difference of two scores, without its sign."""
        known = number(value)
        return NA if known is None else self._digits(abs(known)) + self._points

    def spread(self, value: Any) -> str:
        """Return a standard deviation, as digits alone."""
        known = number(value)
        return NA if known is None else self._digits(known)

    def span(self, interval: Sequence[float | None] | None, *, is_change: bool = False) -> str:
        """Return an interval of a score, or of a difference of two, as `low to high`, or n/a."""
        ends = bounds(interval)
        if ends is None:
            return NA
        low, high = map(self._digits, ends)
        if self.is_percent and not is_change:
            return f"{low}% to {high}%"
        return f"{low} to {high}{self._points}"

    def tick(self, value: float, step: float) -> str:
        """Return an axis label that says its exact value, with the digits of `step`; a unit in words is left out.

        Example:
            >>> accuracy = Metric("accuracy", "accuracy", form="percent")
            >>> [Metric("loss", "loss").tick(value, 2.5) for value in (0, 2.5, 5)], accuracy.tick(0.525, 0.025)
            (['0.0', '2.5', '5.0'], '52.5%')
        """
        factor = 100 if self.is_percent else 1
        digits = digits_of(step * factor)
        rounded = round(value * factor, digits) + 0.0  # a negative zero becomes a plain one
        return self._signs(f"{rounded:,.{digits}f}") + ("%" if self.is_percent else "°" if self.unit == "deg" else "")

    def _digits(self, value: float) -> str:
        text = f"{100 * value:.1f}".replace("-0.0", "0.0") if self.is_percent else significant(value)
        return self._signs(text)

    @property
    def _points(self) -> str:
        return " points" if self.is_percent else self._unit

    @property
    def _unit(self) -> str:
        if self.unit == "deg":
            return "°" if self.is_typeset else " degrees"
        return f" {self.unit}" if self.unit else ""

    def _signs(self, text: str) -> str:
        return text.replace("-", "−") if self.is_typeset else text


def records_of(metrics: Sequence[Metric], answers: Answers) -> dict[str, Array]:
    """Return the records of each metric by its key; metrics with one `record` function share one array."""
    made: dict[Any, Array] = {}
    for metric in metrics:
        if metric.record not in made:
            made[metric.record] = metric.records(answers)
    return {metric.key: made[metric.record] for metric in metrics}


def _keys(records: Array) -> Array:
    """One number or structure a record, in the order of the columns, so that equal records are equal keys."""
    if records.shape[1] == 1:
        return records[:, 0]
    if records.shape[1] == 2 and records.dtype.kind in "iu" and records.size and records.min() >= 0:
        return records[:, 0] * (int(records[:, 1].max()) + 1) + records[:, 1]
    return np.unique(records, axis=0, return_inverse=True)[1]
