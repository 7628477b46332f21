"""Charts of one run: curves, splits beside chance, calibration. Drawn 1:1 in pixels with the object interface."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from markupsafe import Markup

from striate.base.numbers import bounds, number
from striate.metric import Metric

from .ranges import above, limits, mark_above, say_above
from .read import SPLIT_WORDS
from .svg import BAD, GOOD, MUTED, PAPER, RULE, TEST, TRAIN, VAL, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_PX = 460
FEW = 10  # bins with fewer images are drawn pale: their height is mostly chance
SMALL, TEXT = 10.5, 11.5
Tick = Callable[[float, float], str]


def new_figure(height_px: int, width_px: int = WIDTH_PX) -> "Figure":
    """Return an empty figure of this size at 72 dots an inch."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_px / 72, height_px / 72), dpi=72)
    FigureCanvasSVG(figure)
    return figure


def new_axes(figure: "Figure", box_px: tuple[float, float, float, float], **options: Any) -> "Axes":
    """Return quiet axes in a box (left, bottom, right, top margins in pixels)."""
    width, height = figure.get_size_inches() * 72
    left, bottom, right, top = box_px
    axes = figure.add_axes(
        (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height), **options
    )
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0, labelsize=SMALL, labelcolor=MUTED, pad=5)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    return axes


def rule_axis(
    axes: "Axes",
    which: Literal["x", "y"],
    tick: Tick,
    *,
    num_ticks: int = 5,
    has_grid: bool = True,
    is_whole: bool = False,
) -> None:
    """Label one axis with `tick(value, step)` at round values, with hairlines across."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(num_ticks, integer=is_whole, steps=[1, 2, 2.5, 5, 10]))
    places = axis.get_major_locator()()
    step = float(places[1] - places[0]) if len(places) > 1 else 1.0
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick(value, step)))
    if has_grid:
        axes.grid(axis=which, color=RULE, linewidth=1)


def count_axis(axes: "Axes", which: Literal["x", "y"], *, num_ticks: int = 4) -> None:
    """Label one axis of counts on whole numbers, with hairlines across."""
    rule_axis(axes, which, Metric("", "").tick, num_ticks=num_ticks, is_whole=True)


def epoch_axis(axes: "Axes", epochs: Sequence[int]) -> None:
    """Label the epochs on whole numbers."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    first, last = min(epochs), max(epochs)
    axes.set_xlim(first - 0.4, max(last, first + 1) + 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}" if value >= first else ""))
    axes.axhline(axes.get_ylim()[0], color=MUTED, linewidth=1)


@dataclass(frozen=True)
class Line:
    """One curve: its values, one an epoch (NaN = a gap), its colour and dash."""

    name: str
    values: Sequence[float]
    colour: str
    dashes: str = "-"


def curves(
    epochs: Sequence[int],
    lines: Sequence[Line],
    metric: Metric,
    name: str,
    *,
    best: int | None,
    overfit: int | None,
    decays: Sequence[str] = (),
) -> Markup | None:
    """Return the chart of one score over the epochs; None when no value is finite.

    Args:
        decays: the weight decay of each point, of a linear probe: what stands across is not epochs then.
    """
    lines = [line for line in lines if any(math.isfinite(value) for value in line.values)]
    ends = limits([value for line in lines for value in line.values], metric)
    if ends is None:
        return None
    figure = new_figure(276)
    axes = new_axes(figure, (46, 42, 66, 24))
    axes.set_ylim(*ends)
    for level, line in enumerate(lines):
        marker = "o" if len(epochs) <= 12 else ""
        axes.plot(
            epochs,
            line.values,
            color=line.colour,
            linestyle=line.dashes,
            linewidth=1.9,
            solid_joinstyle="round",
            marker=marker,
            markersize=3.5,
        )
        mark_above(axes, above(line.name, epochs, line.values, ends[1]), line.colour, level=level)
    rule_axis(axes, "y", metric.tick)
    epoch_axis(axes, epochs)
    if decays:
        _decay_axis(axes, epochs, decays)
    name_axis(axes, "weight decay" if decays else "epoch")
    name_lines(axes, lines)
    if overfit is not None and epochs[0] <= overfit <= epochs[-1]:
        _mark_overfit(axes, overfit)
    if best is not None and best in epochs:
        index = list(epochs).index(best)
        _mark_best(axes, best, lines[-1].values[index], decays[index] if decays else str(best))
    return draw(figure, name, _describe(epochs, lines, metric, best, overfit, decays))


