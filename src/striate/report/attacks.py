"""A run under attack: its score against how much an image may be changed, where that was measured."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from striate.base.documents import read_json
from striate.base.errors import UserError
from striate.base.numbers import bounds, number
from striate.metric import Metric
from striate.metric.metric import SHARE
from striate.metric.table import metric_of

from . import charts
from .read import Run
from .svg import INK, TEST, VAL, draw
from .tasks import Section

COLOURS = {"fgsm": VAL, "pgd": TEST}
NAMES = {"fgsm": "FGSM, one step", "pgd": "PGD, several steps"}
LEVELS = 255
MAX_SHOWN = 4  # data that a run was attacked on
Point = tuple[float, float, tuple[float, float] | None]  # eps in levels, score, its interval


def attack_sections(run: Run) -> list[Section]:
    """Return a section on what `striate evaluate --adversarial` has measured of the run; none where it has not."""
    paths = sorted((run.folder.path / "evaluations").glob("*-adversarial*/scores.json"))[:MAX_SHOWN]
    bodies = [body for number, path in enumerate(paths) if (body := _body(path, f"attacks{number}-"))]
    title = "What changes too small to see do to its answers"
    body = Markup('<div class="pair">{}</div>').format(Markup("").join(bodies))
    return [Section("attacks", "Attacks", title, body)] if bodies else []


def _body(path: Path, name: str) -> Markup | None:
    try:
        document = read_json(path, "scores", dict)
    except (UserError, OSError, ValueError):
        return None
    lines, metric = _lines(document), _metric(document)
    if not lines or metric is None:
        return None
    num, about, split = number(document.get("num_images")), document.get("data"), str(document.get("split", ""))[:10]
    data = str(about.get("name", ""))[:80] if isinstance(about, Mapping) else ""
    bound = "The upper curve is a lower bound" if metric.is_less_better else "The lower curve is an upper bound"
    caption = (
        f"{metric.name[:1].upper()}{metric.name[1:]} of {num or 0:,.0f} {split} images of {data}. "
        "Across: the most by which a number of the image may change, in levels of 255. Bands: 95 % intervals. "
        f"{bound} of what a stronger attack would leave."
    )
    chart = _chart(lines, metric, name)
    return Markup('<figure class="chart">{}<figcaption>{}</figcaption></figure>').format(chart, caption)


def _metric(document: Mapping[str, Any]) -> Metric | None:
    try:
        return metric_of(document)
    except (UserError, KeyError, TypeError, ValueError):
        return None


def _lines(document: Mapping[str, Any]) -> dict[str, list[Point]]:
    """Method -> its points by rising eps, each line from the score without an attack."""
    rows = document.get("attacks")
    points: dict[str, list[Point]] = {}
    for row in rows if isinstance(rows, list) else []:
        scores = row.get("scores") if isinstance(row, Mapping) else None
        if not isinstance(scores, Mapping):
            continue
        key, spans = str(document.get("metric")), scores.get("intervals")
        eps, score = number(row.get("eps")), number(scores.get(key))
        if eps is None or score is None or not 0 <= eps <= 1:
            continue
        span = bounds(spans.get(key)) if isinstance(spans, Mapping) else None
        points.setdefault(str(row.get("method")), []).append((eps * LEVELS, score, span))
    clean = points.get("none", [])[:1]
    return {name: [*clean, *sorted(points[name])] for name in COLOURS if name in points and clean}


def _chart(lines: Mapping[str, list[Point]], metric: Metric, id_: str) -> Markup:
    figure = charts.new_figure(250)
    axes = charts.new_axes(figure, (46, 40, 130, 14))
    furthest = max(points[-1][0] for points in lines.values())
    low, high = _span(lines, metric)
    axes.set_xlim(-0.02 * furthest, 1.02 * furthest)
    axes.set_ylim(low, high)
    charts.rule_axis(axes, "y", metric.tick)
    charts.rule_axis(axes, "x", Metric("", "").tick, has_grid=False)
    for name, points in lines.items():
        eps, scores = [one[0] for one in points], [one[1] for one in points]
        spans = [one[2] or (math.nan, math.nan) for one in points]
        axes.fill_between(eps, [end for end, _ in spans], [end for _, end in spans], color=COLOURS[name], alpha=0.16)
        axes.plot(eps, scores, "o-" if name == "fgsm" else "s--", color=COLOURS[name], linewidth=2, markersize=5)
    heights = _heights([(points[-1][1] - low) / (high - low) for points in lines.values()])
    for (name, points), height in zip(lines.items(), heights, strict=True):
        at = points[-1][0] * 1.04, low + height * (high - low)
        axes.text(*at, NAMES[name], color=INK, fontsize=charts.SMALL, va="center", clip_on=False)
    said = "; ".join(
        f"{NAMES[name]}: " + ", ".join(f"{metric.text(score)} at {eps:.3g}/255" for eps, score, _ in points)
        for name, points in lines.items()
    )
    return draw(figure, id_, f"{metric.name} under attack. {said}")


def _span(lines: Mapping[str, list[Point]], metric: Metric) -> tuple[float, float]:
    """The least and the largest number of the axis: all shares; else what was measured, from 0 where there is a 0."""
    if metric.possible == SHARE:
        return 0.0, 1.02
    values = [value for points in lines.values() for _, score, span in points for value in (score, *(span or ()))]
    low = 0.0 if metric.possible[0] == 0 else min(values)
    margin = 0.05 * (max(values) - low) or 1.0
    return low if metric.possible[0] == 0 else low - margin, max(values) + margin


def _heights(shares: list[float]) -> list[float]:
    """Where the names of one or two lines stand, as shares of the height: beside their ends, and never on each other.

    Example:
        >>> _heights([0.5, 0.1]), _heights([0.0, 0.0]), _heights([1.0, 0.98])
        ([0.5, 0.1], [0.12, 0.02], [0.98, 0.88])
    """
    if len(shares) < 2 or abs(shares[0] - shares[1]) >= 0.1:
        return [max(share, 0.02) for share in shares]
    middle = min(max(sum(shares) / len(shares), 0.07), 0.93)
    return [round(middle + 0.05, 3), round(middle - 0.05, 3)]
