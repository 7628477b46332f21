"""Charts of a study: every seed as a dot, differences from the baseline, curves as small multiples on equal axes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from striate.base.text import shown
from striate.metric import Metric

from .charts import SMALL, TEXT, Line, epoch_axis, name_axis, name_lines, new_axes, new_figure, rule_axis
from .ranges import Above, above, limits, mark_above, say_above
from .svg import BAD, GOOD, INK, MUTED, PAPER, TEST, TRAIN, VAL, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW_PX = 54
COLOURS = (VAL, TRAIN, TEST, GOOD, BAD, MUTED, INK)  # of variants in one chart; then again, with dashes


@dataclass(frozen=True)
class Dots:
    """One variant's results: a value a seed, their mean and its interval."""

    name: str
    values: Sequence[float]
    mean: float | None
    interval: tuple[float, float] | None
    is_best: bool = False


@dataclass(frozen=True)
class Difference:
    """A variant's difference from the baseline, positive when its metric is larger."""

    name: str
    mean: float
    interval: tuple[float, float] | None
    is_separable: bool
    is_better: bool
    is_reference: bool = False


def variants(rows: Sequence[Dots], metric: Metric, *, width_px: int = 460) -> Markup | None:
    """Return the variants side by side; None when nothing was measured."""
    numbers = [value for row in rows for value in (*row.values, *(row.interval or ()))]
    if not numbers:
        return None
    figure = new_figure(ROW_PX * len(rows) + 30, width_px)
    axes = new_axes(figure, (16, 26, 16, 4))
    _row_limits(axes, numbers, len(rows))
    rule_axis(axes, "x", metric.tick, num_ticks=6)
    texts, titles = {}, {}
    for index, row in enumerate(rows):
        colour = VAL if row.is_best else MUTED
        texts[f"@{index}"] = row.name
        axes.text(0, index - 0.3, f"@{index}", fontsize=TEXT, color=INK, fontweight="bold" if row.is_best else "normal",
                  transform=axes.get_yaxis_transform())  # fmt: skip
        if row.interval:
            axes.plot(row.interval, [index + 0.12] * 2, color=colour, linewidth=9, alpha=0.25, solid_capstyle="butt")
        for seed, value in enumerate(row.values):
            dot = f"dot-{index}-{seed}"
            offset = 0.12 + 0.11 * ((seed % 3) - 1) * (len(row.values) > 2)
            axes.plot(
                [value],
                [index + offset],
                "o",
                markersize=6,
                color=colour,
                markeredgecolor=PAPER,
                markeredgewidth=0.8,
                gid=dot,
            )
            titles[dot] = f"{row.name}: {metric.text(value)}"
        if row.mean is not None:
            axes.plot([row.mean] * 2, [index - 0.12, index + 0.36], color=INK if row.is_best else colour, linewidth=2.4)
    said = "; ".join(f"{row.name} {metric.text(row.mean)} ({metric.span(row.interval)})" for row in rows)
    return draw(
        figure, "variants", f"{metric.name} of each variant, mean and interval: {said}.", texts=texts, titles=titles
    )


@dataclass(frozen=True)
class Size:
    """A point of a learning curve: training images, mean score and its interval."""

    num_train: float
    mean: float
    interval: tuple[float, float] | None
    name: str


def learning_curve(points: Sequence[Size], metric: Metric, *, width_px: int = 460) -> Markup:
    """Return the score over the number of training images, which has a logarithmic axis."""
    figure = new_figure(260, width_px)
    axes = new_axes(figure, (52, 34, 16, 14))
    places = [math.log2(point.num_train) for point in points]
    for place, point in zip(places, points, strict=True):
        if point.interval:
            axes.plot([place, place], point.interval, color=VAL, linewidth=9, alpha=0.25, solid_capstyle="butt")
    axes.plot(places, [point.mean for point in points], "o-", color=VAL, linewidth=1.6, markersize=7)
    room = 0.15 * (places[-1] - places[0])
    axes.set_xlim(places[0] - room, places[-1] + room)
    axes.margins(y=0.12)
    axes.set_xticks([])
    rule_axis(axes, "y", metric.tick, num_ticks=5)
    texts = {f"@{index}": f"{point.num_train:,.0f} images" for index, point in enumerate(points)}
    for index, place in enumerate(places):
        axes.text(place, -0.07, f"@{index}", fontsize=SMALL, color=MUTED, ha="center", va="top",
                  transform=axes.get_xaxis_transform())  # fmt: skip
    said = "; ".join(
        f"{point.num_train:,.0f} images {metric.text(point.mean)} ({metric.span(point.interval)})" for point in points
    )
    return draw(figure, "learning", f"{metric.name} over the number of training images: {said}.", texts=texts)