def beyond(epochs: Sequence[int], lines: Sequence[Line], metric: Metric) -> str:
    """Return which values of these curves lie above their chart, as a sentence; "" when all are inside."""
    ends = limits([value for line in lines for value in line.values], metric)
    found = [one for line in lines for one in above(line.name, epochs, line.values, ends[1])] if ends else []
    return say_above(found, metric)


def name_lines(axes: "Axes", lines: Sequence[Line]) -> None:
    """Write each line's name at its end, so that no legend is needed; names keep a line's height apart."""
    low, high = axes.get_ylim()
    last = [next(value for value in reversed(line.values) if math.isfinite(value)) for line in lines]
    heights = [min(max((value - low) / (high - low), 0.0), 1.0) for value in last]
    order = sorted(range(len(lines)), key=heights.__getitem__)
    for lower, upper in pairwise(order):
        heights[upper] = max(heights[upper], heights[lower] + 0.075)
    heights[order[-1]] = min(heights[order[-1]], 1.0)
    for upper, lower in pairwise(reversed(order)):
        heights[lower] = min(heights[lower], heights[upper] - 0.075)
    for line, height in zip(lines, heights, strict=True):
        axes.text(1.015, height, line.name, color=line.colour, fontsize=TEXT, va="center", transform=axes.transAxes)


def name_axis(axes: "Axes", text: str) -> None:
    """Write what stands across at the axis's right end, beside its labels."""
    axes.annotate(
        text,
        (1, 0),
        xycoords="axes fraction",
        xytext=(7, -13),
        textcoords="offset points",
        color=MUTED,
        fontsize=SMALL,
        fontstyle="italic",
    )


def _decay_axis(axes: "Axes", places: Sequence[int], decays: Sequence[str]) -> None:
    """Label every second point or so with the weight decay it stands for."""
    step = max(1, math.ceil(len(places) / 5))
    axes.set_xticks(list(places)[::step], list(decays)[::step])


def _mark_overfit(axes: "Axes", epoch: int) -> None:
    axes.axvspan(epoch, axes.get_xlim()[1], color=BAD, alpha=0.09, linewidth=0, zorder=0)
    axes.axvline(epoch, color=BAD, linewidth=1.2, linestyle=(0, (1, 2)))
    is_late = epoch > sum(axes.get_xlim()) * 0.6
    axes.annotate(
        f"loss rises after {epoch}",
        (epoch, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 6),
        textcoords="offset points",
        color=BAD,
        fontsize=SMALL,
        ha="right" if is_late else "left",
    )


def _mark_best(axes: "Axes", epoch: int, value: float, text: str) -> None:
    if not math.isfinite(value):
        return
    low, high = axes.get_ylim()
    axes.plot([epoch, epoch], [low, min(value, high)], color=VAL, linewidth=1.2, linestyle=(0, (3, 3)))
    axes.plot([epoch], [value], "o", markersize=8, markerfacecolor=PAPER, markeredgecolor=VAL, markeredgewidth=2.2)
    axes.annotate(
        f"best: {text}",
        (epoch, 0),
        xycoords=("data", "axes fraction"),
        xytext=(0, -32),
        textcoords="offset points",
        color=VAL,
        fontsize=SMALL,
        fontweight="bold",
        ha="center",
    )


def _describe(
    epochs: Sequence[int],
    lines: Sequence[Line],
    metric: Metric,
    best: int | None,
    overfit: int | None,
    decays: Sequence[str],
) -> str:
    parts = [f"{line.name} from {metric.text(line.values[0])} to {metric.text(line.values[-1])}" for line in lines]
    across = f"{len(epochs)} strengths of weight decay" if decays else f"{len(epochs)} epochs"
    text = f"{metric.name} over {across}: {'; '.join(parts)}."
    text = " ".join(filter(None, (text, beyond(epochs, lines, metric))))
    if best is not None:
        text += f" Best weight decay {decays[list(epochs).index(best)]}." if decays else f" Best epoch {best}."
    return text + (f" Validation loss rises after epoch {overfit}." if overfit is not None else "")


