"""How much of an image the rows of a network see, from the first to the last: in theory, and what counts of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from striate.base.noun import Noun
from striate.base.text import shown
from striate.inside.figures import ACCENT, COLOURS, QUIET
from striate.inside.receptive import ReceptiveField

from .charts import SMALL, new_axes, new_figure
from .svg import MUTED, RULE, TRAIN, VAL, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT_PX, WIDTH_PX = 300, 640
MAX_NAME = 14
THEORY, EFFECT = "in theory", "effective"


def depth_chart(fields: Sequence[ReceptiveField], noun: Noun) -> Markup | None:
    """Return the chart of the fields row by row; None where there are none."""
    if not fields:
        return None
    figure = new_figure(HEIGHT_PX, WIDTH_PX)
    axes = new_axes(figure, (46, 92, 76, 24))
    labels = {f"row{number}": shown(one.row, MAX_NAME) for number, one in enumerate(fields)}
    _plot(axes, fields, list(labels), (VAL, TRAIN, MUTED))
    axes.grid(axis="y", color=RULE, linewidth=1)
    return draw(figure, "depth", depth_text(fields, noun), texts=labels)


def draw_depth(axes: "Axes", fields: Sequence[ReceptiveField], noun: Noun) -> None:
    """Draw the same in a figure of its own colours."""
    names = [shown(one.row, MAX_NAME).encode("latin-1", "backslashreplace").decode("latin-1") for one in fields]
    _plot(axes, fields, names, (ACCENT, COLOURS[0], QUIET))
    axes.set_title(f"How many {noun.place}s wide each row sees", fontsize=9, parse_math=False)


def depth_text(fields: Sequence[ReceptiveField], noun: Noun) -> str:
    """Return what the chart shows, in sentences with the last row's numbers."""
    last, width = fields[-1], _side(fields)
    ended = next((one.row for one in fields if one.theoretical_px >= width), None)
    reach = f"from {ended} on it is as wide as the {noun.one}" if ended else f"never as wide as the {noun.one}"
    return (
        f"The middle unit of {last.row}, the last of {len(fields)} rows with maps, can see {last.theoretical_px:.0f} "
        f"{noun.place}s along a side ({reach}, {width:.0f}); those that count for more than 4.55 % of what the "
        f"strongest one does would fill {last.effective_px:.0f}."
    )


def _side(fields: Sequence[ReceptiveField]) -> float:
    height, width = fields[0].influence.shape
    return float(width if height == 1 else (height * width) ** 0.5)


def _plot(axes: "Axes", fields: Sequence[ReceptiveField], names: Sequence[str], colours: tuple[str, str, str]) -> None:
    theory, effect, quiet = colours
    side, places = _side(fields), range(len(fields))
    top = 1.35 * side  # what is wider sees all of it anyway
    lines = (
        (THEORY, [min(one.theoretical_px, 2 * top) for one in fields], theory, "s", "--"),
        (EFFECT, [one.effective_px for one in fields], effect, "o", "-"),
    )
    for name, values, colour, mark, dashes in lines:
        axes.plot(places, values, color=colour, marker=mark, markersize=4, linestyle=dashes, linewidth=1.8)
        at = (len(fields) - 1, min(values[-1], top))
        axes.annotate(name, at, (8, -3), textcoords="offset points", color=colour, fontsize=SMALL)
    axes.axhline(side, color=quiet, linewidth=1)
    axes.set_ylim(0, top)
    axes.set_xlim(-0.4, len(fields) - 0.6 if len(fields) > 1 else 0.4)
    axes.set_xticks(list(places), list(names), rotation=50, ha="right", fontsize=SMALL, parse_math=False)
