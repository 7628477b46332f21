"""A run under attack: the share that stays right against how much an image may be changed, where that was measured."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from striate.base.documents import read_json
from striate.base.errors import UserError
from striate.base.numbers import bounds, number
from striate.metric import Metric

from . import charts
from .read import Run
from .svg import INK, TEST, VAL, draw
from .tasks import Section

PERCENT = Metric("", "", form="percent")
COLOURS = {"fgsm": VAL, "pgd": TEST}
NAMES = {"fgsm": "FGSM, one step", "pgd": "PGD, several steps"}
LEVELS = 255
MAX_SHOWN = 4  # data that a run was attacked on
Point = tuple[float, float, tuple[float, float] | None]  # eps in levels, share, its interval


def attack_sections(run: Run) -> list[Section]:
    """Return a section on what `striate evaluate --adversarial` has measured of the run; none where it has not."""
    paths = sorted((run.folder.path / "evaluations").glob("*-adversarial*/scores.json"))[:MAX_SHOWN]
    bodies = [body for number, path in enumerate(paths) if (body := _body(path, f"attacks{number}-"))]
    title = "How small a change makes it answer wrongly"
    return [Section("attacks", "Attacks", title, Markup("").join(bodies))] if bodies else []


def _body(path: Path, name: str) -> Markup | None:
    try:
        document = read_json(path, "scores", dict)
    except (UserError, OSError, ValueError):
        return None
    lines = _lines(document)
    if not lines:
        return None
    key, num = str(document.get("metric", ""))[:40], number(document.get("num_images"))
    about, split = document.get("data"), str(document.get("split", ""))[:10]
    data = str(about.get("name", ""))[:80] if isinstance(about, Mapping) else ""
    caption = (
        f"{key.replace('_', ' ').capitalize()} of {num or 0:,.0f} {split} images of {data}. "
        "Across: the most by which a number of the image may change, in levels of 255. Bands: 95 % intervals. "
        "The lower curve is an upper bound of what a stronger attack would leave."
    )
    chart = _chart(lines, key, name) or ""
    return Markup('<figure class="chart">{}<figcaption>{}</figcaption></figure>').format(chart, caption)


def _lines(document: Mapping[str, Any]) -> dict[str, list[Point]]:
    """Method -> its points by rising eps, each line from the score without an attack."""
    rows = document.get("attacks")
    points: dict[str, list[Point]] = {}
    for row in rows if isinstance(rows, list) else []:
        scores = row.get("scores") if isinstance(row, Mapping) else None
        if not isinstance(scores, Mapping):
            continue
        key, spans = str(document.get("metric")), scores.get("intervals")
        eps, share = number(row.get("eps")), number(scores.get(key))
        if eps is None or share is None or not 0 <= share <= 1 or not 0 <= eps <= 1:
            continue
        span = bounds(spans.get(key)) if isinstance(spans, Mapping) else None
        points.setdefault(str(row.get("method")), []).append((eps * LEVELS, share, span))
    clean = points.get("none", [])[:1]
    return {name: [*clean, *sorted(points[name])] for name in COLOURS if name in points and clean}


def _chart(lines: Mapping[str, list[Point]], key: str, id_: str) -> Markup | None:
    figure = charts.new_figure(250)
    axes = charts.new_axes(figure, (46, 40, 130, 14))
    furthest = max(points[-1][0] for points in lines.values())
    axes.set_xlim(-0.02 * furthest, 1.02 * furthest)
    axes.set_ylim(0, 1.02)
    charts.rule_axis(axes, "y", PERCENT.tick)
    charts.rule_axis(axes, "x", Metric("", "").tick, has_grid=False)
    for name, points in lines.items():
        eps, shares = [one[0] for one in points], [one[1] for one in points]
        spans = [one[2] or (math.nan, math.nan) for one in points]
        axes.fill_between(eps, [low for low, _ in spans], [high for _, high in spans], color=COLOURS[name], alpha=0.16)
        axes.plot(eps, shares, "o-" if name == "fgsm" else "s--", color=COLOURS[name], linewidth=2, markersize=5)
    heights = _heights([points[-1][1] for points in lines.values()])
    for (name, points), y in zip(lines.items(), heights, strict=True):
        end = points[-1][0]
        axes.text(end * 1.04, y, NAMES[name], color=INK, fontsize=charts.SMALL, va="center", clip_on=False)
    said = "; ".join(
        f"{NAMES[name]}: " + ", ".join(f"{share:.0%} at {eps:.3g}/255" for eps, share, _ in points)
        for name, points in lines.items()
    )
    return draw(figure, id_, f"{key} under attack. {said}")


def _heights(shares: list[float]) -> list[float]:
    """Where the names of one or two lines stand: beside their ends, and never on each other.

    Example:
        >>> _heights([0.5, 0.1]), _heights([0.0, 0.0]), _heights([1.0, 0.98])
        ([0.5, 0.1], [0.12, 0.02], [0.98, 0.88])
    """
    if len(shares) < 2 or abs(shares[0] - shares[1]) >= 0.1:
        return [max(share, 0.02) for share in shares]
    middle = min(max(sum(shares) / len(shares), 0.07), 0.93)
    return [round(middle + 0.05, 3), round(middle - 0.05, 3)]