def splits(
    values: dict[str, float], interval: Any, reported: str, chance: dict[str, float], metric: Metric
) -> Markup | None:
    """Return a strip: the metric on each split as dots on one line, the interval, and what guessing would score."""
    if not values:
        return None
    figure = new_figure(112)
    axes = new_axes(figure, (14, 30, 14, 8))
    span = bounds(interval)
    everything = [*values.values(), *chance.values(), *(span or ())]
    if metric.is_percent:
        axes.set_xlim(-0.01, 1.01)
    else:
        axes.set_xlim(min(0.0, *everything), max(everything) * 1.12 or 1.0)
    axes.set_ylim(-1, 1)
    axes.set_yticks([])
    rule_axis(axes, "x", metric.tick, num_ticks=5)
    if span:
        axes.plot(span, [0, 0], color=TEST, linewidth=9, alpha=0.28, solid_capstyle="butt")
    colours = {"train": TRAIN, "val": VAL, "test": TEST}
    marks = {"train": "s", "val": "D", "test": "o"}
    for split, value in values.items():
        size = 11 if split == reported else 7
        axes.plot(
            [value],
            [0],
            marks[split],
            color=colours[split],
            markersize=size,
            markeredgecolor=PAPER,
            markeredgewidth=1.2,
        )
    labels = [(value, SPLIT_WORDS[split], colours[split]) for split, value in values.items()]
    labels += [(value, text, MUTED) for text, value in chance.items()]
    for value in chance.values():
        axes.plot([value, value], [-0.55, 0.55], color=MUTED, linewidth=1.4)
    _spread_labels(axes, labels)
    said = ", ".join(f"{SPLIT_WORDS[split]} {metric.text(value)}" for split, value in values.items())
    return draw(
        figure, "splits", f"{metric.name}: {said}" + "".join(f"; {k} {metric.text(v)}" for k, v in chance.items())
    )


def _spread_labels(axes: "Axes", labels: Sequence[tuple[float, str, str]]) -> None:
    """Write labels alternately above and below their marks when they would touch."""
    first, last = axes.get_xlim()
    taken: dict[float, float] = {0.62: -math.inf, -0.62: -math.inf}
    for value, text, colour in sorted(labels):
        share = (value - first) / (last - first)
        half = 0.0075 * len(text) + 0.018
        level = next(
            (height for height, end in taken.items() if share - half > end), min(taken, key=lambda k: taken[k])
        )
        share = max(share, taken[level] + half)
        taken[level] = share + half
        ha = "right" if share + half > 1.02 else "left" if share - half < -0.02 else "center"
        axes.text(first + share * (last - first), level, text, color=colour, fontsize=SMALL, ha=ha, va="center")


def calibration(bins: Sequence[dict[str, Any]], name: str = "calibration") -> Markup | None:
    """Return the reliability diagram: share that is right against confidence, and how many images are in each bin."""
    rows = [
        row
        for row in bins
        if number(row.get("count"))
        and number(row.get("accuracy")) is not None
        and number(row.get("confidence")) is not None
    ]
    if not rows:
        return None
    figure = new_figure(330)
    axes = new_axes(figure, (46, 96, 16, 14))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    percent = Metric("", "", form="percent")
    rule_axis(axes, "y", percent.tick)
    axes.set_xticks([])
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.3, linestyle=(0, (4, 3)))
    for row in rows:
        low, high = float(row["lower"]), float(row["upper"])
        said, right = float(row["confidence"]), float(row["accuracy"])
        clear = 1.0 if row["count"] >= FEW else 0.35
        axes.bar((low + high) / 2, right, high - low - 0.012, color=VAL, alpha=0.22 * clear)
        axes.plot([low + 0.006, high - 0.006], [right, right], color=VAL, linewidth=2.4, alpha=clear)
        axes.plot([said, said], [said, right], color=BAD if said > right else GOOD, linewidth=2.2, alpha=clear)
    axes.text(0.035, 0.075, "calibrated", color=MUTED, fontsize=SMALL, rotation=34)
    below = new_axes(figure, (46, 30, 16, 252))
    most = max(float(row["count"]) for row in rows)
    for row in rows:
        low, high = float(row["lower"]), float(row["upper"])
        below.bar((low + high) / 2, float(row["count"]) / most, high - low - 0.012, color=MUTED, alpha=0.55)
    below.set_xlim(0, 1)
    below.set_ylim(0, 1.05)
    below.set_yticks([0, 1], ["0", f"{most:,.0f}"])
    rule_axis(below, "x", percent.tick, has_grid=False)
    below.axhline(0, color=MUTED, linewidth=1)
    said_text = "; ".join(
        f"sure {float(row['confidence']):.0%}, right {float(row['accuracy']):.0%} of {int(row['count'])}"
        for row in rows
    )
    return draw(figure, name, f"Calibration: {said_text}.")
