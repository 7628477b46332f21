"""How a volume of any size becomes what a network sees, and back: padded or cut to one size, never resampled.

Sizes are (depth, height, width) in voxels. The volume's middle comes to lie in the middle of what is stored; what is
added is not known to a loss, what is cut away is not seen. Where more is stored than the network sees, it is trained on
random patches, and answers in overlapping tiles.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from striate.base.size import SizeHW
from striate.base.slices import three_planes

from .bands import in_depth
from .geometry import PAD_U8, Geometry, WayBack
from .raster import Samples
from .sample import IGNORE

Slices = tuple[slice, ...]
PAD = "pad"


@dataclass(frozen=True)
class VolumeGeometry(Geometry):
    """The policy of a run on volumes, see `Geometry`.

    Args:
        box: what is stored, where that is more than the network sees.

    Example:
        >>> geometry = VolumeGeometry((4, 4, 4), "pad", channels=1)
        >>> geometry.mask_to_store(np.ones((2, 6, 4), np.uint8))[:, 0, 0].tolist()
        [255, 1, 1, 255]
    """

    fit: str = PAD
    box: SizeHW | None = None

    @property
    def fits(self) -> Mapping[str, Any]:
        """The one policy."""
        return {PAD: parts}

    @property
    def store_hw(self) -> SizeHW:
        """Depth, height and width of what is stored."""
        return self.box or self.size_hw

    def boxed(self, *boxes: SizeHW) -> "VolumeGeometry":
        """Return the geometry that stores all of these boxes, and no less than the network sees."""
        most = tuple(max(sides) for sides in zip(self.size_hw, *boxes, strict=True))
        return replace(self, box=None if most == self.size_hw else most)

    def flat(self, image: npt.NDArray[Any], at: Sequence[int] | None = None) -> npt.NDArray[Any]:
        """Return three planes of a stored volume through a voxel."""
        return three_planes(image, at)

    def to_store(self, image: Samples) -> npt.NDArray[Any]:
        """Return (D, H, W, C) values of either depth in the network's size; grey where there are none."""
        source, target = parts(image.shape[:3], self.store_hw)
        stored = np.full(self.store_shape, PAD_U8 if self.depth == 8 else PAD_U8 * 257, self.dtype)
        stored[target] = in_depth(image, self.depth)[source][..., : self.channels]
        return stored

    def mask_to_store(self, mask_u8: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return a label volume (D, H, W) in the network's size, 255 (ignore) where there is none."""
        source, target = parts(mask_u8.shape, self.store_hw)
        stored = np.full(self.store_hw, IGNORE, np.uint8)
        stored[target] = mask_u8[source]
        return stored

    def way_back(self, *size_hw: int) -> "VolumeWay":
        """Return how the voxels of what the network sees of a volume of this size return to the volume's own."""
        return VolumeWay(self, size_hw)


@dataclass(frozen=True)
class VolumeWay(WayBack):
    """From the view, or all that is stored, to the voxels of a volume of `image_hw`.

    Example:
        >>> way = VolumeGeometry((4, 4, 4), channels=1).way_back(2, 6, 4)
        >>> way.mask(np.ones((4, 4, 4), np.uint8))[0, :, 0].tolist()
        [255, 1, 1, 1, 1, 255]
    """

    def maps(self, maps: npt.NDArray[Any], mode: Literal["bilinear", "nearest"], outside: float) -> npt.NDArray[Any]:
        """Return a map (D', H', W', ...) of the view in the volume's own voxels; `outside` where nothing was seen."""
        source, target = parts(self.image_hw, maps.shape[: len(self.image_hw)])
        found = np.full((*self.image_hw, *maps.shape[3:]), outside, maps.dtype)
        found[source] = maps[target]
        return found

    @property
    def is_seen(self) -> npt.NDArray[np.bool_]:
        """Which of the volume's voxels (D, H, W) are stored."""
        found = np.zeros(self.image_hw, bool)
        found[parts(self.image_hw, self.geometry.store_hw)[0]] = True
        return found


def parts(size: SizeHW, target: SizeHW) -> tuple[Slices, Slices]:
    """Return which part of a volume lies in a box, and where in the box, middle on middle.

    Example:
        >>> parts((2, 6, 4), (4, 4, 4))[0]
        (slice(0, 2, None), slice(1, 5, None), slice(0, 4, None))
    """
    spans = [(side, box, min(side, box)) for side, box in zip(size, target, strict=True)]
    source = tuple(slice((side - kept) // 2, (side - kept) // 2 + kept) for side, _, kept in spans)
    return source, tuple(slice((box - kept) // 2, (box - kept) // 2 + kept) for _, box, kept in spans)
