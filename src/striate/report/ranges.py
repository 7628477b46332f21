"""How far the axis of a curve reaches, and what is said of the values that lie above it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate.metric import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_SAID = 4


@dataclass(frozen=True)
class Above:
    """A value that lies above the axis: whose it is, in which epoch."""

    name: str
    epoch: int
    value: float


def limits(values: Iterable[float], metric: Metric) -> tuple[float, float] | None:
    """Return the ends of an axis for these values; None when none is finite.

    A loss starts at zero and ends at three times its 0.9 quantile, so that a wild first epoch does not flatten the
    rest. The quantile is rounded up: up to ten values it is their largest, and nothing is cut off.
    """
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return None
    low, high = finite[0], finite[-1]
    if metric.key == "loss":
        low = min(0.0, low)
        reach = 3 * (finite[math.ceil(0.9 * (len(finite) - 1))] - low)
        high = min(high, low + reach) if reach > 0 else high
    room = (high - low) * 0.07 or 0.05
    top = min(high + room, 1.0) if metric.is_percent and high <= 1 else high + room
    return (low if metric.key == "loss" else max(0.0, low - room) if low >= 0 else low - room), top


def above(name: str, epochs: Sequence[int], values: Sequence[float], top: float) -> list[Above]:
    """Return the finite values of a curve that are larger than `top`."""
    pairs = zip(epochs, values, strict=True)
    return [Above(name, epoch, value) for epoch, value in pairs if math.isfinite(value) and value > top]


def say_above(found: Sequence[Above], metric: Metric) -> str:
    """Say which values lie above the chart, the highest first.

    Example:
        >>> from striate.metric import by_key
        >>> say_above([Above("validation", 1, 46.5)], by_key("loss"))
        '46.5 above the chart (validation, epoch 1).'
        >>> say_above([], by_key("loss"))
        ''
    """
    ordered = sorted(found, key=lambda one: (-one.value, one.epoch, one.name))
    parts = [f"{metric.text(one.value)} ({one.name}, epoch {one.epoch})" for one in ordered[:MAX_SAID]]
    if len(ordered) == 1:
        return parts[0].replace(" (", " above the chart (", 1) + "."
    more = f" and {len(ordered) - MAX_SAID} more" if len(ordered) > MAX_SAID else ""
    return f"Above the chart: {', '.join(parts)}{more}." if parts else ""


def mark_above(axes: "Axes", found: Iterable[Above], colour: str, *, level: int = 0) -> None:
    """Draw an arrow at the upper edge for each of these values; `level` keeps the arrows of several curves apart."""
    for one in found:
        axes.plot(
            [one.epoch],
            [0.98 - 0.05 * level],
            "^",
            color=colour,
            markersize=6.5,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
        )