def differences(rows: Sequence[Difference], metric: Metric, *, width_px: int = 460) -> Markup | None:
    """Return each variant's difference from the baseline with its interval, around a line at zero."""
    numbers = [value for row in rows for value in (row.mean, *(row.interval or ()))]
    if not numbers:
        return None
    figure = new_figure(ROW_PX * len(rows) + 30, width_px)
    axes = new_axes(figure, (16, 26, 16, 4))
    _row_limits(axes, [*numbers, 0.0], len(rows))
    rule_axis(axes, "x", lambda value, step: _points(metric, value, step), num_ticks=6)
    texts = {}
    for index, row in enumerate(rows):
        axes.plot([0, 0], [index - 0.14, index + 0.42], color=INK, linewidth=1.4)  # leaves room for the name
        colour = (GOOD if row.is_better else BAD) if row.is_separable else MUTED
        texts[f"@{index}"] = row.name
        axes.text(0, index - 0.3, f"@{index}", fontsize=TEXT, color=INK, transform=axes.get_yaxis_transform())
        if row.interval:
            axes.plot(row.interval, [index + 0.12] * 2, color=colour, linewidth=2.6, solid_capstyle="butt")
        if row.is_reference:
            texts[f"@{index}"] = f"{row.name} (the reference)"
            axes.plot([0], [index + 0.12], "|", markersize=18, markeredgewidth=5, color=INK)
            continue
        face = colour if row.is_separable else PAPER
        axes.plot(
            [row.mean],
            [index + 0.12],
            "o",
            markersize=9,
            markerfacecolor=face,
            markeredgecolor=colour,
            markeredgewidth=2,
        )
    said = "; ".join(
        f"{row.name} {metric.change(row.mean)} ({metric.span(row.interval, is_change=True)})"
        for row in rows
        if not row.is_reference
    )
    return draw(figure, "differences", f"Difference from the baseline: {said}.", texts=texts)


def _points(metric: Metric, value: float, step: float) -> str:
    text = metric.tick(value, step).rstrip("%")
    return text if text.startswith("−") or abs(value) < step / 2 else f"+{text}"


def _row_limits(axes: "Axes", numbers: Sequence[float], num_rows: int) -> None:
    low, high = min(numbers), max(numbers)
    room = (high - low) * 0.06 or 0.01
    axes.set_xlim(low - room, high + room)
    axes.set_ylim(num_rows - 0.45, -0.62)
    axes.set_yticks([])
    for index in range(1, num_rows):
        axes.axhline(index - 0.5, color=MUTED, alpha=0.25, linewidth=1)


@dataclass(frozen=True)
class Seeds:
    """One variant's curves: for each seed a value an epoch, of one score on train and validation, and its best epoch.

    `best` counts from 1, as the epochs of the chart do; None where a run has no best epoch.
    """

    train: Sequence[Sequence[float]]
    val: Sequence[Sequence[float]]
    best: Sequence[int | None] = ()

    @property
    def values(self) -> list[float]:
        """Every value of every curve."""
        return [value for curve in (*self.train, *self.val) for value in curve]

    def above(self, top: float) -> dict[str, list[Above]]:
        """Return, for train and validation, the highest seed of each epoch where it is larger than `top`."""
        found = {}
        for name, curves in (("training", self.train), ("validation", self.val)):
            epochs, _, _, high = band(curves)
            found[name] = above(name, epochs, high, top)
        return found


def beyond(seeds: Seeds, metric: Metric, ends: tuple[float, float]) -> str:
    """Return which values of these curves lie above their chart, as a sentence; "" when all are inside."""
    return say_above([one for found in seeds.above(ends[1]).values() for one in found], metric)


