"""Numbers as text: significant digits, large counts in short, and what is no number at all."""

import math
from collections.abc import Sequence
from typing import Any

NA = "n/a"
MAX_DIGITS = 16  # a float holds no more


def number(value: Any) -> float | None:
    """Return `value` as a finite float; None for everything else.

    Example:
        >>> number(float("nan")), number("x"), number(True), number(3)
        (None, None, None, 3.0)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def is_known(value: float | None) -> bool:
    """Return whether there is a finite number."""
    return value is not None and math.isfinite(value)


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


def counted(value: Any) -> str:
    """Return a large count in short: `389,000` as `389 k`.

    Example:
        >>> counted(1_214_602), counted(21_480_960_000), counted(389_000), counted(830), counted(None)
        ('1.21 M', '21.5 G', '389 k', '830', 'n/a')
    """
    known = number(value)
    if known is None:
        return NA
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(known) >= factor:
            return f"{significant(known / (1e3 if letter == 'k' else factor))} {letter}"
    return f"{known:,.0f}"


def count(value: Any) -> str:
    """Return a whole number with thousands separators, or n/a."""
    known = number(value)
    return NA if known is None else f"{known:,.0f}"


def digits_of(step: float) -> int:
    """Return how many decimals write every multiple of `step` exactly.

    Example:
        >>> digits_of(2.5), digits_of(1), digits_of(0.025)
        (1, 0, 3)
    """
    return next((digits for digits in range(MAX_DIGITS) if abs(round(step, digits) - step) < 1e-4 * step), 0)
