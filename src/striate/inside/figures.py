"""Figures of what is seen inside a network, for notebooks and PNG files: matplotlib figures, returned and not shown."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.base.own import SOFTWARE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]
INK, QUIET, ACCENT = "#1c1c1c", "#6b6b6b", "#c2410c"
COLOURS = ("#1f77b4", "#d95f02", "#1b9e77", "#7570b3", "#e7298a", "#a6761d", "#66a61e", "#e6ab02", "#17becf", "#666666")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")  # so that colour is not the only sign
MAX_TILES = 64
TILE_IN = 1.2
THUMBNAIL_PX = 40


def png(figure: "Figure") -> bytes:
    """Return a figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, facecolor="white", metadata=SOFTWARE)
    return buffer.getvalue()


def tiles(images: Sequence[Array], titles: Sequence[str], title: str = "", columns: int = 8) -> "Figure":
    """Return images side by side, the first 64 of them: (H, W, 3) in levels or 0..1, or (H, W) maps.

    Maps run from blue (negative) over white (0) to red, each to its own largest value.
    """
    from matplotlib.figure import Figure

    shown = images[:MAX_TILES]
    columns = min(columns, max(1, len(shown)))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(columns * TILE_IN + 0.3, rows * (TILE_IN + 0.25) + 0.5), facecolor="white")
    left_out = f" ({len(shown)} of {len(images)})" if len(shown) < len(images) else ""
    figure.suptitle(title + left_out, fontsize=10, color=INK, parse_math=False)
    for index, image in enumerate(shown):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set_axis_off()
        axes.set_title(titles[index] if index < len(titles) else "", fontsize=7, color=QUIET, parse_math=False)
        show(axes, image)
    return figure


def show(axes: "Axes", image: Array) -> None:
    """Draw an image (H, W, 3) or (H, W, 1), or a signed map (H, W)."""
    if image.ndim == 3:
        axes.imshow(image[..., 0] if image.shape[2] == 1 else image[..., :3], cmap="gray", interpolation="nearest")
        return
    largest = float(np.abs(image).max()) or 1.0
    axes.imshow(image, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")


def field(image: Array, influence: Array, box: tuple[int, int, int, int], title: str) -> "Figure":
    """Return an image with the box that can reach a unit, and beside it how much each pixel counts."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(7.2, 3.9), facecolor="white")
    figure.suptitle(title, fontsize=10, color=INK, parse_math=False)
    left, top, right, bottom = box
    for number, name in enumerate(("the box that can reach the unit", "how much each pixel counts")):
        axes = figure.add_subplot(1, 2, number + 1)
        axes.set_axis_off()
        axes.set_title(name, fontsize=8, color=QUIET)
        show(axes, image)
        if number:
            axes.imshow(influence, cmap="cividis", alpha=0.75, interpolation="nearest")
        edge = Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor=ACCENT, linewidth=2)
        axes.add_patch(edge)
        height, width = influence.shape
        axes.set_xlim(-0.5, width - 0.5)
        axes.set_ylim(height - 0.5, -0.5)
    return figure


def plane(
    points: Array,
    groups: Array | None,
    names: Sequence[str],
    thumbnails: Sequence[tuple[int, Array]],
    title: str,
    labels: tuple[str, str],
) -> "Figure":
    """Return images as points on a plane, classes by colour and mark, with thumbnails of some.

    Args:
        points: (N, 2).
        groups: (N,) classes by index into `names`, or numbers where there are no names; None for one colour.
        thumbnails: (index of the image, its pixels), drawn where its point is.
        labels: of the axes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6.4), facecolor="white")
    axes = figure.add_axes((0.09, 0.09, 0.70, 0.82))
    axes.set_title(title, fontsize=10, color=INK, loc="left", parse_math=False)
    axes.set_xlabel(labels[0], fontsize=8, color=QUIET)
    axes.set_ylabel(labels[1], fontsize=8, color=QUIET)
    axes.tick_params(labelsize=7, labelcolor=QUIET, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    if groups is None:
        axes.scatter(points[:, 0], points[:, 1], s=14, color=COLOURS[0])
    elif not names:
        drawn = axes.scatter(points[:, 0], points[:, 1], s=14, c=groups, cmap="viridis")
        figure.colorbar(drawn, ax=axes, shrink=0.6)
    else:
        for number, name in enumerate(names):
            x, y = points[groups == number].T
            mark, colour = MARKS[number // len(COLOURS) % len(MARKS)], COLOURS[number % len(COLOURS)]
            mark = MARKS[number % len(MARKS)] if len(names) <= len(MARKS) else mark
            axes.scatter(x, y, s=16, marker=mark, color=colour, alpha=0.8, linewidths=0, label=name[:24])
        if len(names) <= 30:
            legend = axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=7, frameon=False)
            for text in legend.get_texts():
                text.set_parse_math(False)
    for index, image in thumbnails:
        _thumbnail(axes, points[index], image)
    return figure


def _thumbnail(axes: "Axes", at: Array, image: Array) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    zoom = THUMBNAIL_PX / max(image.shape[:2])
    pixels = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image[..., :3]
    place = (float(at[0]), float(at[1]))
    axes.add_artist(AnnotationBbox(OffsetImage(pixels, zoom=zoom), place, pad=0.1, bboxprops={"edgecolor": QUIET}))