def multiple(
    seeds: Seeds,
    metric: Metric,
    name: str,
    says: str,
    *,
    ends: tuple[float, float],
    num_epochs: int,
    overfit: int | None,
) -> Markup:
    """Return one small multiple: mean over the seeds, the band from the lowest to the highest, a ring a best epoch."""
    figure = new_figure(176, 250)
    axes = new_axes(figure, (38, 26, 8, 8))
    axes.set_ylim(*ends)
    arrows = seeds.above(ends[1]).values()
    looks = ((seeds.train, TRAIN, (0, (4, 2))), (seeds.val, VAL, "-"))
    for level, ((curves, colour, dashes), found) in enumerate(zip(looks, arrows, strict=True)):
        epochs, low, mean, high = band(curves)
        axes.fill_between(epochs, low, high, color=colour, alpha=0.22, linewidth=0)
        axes.plot(epochs, mean, color=colour, linewidth=1.9, linestyle=dashes)
        mark_above(axes, found, colour, level=level)
    if overfit is not None:
        axes.axvline(overfit, color=BAD, linewidth=1.2, linestyle=(0, (1, 2)))
    titles = _ring_best(axes, seeds, metric, ends[1])
    rule_axis(axes, "y", metric.tick, num_ticks=4)
    epoch_axis(axes, range(1, max(2, num_epochs) + 1))
    axes.tick_params(labelsize=SMALL)
    known = sorted(epoch for epoch in seeds.best if epoch is not None)
    kept = f"Best {'epoch' if len(known) == 1 else 'epochs'} {', '.join(map(str, known))}." if known else ""
    return draw(figure, name, " ".join(filter(None, (says, beyond(seeds, metric, ends), kept))), titles=titles)


def together(curves: Mapping[str, Sequence[Sequence[float]]], metric: Metric, best: str | None) -> Markup | None:
    """Return the mean over seeds of every variant in one chart, names at the lines' ends; None with fewer than two.

    Args:
        curves: of each variant, a value an epoch for each seed.
        best: the variant whose line is thick.
    """
    means = {name: band(seeds)[2] for name, seeds in curves.items()}
    means = {name: mean for name, mean in means.items() if finite(mean)}
    ends = limits([value for mean in means.values() for value in mean], metric)
    if ends is None or len(means) < 2:
        return None
    figure = new_figure(276)
    axes = new_axes(figure, (46, 42, 118, 12))
    axes.set_ylim(*ends)
    lines = []
    for index, (name, mean) in enumerate(means.items()):
        round_, colour = divmod(index, len(COLOURS))
        lines.append(Line(f"@{index}", mean, COLOURS[colour]))
        dashes = (0, (4, 2)) if round_ % 2 else "-"
        epochs = range(1, len(mean) + 1)
        axes.plot(epochs, mean, color=COLOURS[colour], linestyle=dashes, linewidth=2.6 if name == best else 1.5)
        mark_above(axes, above(name, epochs, mean, ends[1]), COLOURS[colour], level=index)
    rule_axis(axes, "y", metric.tick)
    epoch_axis(axes, range(1, max(2, *map(len, means.values())) + 1))
    name_axis(axes, "epoch")
    name_lines(axes, lines)
    texts = {f"@{index}": shown(name, 17) for index, name in enumerate(means)}
    last = "; ".join(f"{name} {metric.text(finite(mean)[-1])}" for name, mean in means.items())
    return draw(figure, "together", f"{metric.name} on validation over the epochs, at the end: {last}.", texts=texts)


def _ring_best(axes: "Axes", seeds: Seeds, metric: Metric, top: float) -> dict[str, str]:
    """Draw a ring where each run was best on validation; return what each says when it is pointed at."""
    titles = {}
    for index, (curve, epoch) in enumerate(zip(seeds.val, seeds.best, strict=False)):
        value = curve[epoch - 1] if epoch is not None and 1 <= epoch <= len(curve) else math.nan
        if epoch is None or not math.isfinite(value) or value > top:
            continue
        ring = f"ring-{index}"
        axes.plot([epoch], [value], "o", markersize=5.5, markerfacecolor=PAPER, markeredgecolor=VAL,
                  markeredgewidth=1.7, gid=ring, clip_on=False)  # fmt: skip
        titles[ring] = f"best epoch {epoch}: {metric.text(value)}"
    return titles


def band(curves: Sequence[Sequence[float]]) -> tuple[list[int], list[float], list[float], list[float]]:
    """Return epochs with their lowest, mean and highest value over the seeds that got that far."""
    epochs, low, mean, high = [], [], [], []
    for index in range(max((len(curve) for curve in curves), default=0)):
        values = [curve[index] for curve in curves if index < len(curve) and math.isfinite(curve[index])]
        epochs.append(index + 1)
        low.append(min(values, default=math.nan))
        high.append(max(values, default=math.nan))
        mean.append(sum(values) / len(values) if values else math.nan)
    return epochs, low, mean, high


def finite(values: Sequence[float | None]) -> list[float]:
    """Return the values that are finite numbers."""
    return [value for value in values if value is not None and math.isfinite(value)]
