"""Which slices of a volume are shown of what lies over it: the middle one, and the one with the most weight."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Slices:
    """Where the slices of a volume lie in what the network saw of it.

    Args:
        volume: depth, height and width of the volume itself.
        first: of these, the first that the network saw.
        padding: slices before it that are not the volume's.
        seen: how many of the volume the network saw.

    Example:
        >>> slices = Slices.of((2, 8, 8), (4, 8, 8))
        >>> slices.middle, slices.text(slices.middle)
        (2, 'slice 2 of 2')
    """

    volume: tuple[int, ...]
    first: int
    padding: int
    seen: int

    @classmethod
    def of(cls, volume: Sequence[int], view: Sequence[int]) -> "Slices":
        """Return where the slices of a volume of this size lie in a view, middle on middle."""
        seen = min(volume[0], view[0])
        return cls(tuple(volume), (volume[0] - seen) // 2, (view[0] - seen) // 2, seen)

    @property
    def middle(self) -> int:
        """The middle slice, as the network counts."""
        return self.padding + self.seen // 2

    def heaviest(self, values: Array) -> int:
        """Return the slice, as the network counts, of a map (D, H, W) that has the largest sum of |values|."""
        weights = np.abs(values).sum((1, 2))[self.padding : self.padding + self.seen]
        return self.padding + int(weights.argmax())

    def own(self, index: int) -> int:
        """Return the place in the volume itself of a slice, as the network counts."""
        return index - self.padding + self.first

    def text(self, index: int) -> str:
        """Return which of the volume's own slices that is, counted from 1."""
        return f"slice {self.own(index) + 1} of {self.volume[0]}"

    def about(self, view: Sequence[int]) -> str:
        """Return what the image of the middle slice shows, and where the network saw only a part of the volume."""
        sizes = [" x ".join(map(str, size)) for size in (self.volume, view)]
        is_part = any(side < own for side, own in zip(view, self.volume, strict=True))
        part = f"; only its middle, {sizes[1]}, is explained" if is_part else ""
        return f"{self.text(self.middle)}, the middle; {sizes[0]} voxels{part}"

    def shown(self, values: Array) -> list[tuple[str, Callable[[Array], Array]]]:
        """Return a text on each slice that is shown of a map (D, H, W), and what takes it out of (D, H, W, C)."""
        middle, heaviest = self.middle, self.heaviest(values)
        if middle == heaviest:
            return [(f"{self.text(middle)}: the middle, and the most weight", plane(middle))]
        texts = {middle: "the middle", heaviest: "the most weight"}
        return [(f"{self.text(index)}: {text}", plane(index)) for index, text in texts.items()]


def plane(index: int) -> Callable[[Array], Array]:
    """Return what takes a slice out of a volume (D, H, W, ...), with up up, as in all planes that are shown."""
    return lambda volume: volume[index, ::-1]
