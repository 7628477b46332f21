"""The images of a dataset as they were before they were fitted to a network: what answers in their own pixels need."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate.base.size import SizeHW

if TYPE_CHECKING:
    from .geometry import Geometry, WayBack
    from .target import Target


@dataclass(frozen=True)
class Originals:
    """Where places in the network's view lie in the images themselves.

    Args:
        target: what is true of the images, whole.
        geometry: the resize policy.
        size_hw: height and width of an image of the dataset, by its index.
    """

    target: "Target"
    geometry: "Geometry"
    size_hw: Callable[[int], SizeHW]

    def way(self, index: int) -> "WayBack":
        """Return the way back to the pixels of an image of the dataset."""
        return self.geometry.way_back(*self.size_hw(int(index))[:2])
