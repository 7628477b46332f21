"""What is wrong with boxes, whatever the images show, and at the size at which a network sees them."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from striate.base.numbers import significant
from striate.base.size import SizeHW, size_text
from striate.base.text import plural, shown

from ..check.finding import Finding, listed

if TYPE_CHECKING:
    from ..geometry import Geometry
    from .boxes import Boxes

SLACK_PX = 1.0  # by which rounding may put a side beyond the border
SMALL_PX, STEP_PX, MOST_PX = 8, 32, 1280  # of an object; what sizes are rounded to; the largest that is advised
FIX_SKIP = "mend or remove the box, or use --on-bad skip"
Sizes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def wrong_boxes(boxes: "Boxes", ids: Sequence[str], sizes_hw: Sizes) -> Iterator[Finding]:
    """Yield boxes that nothing can be learnt from, beyond the border, of no class and there twice; and empty images.

    Args:
        ids: of the N images.
        sizes_hw: (N, 2) their sizes, 0 where not known.
    """
    height, width = sizes_hw[boxes.image].T.astype(np.float64) if len(boxes.xyxy) else np.zeros((2, 0))
    left, top, right, bottom = boxes.xyxy.T.astype(np.float64)
    is_known = width > 0
    is_number = np.isfinite(boxes.xyxy).all(1)
    is_swapped = (right < left) | (bottom < top)
    is_flat = ~is_number | (~is_swapped & ((right <= left) | (bottom <= top)))
    is_outside = is_known & ((right <= 0) | (bottom <= 0) | (left >= width) | (top >= height)) & ~is_flat & ~is_swapped
    odd = is_flat | is_swapped | is_outside
    is_strange = (boxes.labels < 0) | (boxes.labels >= max(1, len(boxes.names)))
    for name, is_bad, what in (
        ("flat_box", is_flat, "without area"),
        ("swapped_box", is_swapped, "with swapped corners"),
        ("box_outside", is_outside, "outside of their image"),
        ("strange_box", is_strange, "of no known class"),
    ):
        yield from _errors(boxes, ids, name, is_bad, what)
    beyond = np.stack([-left, -top, right - width, bottom - height]).max(0, initial=-math.inf)
    is_beyond = is_known & (beyond > SLACK_PX) & ~odd
    yield from _warnings(boxes, ids, "box_beyond", is_beyond, "beyond the border of their image", "cut them at it")
    is_speck = ~odd & (np.minimum(right - left, bottom - top) <= 1)
    yield from _warnings(boxes, ids, "speck_box", is_speck, "of one pixel", "remove them: nothing is seen in them")
    yield from _warnings(boxes, ids, "doubled_box", _is_doubled(boxes), "there twice", "remove the copies")
    empty = tuple(ids[index] for index in np.flatnonzero(np.diff(boxes.starts) == 0).tolist())
    if empty and not boxes.is_partial:
        text = f"{plural(len(empty), 'image')} without boxes, taken for background: {listed(empty)}"
        yield Finding("no_box", "note", empty, text)


def small_boxes(boxes: "Boxes", ids: Sequence[str], sizes_hw: Sizes, geometry: "Geometry") -> Iterator[Finding]:
    """Yield the boxes whose shorter side becomes less than 8 px where a network sees them, and the size that would do.

    Args:
        ids, sizes_hw: see `wrong_boxes`.
        geometry: how images become what the network sees.
    """
    own = (boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]).min(1, initial=math.inf)
    sides = np.where(own > 1, seen_sides(boxes, sizes_hw, geometry), 0)  # one pixel is no object at any size
    is_small = (sides > 0) & (sides < SMALL_PX)
    if not is_small.any():
        return
    share, advice = is_small.sum() / max(1, (sides > 0).sum()), _advice(sides, geometry.size_hw)
    text = f"{plural(int(is_small.sum()), 'box', 'boxes')} ({significant(100 * share, 2)} %) become smaller than "
    text += f"{SMALL_PX} px at the size of {geometry.text} ({advice}): {_named(boxes, ids, is_small)}"
    yield Finding("small_box", "warning", _images(boxes, ids, is_small), text, advice)


def seen_sides(boxes: "Boxes", sizes_hw: Sizes, geometry: "Geometry") -> npt.NDArray[np.float64]:
    """Return the shorter side (T,) of each box in the network's pixels; 0 where the image's size is not known."""
    scales = np.zeros((len(boxes), 2))
    view = np.divide(geometry.size_hw, geometry.store_hw)[::-1]
    for size_hw in {tuple(size) for size in sizes_hw.tolist()}:
        if min(size_hw) > 0:
            matrix = geometry.matrix(*size_hw)
            scales[(sizes_hw == size_hw).all(1)] = np.array([matrix[0, 0], matrix[1, 1]]) * view
    sides = (boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]) * scales[boxes.image]
    return np.asarray(sides.min(1, initial=math.inf))


def _advice(sides: npt.NDArray[np.float64], size_hw: SizeHW) -> str:
    """The size at which all boxes are large enough, or nearly all, as it is typed."""
    positive = np.sort(sides[sides > 1e-6])
    for share in (0.0, 0.01, 0.05, 0.1):
        factor = SMALL_PX / positive[int(share * len(positive))]
        size = tuple(math.ceil(side * factor / STEP_PX) * STEP_PX for side in size_hw)
        if max(size) <= MOST_PX and factor > 1:
            return f"--size {size_text(size)} would do for {f'{100 - 100 * share:g} % of them' if share else 'all'}"
    most = MOST_PX / max(size_hw)
    size = tuple(math.ceil(side * most / STEP_PX) * STEP_PX for side in size_hw)
    left = int((positive * most < SMALL_PX).sum())
    return f"--size {size_text(size)} leaves {left:,} of them; cut the images into tiles for the others"


def _is_doubled(boxes: "Boxes") -> Flags:
    """Which boxes are there before in the same image, of the same class and with the same whole pixels."""
    rows = np.column_stack([boxes.image, boxes.labels, np.rint(np.nan_to_num(boxes.xyxy)).astype(np.int64)])
    first = np.unique(rows, axis=0, return_index=True)[1] if len(rows) else np.zeros(0, np.intp)
    return np.isin(np.arange(len(rows)), first, invert=True)


def _errors(boxes: "Boxes", ids: Sequence[str], name: str, is_bad: Flags, what: str) -> Iterator[Finding]:
    """A finding by which images cannot be used, with the reason of each."""
    if not is_bad.any():
        return
    first: dict[str, str] = {}
    for row in np.flatnonzero(is_bad):
        sides = ", ".join(f"{side:g}" for side in boxes.xyxy[row].tolist())
        first.setdefault(ids[boxes.image[row]], f"a box {_singular(what)}: {boxes.place(int(row))}({sides})")
    text = f"{plural(int(is_bad.sum()), 'box', 'boxes')} {what}: {_named(boxes, ids, is_bad)}"
    yield Finding(name, "error", tuple(first), text, FIX_SKIP, tuple(first.values()))


def _singular(what: str) -> str:
    return what.replace("their image", "its image")


def _warnings(boxes: "Boxes", ids: Sequence[str], name: str, is_bad: Flags, what: str, fix: str) -> Iterator[Finding]:
    if is_bad.any():
        text = f"{plural(int(is_bad.sum()), 'box', 'boxes')} {what}: {_named(boxes, ids, is_bad)}"
        yield Finding(name, "warning", _images(boxes, ids, is_bad), text, fix)


def _images(boxes: "Boxes", ids: Sequence[str], is_bad: Flags) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ids[index] for index in boxes.image[is_bad].tolist()))


def _named(boxes: "Boxes", ids: Sequence[str], is_bad: Flags) -> str:
    """The first boxes by their image and what their source calls them."""
    rows = np.flatnonzero(is_bad)
    names = [f"{shown(ids[boxes.image[row]], 60)} {boxes.place(int(row))}".strip() for row in rows[:4].tolist()]
    more = len(rows) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
