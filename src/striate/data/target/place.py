"""Where the images of a batch lie in the store, as a target needs to know it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from striate.base.size import SizeHW

from ..sample import ImageU8

if TYPE_CHECKING:
    from ..geometry import Geometry

Indices = npt.NDArray[np.intp]
MIN_SEEN = 0.1


@dataclass(frozen=True)
class Place:
    """Where images lie in the store.

    Args:
        geometry: the resize policy.
        size_hw: height and width of an image of the dataset before it was resized.
        min_seen: a box of which a smaller share is seen is left out.
        squares: of images of the dataset, their squares of the target's own plane, for targets that have one.
    """

    geometry: "Geometry"
    size_hw: Callable[[int], SizeHW]
    squares: Callable[[Indices], Sequence[ImageU8]] | None = None
    min_seen: float = MIN_SEEN

    def matrices(self, indices: Indices) -> npt.NDArray[np.float64]:
        """Return (B, 2, 3) matrices from each image's own pixels to the store's, both from the outer corner."""
        return np.stack([self.geometry.matrix(*self.size_hw(int(index))[:2]) for index in indices])

    def own_squares(self, indices: Indices) -> Sequence[ImageU8]:
        """Return the store's squares of the target's own plane."""
        assert self.squares is not None, "the loader gives squares to a target that has a plane"
        return self.squares(indices)
