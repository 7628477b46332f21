"""How a verdict says its numbers: shares as percent and points, errors in their unit, three digits that count."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

SHARES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "top5_accuracy": "top-5 accuracy",
    "macro_f1": "macro F1",
    "f1": "F1",
    "exact_match": "share of images with all tags right",
    "mean_average_precision": "mean average precision",
    "auc": "area under the ROC curve",
    "within_10_deg": "share within 10 degrees",
}
ERRORS = {"rmse": "root mean squared error", "mae": "mean absolute error", "mean_error_deg": "mean error"}


@dataclass(frozen=True)
class Wording:
    """The words of one metric.

    Example:
        >>> accuracy, error = Wording("accuracy"), Wording("mean_error_deg", "deg")
        >>> accuracy.value(0.9134), accuracy.amount(0.1), accuracy.span([0.09, 0.107], is_change=True)
        ('91.3%', '10.0 points', '9.0 to 10.7 points')
        >>> error.value(6.42), error.span([5.9, 7.0])
        ('6.42 degrees', '5.90 to 7.00 degrees')
    """

    metric: str
    unit: str = ""

    @property
    def name(self) -> str:
        """The metric in words."""
        return SHARES.get(self.metric) or ERRORS.get(self.metric) or self.metric.replace("_", " ")

    @property
    def is_share(self) -> bool:
        """Whether the metric is written in percent, and its differences in points."""
        return self.metric in SHARES

    def value(self, value: float | None) -> str:
        """Return a score as text."""
        return self._number(value) + ("%" if self.is_share and is_known(value) else self._unit(value))

    def amount(self, value: float | None) -> str:
        """Return the size of a difference of two scores, without its sign."""
        size = None if value is None else abs(value)
        unit = " points" if self.is_share and is_known(value) else self._unit(value)
        return self._number(size) + unit

    def change(self, value: float) -> str:
        """Return a difference of two scores with its sign, which one that rounds to zero has not."""
        return self._number(value) + (" points" if self.is_share else self._unit(value))

    def span(self, interval: Sequence[float | None] | None, *, is_change: bool = False) -> str:
        """Return an interval of a score, or of a difference of two."""
        if interval is None or not all(is_known(end) for end in interval):
            return "not known"
        low, high = (self._number(end) for end in interval)
        if self.is_share:
            return f"{low} to {high} points" if is_change else f"{low}% to {high}%"
        return f"{low} to {high}{self._unit(interval[0])}"

    def _number(self, value: float | None) -> str:
        if value is None or not math.isfinite(value):
            return "n/a"
        return f"{100 * value:.1f}".replace("-0.0", "0.0") if self.is_share else significant(value)

    def _unit(self, value: float | None) -> str:
        if self.is_share or not is_known(value) or self.metric == "loss":
            return ""
        unit = "degrees" if self.metric.endswith("_deg") or self.unit == "deg" else self.unit
        return f" {unit}" if unit else ""


def is_known(value: float | None) -> bool:
    """Return whether there is a finite number."""
    return value is not None and math.isfinite(value)


def significant(value: float) -> str:
    """Return a number with three digits that count, and no exponent where it reads without.

    Example:
        >>> significant(0.012345), significant(6.4), significant(1234.5), significant(0.0)
        ('0.0123', '6.40', '1,234', '0')
    """
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, 2 - exponent)}f}" if -5 < exponent < 9 else f"{value:.2e}"


def counted(value: float | None) -> str:
    """Return a large count in short: `389,000` as `389 k`.

    Example:
        >>> counted(1_214_602), counted(389_000), counted(830), counted(None)
        ('1.21 M', '389 k', '830', 'n/a')
    """
    if value is None:
        return "n/a"
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= factor:
            return f"{significant(value / (1e3 if letter == 'k' else factor))} {letter}"
    return f"{value:,.0f}"


def listed(names: Sequence[str]) -> str:
    """Return names as a person lists them.

    Example:
        >>> listed(["a"]), listed(["a", "b", "c"]), listed([])
        ('a', 'a, b and c', '')
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
