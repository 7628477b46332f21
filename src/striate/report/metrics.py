"""How a score is called and written: `accuracy 0.9134` becomes "91.3%", what is not defined becomes "n/a"."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NA = "n/a"
MAX_DIGITS = 16  # of an axis label: a float holds no more

PERCENT = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "top5_accuracy": "top-5 accuracy",
    "exact_match": "exact matches",
    "within_10_deg": "within 10 degrees",
    "ece": "calibration error",
    "macro_f1": "macro F1",
    "f1": "F1 over all tags",
    "mean_average_precision": "mean average precision",
}
IN_UNIT = {
    "rmse": "root mean squared error",
    "mae": "mean absolute error",
    "mean_error_deg": "mean error",
    "median_error_deg": "median error",
}
PLAIN = {"auc": "area under the ROC curve", "r2": "R²", "loss": "loss"}


@dataclass(frozen=True)
class Metric:
    """One kind of score, with its name in words and its way of being written.

    Example:
        >>> accuracy = metric("accuracy")
        >>> accuracy.text(0.9134), accuracy.change(0.041), accuracy.span([0.898, 0.9271]), accuracy.text(None)
        ('91.3%', '+4.1 points', '89.8% to 92.7%', 'n/a')
        >>> metric("mean_error_deg").text(6.42), metric("rmse", "mm").change(-0.5)
        ('6.42°', '−0.500 mm')
    """

    key: str
    label: str
    is_percent: bool = False
    unit: str = ""
    is_less_better: bool = False

    def text(self, value: Any) -> str:
        """Return the value as text, or n/a."""
        found = number(value)
        if found is None:
            return NA
        return f"{100 * found:.1f}%" if self.is_percent else _signed(significant(found)) + self._unit

    def change(self, value: Any) -> str:
        """Return a difference of two values with its sign."""
        found = number(value)
        if found is None:
            return NA
        if self.is_percent:
            return f"{_signed(f'{100 * found:+.1f}')} points"
        return ("+" if found > 0 else "") + _signed(significant(found)) + self._unit

    def spread(self, value: Any) -> str:
        """Return a standard deviation in the metric's unit, without a sign."""
        found = number(value)
        if found is None:
            return NA
        return f"{100 * found:.1f}" if self.is_percent else significant(found)

    def span(self, interval: Any, *, is_change: bool = False) -> str:
        """Return an interval as `low to high`, or n/a."""
        ends = bounds(interval)
        if ends is None:
            return NA
        write = self.change if is_change else self.text
        return f"{write(ends[0])} to {write(ends[1])}".replace(" points to", " to")

    def tick(self, value: float, step: float) -> str:
        """Return an axis label that says its exact value, with the digits of `step`; a unit in words is left out.

        Example:
            >>> [metric("loss").tick(value, 2.5) for value in (0, 2.5, 5)], metric("accuracy").tick(0.525, 0.025)
            (['0.0', '2.5', '5.0'], '52.5%')
        """
        factor = 100 if self.is_percent else 1
        digits = _digits(step * factor)
        rounded = round(value * factor, digits) + 0.0  # a negative zero becomes a plain one
        return _signed(f"{rounded:,.{digits}f}") + ("%" if self.is_percent else "°" if self.unit == "°" else "")

    @property
    def _unit(self) -> str:
        return self.unit if self.unit in ("", "°") else f" {self.unit}"


def metric(key: str, unit: str = "") -> Metric:
    """Return the metric called `key`; an unknown one is a plain number under its own name."""
    unit = "°" if unit == "deg" or key.endswith("_deg") else unit
    if key in PERCENT:
        return Metric(key, PERCENT[key], is_percent=True, is_less_better=key == "ece")
    if key in IN_UNIT:
        return Metric(key, IN_UNIT[key], unit=unit, is_less_better=True)
    return Metric(key, PLAIN.get(key, key.replace("_", " ")), is_less_better=key == "loss")


def number(value: Any) -> float | None:
    """Return `value` as a finite float; None for everything else.

    Example:
        >>> number(float("nan")), number("x"), number(True), number(3)
        (None, None, None, 3.0)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def bounds(interval: Any) -> tuple[float, float] | None:
    """Return (low, high) when `interval` is a pair of finite numbers."""
    if not isinstance(interval, Sequence) or isinstance(interval, str) or len(interval) != 2:
        return None
    low, high = number(interval[0]), number(interval[1])
    return None if low is None or high is None else (low, high)


def significant(value: float, digits: int = 3) -> str:
    """Return a number with `digits` significant digits, without an exponent where it can be read without.

    Example:
        >>> significant(0.012345), significant(6.4), significant(1234.5), significant(0.0)
        ('0.0123', '6.40', '1,234', '0')
    """
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if not -5 < exponent < 9:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"


def scaled(value: Any) -> str:
    """Return a large count with a suffix.

    Example:
        >>> scaled(1_214_602), scaled(21_480_960_000), scaled(830), scaled(None)
        ('1.21 M', '21.5 G', '830', 'n/a')
    """
    found = number(value)
    if found is None:
        return NA
    for factor, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(found) >= factor:
            return f"{significant(found / (1e3 if suffix == 'k' else factor))} {suffix}"
    return f"{found:,.0f}"


def count(value: Any) -> str:
    """Return a whole number with thousands separators, or n/a."""
    found = number(value)
    return NA if found is None else f"{found:,.0f}"


def _digits(step: float) -> int:
    """Return how many decimals write every multiple of `step` exactly."""
    return next((digits for digits in range(MAX_DIGITS) if abs(round(step, digits) - step) < 1e-4 * step), 0)


def _signed(text: str) -> str:
    return text.replace("-", "−")
