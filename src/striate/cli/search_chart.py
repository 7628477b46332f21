"""The image of a search: what each candidate scored and cost, in the look of the reports."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from striate.base.numbers import counted
from striate.base.own import SOFTWARE
from striate.metric import Metric, metric_of
from striate.report.charts import SMALL, TEXT, new_axes, new_figure

from .rate_chart import GOOD, INK, LINE, MUTED, PAPER, RULE, WARM

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from striate.search.evolve import Candidate


def chart(history: "Sequence[Candidate]", result: Mapping[str, Any], seed_model: str, data: str) -> bytes:
    """Return the score of each candidate that was trained to the end over its cost, and the Pareto front, as a PNG."""
    figure = new_figure(420, 680)
    figure.set_facecolor(PAPER)
    axes = new_axes(figure, (66, 54, 24, 76))
    kind, limit, verdict = result["limit"]["kind"], result["limit"]["value"], result["verdict"]
    pick = max if verdict["mode"] == "max" else min
    points = [(getattr(one, kind), pick(one.scores), one) for one in history if one.status == "finished"]
    _dress(axes, kind, limit, max(limit, result["seed"][kind]), metric_of(verdict))
    axes.plot(*_ends(points), "o", color=LINE, markersize=5.5, alpha=0.6, markeredgewidth=0)
    x, y = _ends(sorted((point for point in points if point[2].number in result["front"]), key=lambda point: point[0]))
    axes.plot([*x, max(limit, *x)], [*y, y[-1]], drawstyle="steps-post", color=LINE, linewidth=1.8)
    _zoom(axes, [score for _, score, _ in points], result["seed"]["score"], verdict["mode"])
    _mark(axes, result["seed"], kind, WARM, "D", f"seed: {seed_model}")
    _mark(axes, result["best"], kind, GOOD, "o", f"best: number {result['best']['number']}")
    text = (
        f"{len(points)} trained to the end and drawn here, {result['cut']} cut early; the line is the best at each cost"
    )
    _head(axes, f"{len(history)} networks tried on {data}", text)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=144, facecolor=PAPER, metadata=SOFTWARE)
    return content.getvalue()


def _ends(points: "Sequence[tuple[float, float, Candidate]]") -> tuple[list[float], list[float]]:
    return [x for x, _, _ in points], [y for _, y, _ in points]


def _mark(axes: "Axes", one: Mapping[str, Any], kind: str, colour: str, shape: str, label: str) -> None:
    if one["score"] is None:
        return
    from matplotlib.patheffects import withStroke

    place = (one[kind], one["score"])
    axes.plot(*place, shape, markersize=9, markerfacecolor=PAPER, markeredgecolor=colour, markeredgewidth=2.2, zorder=4)
    is_right = one[kind] > 0.5 * axes.get_xlim()[1]
    axes.annotate(
        label, place, xytext=(-9 if is_right else 9, 5), textcoords="offset points", color=colour, fontsize=SMALL,
        weight="bold", ha="right" if is_right else "left", va="bottom", parse_math=False,
        path_effects=[withStroke(linewidth=3, foreground=PAPER)],
    )  # fmt: skip


def _dress(axes: "Axes", kind: str, limit: int, largest: int, say: Metric) -> None:
    from matplotlib.ticker import FuncFormatter

    axes.axvline(limit, color=MUTED, linewidth=1.2, linestyle=(0, (3, 3)), zorder=0)
    axes.annotate(
        f"limit {counted(limit)}", (limit, 0), xycoords=("data", "axes fraction"), xytext=(-4, 5),
        textcoords="offset points", color=MUTED, fontsize=SMALL, ha="right",
    )  # fmt: skip
    unit, letter = next(pair for pair in ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, "")) if pair[0] <= largest)
    axes.grid(axis="y", color=RULE, linewidth=1)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:g} {letter}".strip()))
    if say.is_percent:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}%"))
    axes.set_xlim(0, largest * 1.06)
    axes.set_xlabel("MACs of one image" if kind == "macs" else "parameters", color=MUTED, fontsize=TEXT, labelpad=9)
    axes.set_ylabel(f"{say.name} on validation", color=MUTED, fontsize=TEXT, labelpad=9)
    axes.tick_params(labelcolor=MUTED, labelsize=SMALL)


def _zoom(axes: "Axes", scores: Sequence[float], seed: float | None, mode: str) -> None:
    """Show the better nine tenths and the seed: networks that learned nothing would flatten the rest."""
    ordered = sorted(scores, reverse=mode == "min")
    shown = [*ordered[len(ordered) // 10 :], *([seed] if seed is not None else [])]
    low, high = min(shown), max(shown)
    room = 0.15 * (high - low) or 0.05 * abs(high) or 0.05
    axes.set_ylim(low - room, high + room)


def _head(axes: "Axes", title: str, text: str) -> None:
    axes.text(0, 1.13, title, transform=axes.transAxes, color=INK, fontsize=15, weight="bold", parse_math=False)
    axes.text(0, 1.06, text, transform=axes.transAxes, color=MUTED, fontsize=TEXT)
