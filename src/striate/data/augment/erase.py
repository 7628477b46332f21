"""Erasing: a box of each image gets the mean colour, so a network cannot lean on one detail."""

from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from striate.base.size import SizeHW

from .operation import Draws, Operation, Probability, Range, between, ordered


class Erase(Operation):
    """With probability `p` blank a box of `scale` of the area and aspect `ratio` (width over height), also: cutout.

    The box has the mean colour of the training split (zero after normalisation) and lies wholly inside.

    Reference: Zhong et al., Random erasing data augmentation, 2017; DeVries and Taylor, Cutout, 2017.
    """

    kind: Literal["erase"] = "erase"
    p: Probability = 0.5
    scale: Range = (0.02, 0.2)
    ratio: Range = (0.3, 3.3)
    num_draws: ClassVar[int] = 5

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if not (self.scale[0] >= 0 and self.scale[1] <= 1 and self.ratio[0] > 0):
            raise ValueError("scale lies in 0..1 and ratio above 0")
        return ordered(ordered(self, *self.scale), *self.ratio)

    def boxes(self, draws: Draws, size_hw: SizeHW) -> npt.NDArray[np.int32]:
        """Return (B, 4) xyxy pixels for (B, 5) uniform numbers; an image that keeps everything has an empty box."""
        width_height = np.array(size_hw[::-1])
        area = between(*self.scale, draws[:, 1])
        ratio = np.exp(between(np.log(self.ratio[0]), np.log(self.ratio[1]), draws[:, 2]))
        ratio /= size_hw[1] / size_hw[0]  # of fractions of the sides
        size = np.minimum(1, np.stack([np.sqrt(area * ratio), np.sqrt(area / ratio)], axis=1))
        size_px = np.where(draws[:, :1] < self.p, np.rint(size * width_height), 0).astype(np.int32)
        start = ((width_height - size_px + 1) * draws[:, 3:]).astype(np.int32)
        return np.concatenate([start, start + size_px], axis=1)
