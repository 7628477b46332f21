"""The chart of detections: precision against recall, a line a class."""

from collections.abc import Mapping, Sequence
from itertools import product

from markupsafe import Markup

from striate.metric import Metric

from .charts import SMALL, new_axes, new_figure, rule_axis
from .svg import INK, TEST, TRAIN, VAL, draw

STYLES = tuple((colour, dashes) for dashes, colour in product(("-", (0, (5, 2)), (0, (1, 2))), (VAL, TEST, TRAIN)))
MAX_LINES = len(STYLES)
ROOM_PX = 130  # to the right, for the classes' names


def precision_recall(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], name: str) -> Markup | None:
    """Return the best precision at each recall or beyond; None without curves.

    Args:
        curves: class -> recalls and precisions, in 0..1; the first `MAX_LINES` are drawn.
    """
    if not curves:
        return None
    figure = new_figure(300)
    axes = new_axes(figure, (46, 42, ROOM_PX, 14))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    percent, texts = Metric("", "", form="percent"), dict[str, str]()
    rule_axis(axes, "x", percent.tick)
    rule_axis(axes, "y", percent.tick)
    for number, ((label, (recall, precision)), (colour, dashes)) in enumerate(
        zip(curves.items(), STYLES, strict=False)
    ):
        axes.plot(recall, precision, color=colour, linestyle=dashes, linewidth=1.9)
        height, key = 0.97 - 0.1 * number, f"class {number}"
        axes.plot([1.03, 1.1], [height, height], color=colour, linestyle=dashes, linewidth=1.9, clip_on=False)
        axes.text(1.13, height, key, color=INK, fontsize=SMALL, va="center")
        texts[key] = label
    axes.text(0.5, -0.14, "recall", color=INK, fontsize=SMALL, ha="center", transform=axes.transAxes)
    said = ", ".join(f"{label} to {max((r for r, p in zip(*one, strict=True) if p > 0), default=0):.0%}"
                     for label, one in list(curves.items())[:MAX_LINES])  # fmt: skip
    return draw(figure, name, f"Precision against recall at IoU 0.5; recall goes: {said}.", texts=texts)
