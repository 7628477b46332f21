"""How many boxes there are of each class, how large they are and of which shape: numbers, lines and a figure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.base.own import SOFTWARE
from striate.base.text import plural, shown

if TYPE_CHECKING:
    from .boxes import Boxes
    from .target import Indices

MAX_LINES, QUANTILES = 40, (0.1, 0.5, 0.9)


def distribution(boxes: "Boxes", splits: "Mapping[str, Indices]") -> dict[str, Any]:
    """Return the number of boxes by class and split, and the 10 %, 50 % and 90 % quantiles of sides and aspects.

    Returns:
        {"boxes", "images", "background", "an_image": [fewest, median, most], "classes": {name: {"boxes", one a split,
        "width_px", "height_px", "aspect"}}}; aspect is width over height.
    """
    counts = np.diff(boxes.starts)
    sides = (boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]).astype(np.float64)
    is_whole = (sides > 0).all(1)
    in_split = {name: np.isin(boxes.image, members) for name, members in splits.items()}
    classes = {}
    for label, name in enumerate(boxes.names):
        own = boxes.labels == label
        seen = sides[own & is_whole]
        classes[name] = {
            "boxes": int(own.sum()),
            **{split: int((own & inside).sum()) for split, inside in in_split.items()},
            "width_px": _quantiles(seen[:, 0]),
            "height_px": _quantiles(seen[:, 1]),
            "aspect": _quantiles(seen[:, 0] / seen[:, 1]),
        }
    an_image = [int(counts.min()), float(np.median(counts)), int(counts.max())] if len(counts) else []
    return {"boxes": len(sides), "images": len(counts), "background": int((counts == 0).sum()), "an_image": an_image,
            "classes": classes}  # fmt: skip


def lines(boxes: "Boxes", splits: "Mapping[str, Indices]") -> list[str]:
    """Return `distribution` as lines of a terminal."""
    found = distribution(boxes, splits)
    fewest, median, most = found["an_image"] or (0, 0, 0)
    head = f"{plural(found['boxes'], 'box', 'boxes')} in {plural(found['images'], 'image')}"
    head += f", {fewest} to {most} an image (median {median:g})" if fewest < most else f", {fewest} an image"
    head += f"; {found['background']:,} without any" if found["background"] else ""
    width = max([len(shown(name, 30)) for name in boxes.names[:MAX_LINES]] + [5])
    title = f"  {'':<{width}}{'boxes':>9}" + "".join(f"{split:>9}" for split in splits)
    rows = [head, f"{title}   width x height px   (10 % to 90 %)           width/height"]
    for name, row in list(found["classes"].items())[:MAX_LINES]:
        numbers = "".join(f"{row[key]:>9,}" for key in ("boxes", *splits))
        rows.append(f"  {shown(name, 30):<{width}}{numbers}   {_sizes(row)}")
    if len(boxes.names) > MAX_LINES:
        rows.append(f"  ... and {len(boxes.names) - MAX_LINES:,} more classes")
    return rows


def _sizes(row: Mapping[str, Any]) -> str:
    if row["aspect"] is None:
        return "-"
    (w0, w, w1), (h0, h, h1), (a0, a, a1) = (row[key] for key in ("width_px", "height_px", "aspect"))
    spread = f"({w0:.0f} x {h0:.0f} to {w1:.0f} x {h1:.0f})"
    return f"{f'{w:.0f} x {h:.0f}':<20}{spread:<24} {a:.2f} ({a0:.2f} to {a1:.2f})"


def _quantiles(values: Any) -> list[float] | None:
    return [round(float(value), 3) for value in np.quantile(values, QUANTILES)] if len(values) else None


def figure(boxes: "Boxes", splits: "Mapping[str, Indices]") -> bytes:
    """Return a PNG: boxes by class and split, the sides of a sample of them, and their aspects."""
    import io

    from matplotlib.figure import Figure

    from .palette import colour_of

    names = boxes.names[:MAX_LINES]
    drawn = Figure((13, max(3.6, 1.4 + 0.28 * len(names))), layout="constrained")
    bars, sizes, shapes = drawn.subplots(1, 3)
    found = distribution(boxes, splits)["classes"]
    left = np.zeros(len(names))
    for split in splits:
        values = np.array([found[name][split] for name in names], float)
        bars.barh(range(len(names)), values, left=left, label=split)
        left += values
    bars.set_yticks(range(len(names)), [shown(name, 24) for name in names])
    bars.invert_yaxis()
    bars.set_xlabel("boxes")
    bars.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(splits))
    sides = boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]
    for label, name in enumerate(names):
        own = sides[(boxes.labels == label) & (sides > 0).all(1)][:2000]
        colour = tuple(level / 255 for level in colour_of(label))
        sizes.plot(own[:, 0], own[:, 1], ".", color=colour, markersize=3, alpha=0.5, label=shown(name, 24))
        if len(own):
            shapes.hist(np.log2(own[:, 0] / own[:, 1]), 40, (-4, 4), histtype="step", color=colour, density=True)
    sizes.set_xscale("log", base=2)
    sizes.set_yscale("log", base=2)
    for axis in (sizes.xaxis, sizes.yaxis):
        axis.set_major_formatter("{x:g}")  # powers of two as such would load fonts for formulas
    sizes.set_xlabel("width, px")
    sizes.set_ylabel("height, px")
    shapes.set_xlabel("width / height")
    shapes.set_xticks(range(-4, 5), ["1/16", "1/8", "1/4", "1/2", "1", "2", "4", "8", "16"])
    shapes.set_ylabel("share of the boxes of a class")
    shapes.set_yticks([])
    content = io.BytesIO()
    drawn.savefig(content, format="png", dpi=100, metadata=SOFTWARE)
    return content.getvalue()
