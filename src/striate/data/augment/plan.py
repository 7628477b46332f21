"""What a pipeline says is to happen to each image of a batch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from striate.base.size import SizeHW

from .effect import Drawn
from .mix import Mix
from .mosaic import Tiles
from .operation import Matrices


@dataclass(frozen=True)
class Plan:
    """What happens to each image of a batch.

    Args:
        warp: (B, 2, 3) affine, or (B, 3, 3) homographies when the pipeline has perspective, from output to input
            coordinates, in pixels with integers at pixel CENTRES; of volumes (B, 3, 4), in half sides about the centre.
        in_hw: height and width of the stored images; of volumes depth, height and width.
        out_hw: those of the images to make.
        colour: (B, 3, 4) maps of RGB levels, or None for unchanged colours; of volumes (B, 1, 2), factor and offset.
        erase: (num_boxes, B, 4) xyxy output pixels to blank, or None.
        tones: effects on the stored squares, before anything else.
        qualities: effects after the colours, before erasing.
        mix: how the finished images of the batch are mixed, or None.
        mosaic: which finished images become four in one, before they are mixed, or None.
        is_mirrored: beyond its border the image goes on as its mirror image; else it is grey there, so that nothing is
            seen twice.
    """

    warp: Matrices
    in_hw: SizeHW
    out_hw: SizeHW
    colour: Matrices | None = None
    erase: npt.NDArray[np.int32] | None = None
    tones: Drawn = ()
    qualities: Drawn = ()
    mix: Mix | None = None
    mosaic: Tiles | None = None
    is_mirrored: bool = True

    def __len__(self) -> int:
        return len(self.warp)

    @property
    def is_copy(self) -> npt.NDArray[np.bool_]:
        """(B,) true where no pixel moves, so the image must come out exact, not interpolated."""
        still = (self.warp == np.eye(*self.warp.shape[1:])).all(axis=(1, 2))
        return np.asarray(still & (self.in_hw == self.out_hw))
