"""An image as its file holds it: eight or sixteen bits, with or without transparency; and how it becomes eight bits."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from .levels import Levels, to_eight
from .sample import ImageU8

Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Raster:
    """`colours` (H, W, 1 or 3) and `alpha` (H, W) or None, both uint8 or both uint16."""

    colours: Samples
    alpha: Samples | None = None

    @property
    def used(self) -> Levels | None:
        """The lowest and highest level of an image with sixteen bits, None of one with eight."""
        if self.colours.dtype == np.uint8:
            return None
        return int(self.colours.min()), int(self.colours.max())

    def eight(self, channels: int, levels: Levels) -> ImageU8:
        """Return the image as (H, W, channels) uint8 on white; `levels` are for sixteen bits."""
        colours = self.colours if self.colours.dtype == np.uint8 else to_eight(self.colours.astype(np.uint16), levels)
        if self.alpha is not None:
            colours = on_white(colours.astype(np.uint8), self.alpha)
        if colours.shape[2] == channels:
            return colours.astype(np.uint8, copy=False)
        if channels == 3:
            return np.repeat(colours.astype(np.uint8, copy=False), 3, axis=2)
        return np.asarray(Image.fromarray(colours.astype(np.uint8, copy=False)).convert("L"))[..., None]


def on_white(colours: ImageU8, alpha: Samples) -> ImageU8:
    """Return colours (H, W, C) laid on white by their opacity (H, W), of eight or sixteen bits."""
    full = int(np.iinfo(alpha.dtype).max)
    opaque = alpha[..., None].astype(np.uint32)
    return ((colours * opaque + 255 * (full - opaque) + full // 2) // full).astype(np.uint8)
