"""The image of a range test, in the look of the reports."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from striate.base.own import SOFTWARE
from striate.report.charts import SMALL, TEXT, new_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from striate.engine.rate import RateTest

# The light colours of report.css: an image alone has no style sheet.
PAPER, INK, MUTED, RULE, LINE = "#ffffff", "#15181c", "#565d66", "#e2e5e8", "#0a5c84"
GOOD, WARM = "#1b7346", "#946000"


def chart(found: "RateTest", title: str, form: str) -> bytes:
    """Return the loss over the rate as a PNG or SVG file; `form` is "png" or "svg"."""
    import matplotlib

    figure = new_figure(340, 640)
    figure.set_facecolor(PAPER)
    axes = new_axes(figure, (58, 54, 24, 66))
    axes.set_xscale("log")
    rates, losses, smoothed = _before_the_burst(found)
    axes.plot(rates, losses, "o", color=LINE, markersize=2.6, alpha=0.35, markeredgewidth=0)
    axes.plot(rates, smoothed, color=LINE, linewidth=2.2, solid_joinstyle="round")
    _set_limits(axes, rates, losses, smoothed)
    _mark(axes, found, found.suggestion, GOOD, f"suggested {found.suggestion:g}", "right")
    _mark(axes, found, found.lowest, WARM, f"lowest loss {found.lowest:.2g}", "left")
    axes.text(0, 1, "Loss while the rate grows", transform=_from_top(axes, 50), color=INK, fontsize=15, weight="bold")
    axes.text(0, 1, title, transform=_from_top(axes, 33), color=MUTED, fontsize=TEXT, parse_math=False)
    axes.set_xlabel("learning rate", color=MUTED, fontsize=TEXT, labelpad=9)
    content = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "striate"}):
        plain = {"Date": None} if form == "svg" else SOFTWARE
        figure.savefig(content, format=form, dpi=144 if form == "png" else 72, facecolor=PAPER, metadata=plain)
    return content.getvalue()


def _from_top(axes: "Axes", points: float) -> object:
    from matplotlib.transforms import ScaledTranslation

    figure = axes.get_figure()
    assert figure is not None
    return axes.transAxes + ScaledTranslation(0, points / 72, figure.dpi_scale_trans)


def _before_the_burst(found: "RateTest") -> tuple[Sequence[float], Sequence[float], Sequence[float]]:
    """Rates, losses and smoothed losses up to where the curve is clearly above its start: beyond is only noise."""
    lowest, start = min(found.smoothed), found.smoothed[0]
    ceiling = start + 0.6 * (start - lowest)
    first = found.smoothed.index(lowest)
    end = next((i for i in range(first, len(found.rates)) if found.smoothed[i] > ceiling), len(found.rates) - 1) + 1
    return found.rates[:end], found.losses[:end], found.smoothed[:end]


def _set_limits(axes: "Axes", rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float]) -> None:
    low, high = min(losses), max(smoothed)
    room = 0.06 * (high - low)
    axes.set_ylim(low - room, high + room)
    axes.set_xlim(rates[0] / 1.4, rates[-1] * 1.4)
    axes.grid(axis="y", color=RULE, linewidth=1)
    axes.minorticks_off()
    axes.axhline(axes.get_ylim()[0], color=MUTED, linewidth=1)
    axes.tick_params(labelcolor=MUTED, labelsize=SMALL)


def _mark(axes: "Axes", found: "RateTest", rate: float, colour: str, text: str, side: str) -> None:
    """A dashed line with a point on the curve, and its name above the axes on one side."""
    import numpy as np

    loss = float(np.interp(np.log(rate), np.log(found.rates), found.smoothed))
    axes.plot([rate, rate], axes.get_ylim(), color=colour, linewidth=1.2, linestyle=(0, (3, 3)))
    axes.plot([rate], [loss], "o", markersize=8, markerfacecolor=PAPER, markeredgecolor=colour, markeredgewidth=2.2)
    axes.annotate(
        text, (rate, 1), xycoords=("data", "axes fraction"), xytext=(4 if side == "right" else -4, 5),
        textcoords="offset points", color=colour, fontsize=SMALL, ha=side, weight="bold",
    )  # fmt: skip
