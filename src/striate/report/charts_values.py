"""Charts of predicted numbers: parity, errors, and for angles the error around the circle."""

import math
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from striate.base.numbers import significant
from striate.metric import Metric

from .charts import SMALL, count_axis, new_axes, new_figure, rule_axis
from .svg import MUTED, RULE, VAL, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_DOTS = 1500


def circular(difference_deg: Any) -> Any:
    """Return an angle difference, or an array of them, in -180..180.

    Example:
        >>> circular(359 - 1), circular(10 - 355)
        (-2, 15)
    """
    return (difference_deg + 180) % 360 - 180


def parity(
    truths: Sequence[float], values: Sequence[float], name: str, metric: Metric, *, is_angle: bool
) -> Markup | None:
    """Return predictions against truths; an angle is drawn at the turn nearest to its truth."""
    pairs = [(t, v) for t, v in zip(truths, values, strict=True) if math.isfinite(t) and math.isfinite(v)]
    if not pairs:
        return None
    num_pairs, step = len(pairs), math.ceil(len(pairs) / MAX_DOTS)
    pairs = [(t, t + circular(v - t)) if is_angle else (t, v) for t, v in pairs][::step]
    figure = new_figure(400)
    axes = new_axes(figure, (56, 30, 14, 14))
    ends = (0.0, 360.0) if is_angle else _padded([number for pair in pairs for number in pair])
    axes.plot(ends, ends, color=MUTED, linewidth=1.3, linestyle=(0, (4, 3)))
    axes.scatter([t for t, _ in pairs], [v for _, v in pairs], s=13, color=VAL, alpha=0.5, linewidths=0)
    axes.set_xlim(*ends)
    low, high = min(v for _, v in pairs), max(v for _, v in pairs)
    room = (ends[1] - ends[0]) * 0.03
    axes.set_ylim(min(ends[0], low - room), max(ends[1], high + room))
    rule_axis(axes, "x", metric.tick)
    rule_axis(axes, "y", metric.tick)
    if is_angle:
        _quarter_turns(axes)
    shown = f", {len(pairs):,} of them drawn" if step > 1 else ""
    return draw(
        figure,
        name,
        f"Prediction against truth, {num_pairs:,} answers{shown}; the dashed line is a perfect prediction.",
    )


def _quarter_turns(axes: "Axes") -> None:
    for setter, (low, high) in ((axes.set_xticks, axes.get_xlim()), (axes.set_yticks, axes.get_ylim())):
        places = [angle for angle in range(-360, 721, 90) if low <= angle <= high]
        setter(places, [f"{angle}°".replace("-", "−") for angle in places])


def errors(differences: Sequence[float], name: str, metric: Metric) -> Markup | None:
    """Return a histogram of prediction minus truth; the outermost bars hold all that lies beyond."""
    finite = sorted(value for value in differences if math.isfinite(value))
    if not finite:
        return None
    last = len(finite) - 1
    reach = max(abs(finite[int(0.01 * last)]), abs(finite[math.ceil(0.99 * last)])) or 1.0
    reach = min(
        reach, 8 * median(map(abs, finite)) or reach
    )  # a few wild errors must not squeeze all others into one bar
    num_bins, width = 31, 2 * reach / 31
    counts = [0] * num_bins
    for value in finite:
        counts[min(max(int((value + reach) / width), 0), num_bins - 1)] += 1
    figure = new_figure(262)
    axes = new_axes(figure, (46, 30, 14, 14))
    axes.bar([-reach + (k + 0.5) * width for k in range(num_bins)], counts, width * 0.88, color=VAL, alpha=0.75)
    axes.axvline(0, color=MUTED, linewidth=1.3, linestyle=(0, (4, 3)))
    axes.set_xlim(-reach, reach)
    rule_axis(axes, "x", metric.tick, has_grid=False)
    count_axis(axes, "y")
    axes.axhline(0, color=MUTED, linewidth=1)
    ends = f"from {significant(finite[0])} to {significant(finite[-1])}"
    mean = significant(sum(finite) / len(finite))
    says = f"Histogram of {len(finite):,} errors, prediction minus truth: mean {mean}, {ends}."
    return draw(figure, name, says)


def around(truths_deg: Sequence[float], errors_deg: Sequence[float], name: str) -> Markup | None:
    """Return the mean error at each true angle, around the circle: directions that are confused stick out."""
    num_bins = 24
    sums, counts = [0.0] * num_bins, [0] * num_bins
    for truth, error in zip(truths_deg, errors_deg, strict=True):
        if math.isfinite(truth) and math.isfinite(error):
            sums[k := int(truth % 360 / 360 * num_bins) % num_bins] += error
            counts[k] += 1
    if not any(counts):
        return None
    means = [total / count if count else 0.0 for total, count in zip(sums, counts, strict=True)]
    figure = new_figure(400)
    axes: Any = new_axes(figure, (40, 40, 40, 40), projection="polar")
    axes.bar(
        [(k + 0.5) * math.tau / num_bins for k in range(num_bins)],
        means,
        math.tau / num_bins * 0.86,
        color=VAL,
        alpha=0.75,
    )
    axes.set_theta_zero_location("E")
    axes.set_xticks([math.radians(angle) for angle in range(0, 360, 45)], [f"{angle}°" for angle in range(0, 360, 45)])
    axes.set_ylim(0, max(means) * 1.05 or 1.0)
    axes.set_rlabel_position((min(range(num_bins), key=means.__getitem__) + 0.5) * 360 / num_bins)
    rule_axis(axes, "y", Metric("", "", unit="deg").tick, num_ticks=4)
    axes.tick_params(labelsize=SMALL, labelcolor=MUTED)
    axes.grid(color=RULE, linewidth=1)
    worst = max(range(num_bins), key=means.__getitem__)
    where = f"around {(worst + 0.5) * 360 / num_bins:.0f}°"
    says = f"Mean error by true angle, {num_bins} directions: largest {means[worst]:.1f}° {where}."
    return draw(figure, name, says)


def _padded(numbers: Sequence[float]) -> tuple[float, float]:
    low, high = min(numbers), max(numbers)
    room = (high - low) * 0.04 or 1.0
    return low - room, high + room
