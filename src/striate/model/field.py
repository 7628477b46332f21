"""What the units of a map see of the image: intervals of input pixels, followed through each operation.

Along one axis, unit i sees the pixels low[i] .. high[i]; neighbouring units lie `jump` pixels apart. Beyond the border,
where padding is, units are taken to go on as before. Once units have seen the whole axis (global pooling, attention),
they all see the same.

Normalisation is taken as local, although the statistics of all but batch normalisation come from the whole map.
Holes inside the interval (dilation) count as seen.

Reference: Araujo et al., Computing Receptive Fields of Convolutional Neural Networks, Distill (2019).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

Shape = Sequence[int]
Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, eq=False)
class Axis:
    """The view of units along height or width.

    Args:
        low, high: of each unit, the first and the last pixel it sees; outside the image where it sees padding.
        jump: pixels between neighbouring units.
        is_global: whether units have seen the whole axis, so that there is nothing beyond the border either.

    Example:
        >>> pixels = Axis.image(224)
        >>> pixels.window(7, 2, 3, 1, 112).window(3, 2, 1, 1, 56).size
        11
    """

    low: Ints
    high: Ints
    jump: float = 1.0
    is_global: bool = False

    @classmethod
    def image(cls, length: int) -> "Axis":
        """Return the view of the image's own pixels."""
        return cls(np.arange(length), np.arange(length))

    @property
    def length(self) -> int:
        """The number of units."""
        return len(self.low)

    @property
    def size(self) -> int:
        """Pixels that the unit in the middle sees, padding included."""
        middle = self.length // 2
        return int(self.high[middle] - self.low[middle] + 1)

    @property
    def start(self) -> float:
        """Centre of what the first unit sees, in pixels; 0 is the centre of the image's first."""
        return float(self.low[0] + self.high[0]) / 2

    def between(self, first: Ints, last: Ints, jump: float) -> "Axis":
        """Return the view of units of which each takes this axis's units `first[i]` .. `last[i]`, border or not."""
        return Axis(
            self._over(np.minimum, self.low, first, last),
            self._over(np.maximum, self.high, first, last),
            self.jump * jump,
            self.is_global,
        )

    def _over(self, choose: np.ufunc, values: Ints, first: Ints, last: Ints) -> Ints:
        """Return the least or greatest value among the units `first[i]` .. `last[i]`."""
        steps = np.diff(values)
        if (steps >= 0).all() or (steps <= 0).all():  # then it is at one of the ends
            ends: Ints = choose(self._at(values, first), self._at(values, last))
            return ends
        return np.array(
            [choose.reduce(self._at(values, np.arange(a, b + 1))) for a, b in zip(first, last, strict=True)]
        )

    def _at(self, values: Ints, index: Ints) -> Ints:
        inside = np.clip(index, 0, self.length - 1)
        step = 0.0 if self.is_global else self.jump
        places: Ints = values[inside] + np.rint((index - inside) * step).astype(np.int64)
        return places

    def window(self, kernel: int, stride: int, padding: int, dilation: int, length: int) -> "Axis":
        """Return the view after a window that slides over this axis and gives `length` units."""
        first = np.arange(length) * stride - padding
        return self.between(first, first + (kernel - 1) * dilation, stride)

    def spread(self, kernel: int, stride: int, padding: int, dilation: int, length: int) -> "Axis":
        """Return the view after a transposed window: unit i takes the units j with i = j * stride - padding + k."""
        last = (np.arange(length) + padding) // stride
        first = -((-np.arange(length) - padding + (kernel - 1) * dilation) // stride)
        return self.between(np.minimum(first, last), last, 1 / stride)

    def adapted(self, length: int) -> "Axis":
        """Return the view after pooling to `length` units over windows as equal as they can be."""
        units = np.arange(length)
        return self.between(
            units * self.length // length, -(-(units + 1) * self.length // length) - 1, self.length / length
        )

    def nearest(self, length: int, offset: float = 0.0) -> "Axis":
        """Return the view after resizing to `length` units, each a copy of the one at its own place (+ `offset`)."""
        units = np.floor((np.arange(length) + offset) * self.length / length).astype(np.int64)
        return self.between(units, units, self.length / length)

    def resized(self, length: int, reach: int, align_corners: bool) -> "Axis":
        """Return the view after resizing to `length` units by interpolation between 2 x `reach` neighbours."""
        if align_corners:
            at = np.arange(length) * (self.length - 1) / max(1, length - 1)
        else:
            at = (np.arange(length) + 0.5) * self.length / length - 0.5
        units = np.floor(at + 1e-9).astype(np.int64)
        is_between = at - units > 1e-6  # else it is one unit's own place, and the others weigh nothing
        first, last = units - (reach - 1) * is_between, units + reach * is_between
        return self.between(np.maximum(first, 0), np.minimum(last, self.length - 1), self.length / length)

    def take(self, units: Sequence[int] | Ints, jump: float = 1.0) -> "Axis":
        """Return the view of some of the units, in the order given."""
        index = np.asarray(units, dtype=np.int64)
        return replace(self, low=self.low[index], high=self.high[index], jump=self.jump * jump)

    def whole(self, length: int = 1) -> "Axis":
        """Return the view of `length` units of which each takes all of this axis."""
        jump = self.jump * self.length if length == 1 else self.jump
        return Axis(np.full(length, self.low.min()), np.full(length, self.high.max()), jump, is_global=True)

    def join(self, other: "Axis") -> "Axis":
        """Return the view of units that take both; one unit alone is taken by all of the other axis's."""
        longer, shorter = (self, other) if self.length >= other.length else (other, self)
        if longer.length != shorter.length:
            longer = longer.whole(longer.length)
            shorter = shorter.whole()
        low, high = np.minimum(longer.low, shorter.low), np.maximum(longer.high, shorter.high)
        return Axis(low, high, longer.jump, longer.is_global or shorter.is_global)

    def beside(self, other: "Axis") -> "Axis":
        """Return the view of this axis's units followed by the other's."""
        low, high = (np.concatenate(pair) for pair in ((self.low, other.low), (self.high, other.high)))
        return Axis(low, high, self.jump, self.is_global or other.is_global)


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

    def mixed(self, dims: Iterable[int]) -> "View":
        """Return the view of units that take all others along these of the tensor's dimensions."""
        if self.dims is None or (self.dims[0] == self.dims[1] and self.dims[0] in dims):
            return self.whole()
        height, width = (
            axis.whole(axis.length) if dim in dims else axis for axis, dim in zip(self.axes, self.dims, strict=True)
        )
        return replace(self, height=height, width=width)

    def moved(self, change: Callable[[int, Axis], Axis], dims: Iterable[int] = ()) -> "View":
        """Return the view with its axes changed.

        Args:
            change: is told the tensor's dimension of an axis, and the axis.
            dims: that are changed; none given are height and width.
        """
        if self.dims is None or self.dims[0] == self.dims[1]:
            is_touched = self.dims is not None and (not dims or self.dims[0] in dims)
            return self.whole() if is_touched else self
        height, width = (
            change(dim, axis) if not dims or dim in dims else axis
            for dim, axis in zip(self.dims, self.axes, strict=True)
        )
        return replace(self, height=height, width=width)

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
