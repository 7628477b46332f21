"""What the units of a map see of the image: intervals of input pixels, followed through each operation.

Along one axis, unit i sees the pixels low + i * step .. high + i * step; neighbouring units lie `jump` pixels apart.
Once a unit has seen the whole axis (global pooling, attention), the interval is the same for all: step = 0.

Normalisation is taken as local, although the statistics of all but batch normalisation come from the whole map.
Holes inside the interval (dilation) count as seen.

Reference: Araujo et al., Computing Receptive Fields of Convolutional Neural Networks, Distill (2019).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, prod

Shape = Sequence[int]


@dataclass(frozen=True)
class Axis:
    """The view of units along height or width.

    Example:
        >>> pixels = Axis(length=224)
        >>> pixels.window(7, 2, 3, 1, 112).window(3, 2, 1, 1, 56).size
        11
    """

    length: int
    low: float = 0.0
    high: float = 0.0
    step: float = 1.0
    jump: float = 1.0

    @property
    def size(self) -> int:
        """Pixels that one unit sees, padding included."""
        return floor(self.high) - ceil(self.low) + 1

    def window(self, kernel: int, stride: float, padding: float, dilation: int, length: int) -> "Axis":
        """Return the view after a window that slides over this axis and gives `length` units."""
        first, last = -padding, -padding + (kernel - 1) * dilation
        return Axis(
            length,
            self.low + first * self.step,
            self.high + last * self.step,
            self.step * stride,
            self.jump * stride,
        )

    def spread(self, kernel: int, stride: int, padding: int, dilation: int, length: int) -> "Axis":
        """Return the view after a transposed window: unit i takes the units j with i = j * stride - padding + k."""
        reach = (kernel - 1) * dilation
        low, high = (padding - reach) / stride * self.step, padding / stride * self.step
        return Axis(length, self.low + low, self.high + high, self.step / stride, self.jump / stride)

    def whole(self) -> "Axis":
        """Return the view of one unit that takes all of this axis."""
        return Axis(1, self.low, self.high + (self.length - 1) * self.step, 0.0, self.jump * self.length)

    def join(self, other: "Axis") -> "Axis":
        """Return the view of units that take both."""
        if (self.length, self.step) == (other.length, other.step):
            return replace(self, low=min(self.low, other.low), high=max(self.high, other.high))
        longer = self if self.length >= other.length else other
        ours, theirs = self.whole(), other.whole()
        return Axis(longer.length, min(ours.low, theirs.low), max(ours.high, theirs.high), 0.0, longer.jump)


@dataclass(frozen=True)
class View:
    """What a tensor's units see, which of its dimensions are height and width, and how many weighted layers lie before.

    `dims` is (height, width), the same number twice if both are folded into one, None if the tensor has neither.
    """

    height: Axis
    width: Axis
    dims: tuple[int, int] | None
    depth: int = 0

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Height and width."""
        return self.height, self.width

    def whole(self) -> "View":
        """Return the view of something that takes every unit."""
        return View(self.height.whole(), self.width.whole(), None, self.depth)

    def fits(self, shape: Shape) -> bool:
        """Return whether the dimensions of a tensor of this shape can be this view's."""
        if self.dims is None:
            return True
        high, wide = self.dims
        if max(self.dims) >= len(shape):
            return False
        lengths = self.height.length, self.width.length
        return shape[high] == prod(lengths) if high == wide else (shape[high], shape[wide]) == lengths


def join(views: Iterable[View]) -> View:
    """Return the view of a tensor whose units take the same units of all."""
    first, *others = sorted(views, key=lambda view: -view.height.length * view.width.length)
    for view in others:
        height, width = first.height.join(view.height), first.width.join(view.width)
        first = View(height, width, first.dims, max(first.depth, view.depth))
    return first


def permute(view: View, order: Shape) -> View:
    """Return the view after the dimensions are put in another order."""
    if view.dims is None:
        return view
    at = {old % len(order): new for new, old in enumerate(order)}
    return replace(view, dims=(at[view.dims[0]], at[view.dims[1]]))


def reshape(view: View, old: Shape, new: Shape) -> View:
    """Return the view after a reshape: height and width stay, fold into one dimension, unfold, or merge with others."""
    if view.dims is None:
        return view
    groups = _groups(old, new)
    stay = {before[0]: after[0] for before, after in groups if len(before) == len(after) == 1}
    if set(view.dims) <= set(stay):
        return replace(view, dims=(stay[view.dims[0]], stay[view.dims[1]]))
    lengths = view.height.length, view.width.length
    for before, after in groups:
        if set(view.dims) <= set(before) and prod(old[dim] for dim in before) == prod(lengths):
            long = [dim for dim in after if new[dim] > 1]
            if len(long) == 1:
                return replace(view, dims=(long[0], long[0]))
            if tuple(new[dim] for dim in long) == lengths:
                return replace(view, dims=(long[0], long[1]))
    return view.whole()


def _groups(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]]:
    """Return the smallest runs of dimensions of equal product: [1, 8, 4, 4] -> [1, 8, 16] is 0-0, 1-1, 2 and 3-2."""
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) and j < len(new):
        before, after, left, right = [i], [j], old[i], new[j]
        i, j = i + 1, j + 1
        while left != right:
            if left < right:
                before, left, i = [*before, i], left * old[i], i + 1
            else:
                after, right, j = [*after, j], right * new[j], j + 1
        groups.append((before, after))
    return groups
