"""An image as its file holds it: eight or sixteen bits, with or without transparency; and how it becomes eight bits."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from striate.base.text import plural

from .format import Unusable
from .levels import FULL, Levels, to_eight, to_sixteen
from .sample import ImageU8

Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Raster:
    """`colours` (H, W, C) and `alpha` (H, W) or None, both uint8 or both uint16."""

    colours: Samples
    alpha: Samples | None = None

    @property
    def used(self) -> Levels | None:
        """The lowest and highest level of an image with sixteen bits, None of one with eight."""
        if self.colours.dtype == np.uint8:
            return None
        return int(self.colours.min()), int(self.colours.max())

    def at_depth(self, depth: int, channels: int, levels: Levels) -> Samples:
        """Return the image as (H, W, channels) on white, uint8 or uint16 by a depth of 8 or 16 bits."""
        return self.eight(channels, levels) if depth == 8 else self.sixteen(channels, levels)

    def sixteen(self, channels: int, levels: Levels) -> npt.NDArray[np.uint16]:
        """Return the image as (H, W, channels) uint16 on white; `levels` are for sixteen bits."""
        colours = self.colours.astype(np.uint16, copy=False)
        colours = colours * 257 if self.colours.dtype == np.uint8 else to_sixteen(colours, levels)
        if self.alpha is not None:
            full = int(np.iinfo(self.alpha.dtype).max)
            opaque = self.alpha[..., None].astype(np.uint64)
            white = FULL[1] * (full - opaque)
            colours = ((colours * opaque + white + full // 2) // full).astype(np.uint16)
        if colours.shape[2] == channels:
            return colours.astype(np.uint16, copy=False)
        if channels == 3 and colours.shape[2] == 1:
            return np.repeat(colours, 3, axis=2).astype(np.uint16, copy=False)
        if channels == 1 and colours.shape[2] == 3:
            return np.asarray(np.rint(colours @ np.array([0.299, 0.587, 0.114]))[..., None].astype(np.uint16))
        return first_bands(colours, channels)

    def eight(self, channels: int, levels: Levels) -> ImageU8:
        """Return the image as (H, W, channels) uint8 on white; `levels` are for sixteen bits."""
        colours = self.colours if self.colours.dtype == np.uint8 else to_eight(self.colours.astype(np.uint16), levels)
        if self.alpha is not None:
            colours = on_white(colours.astype(np.uint8), self.alpha)
        if colours.shape[2] == channels:
            return colours.astype(np.uint8, copy=False)
        if channels == 3 and colours.shape[2] == 1:
            return np.repeat(colours.astype(np.uint8, copy=False), 3, axis=2)
        if channels != 1 or colours.shape[2] != 3:
            return first_bands(colours.astype(np.uint8, copy=False), channels)
        return np.asarray(Image.fromarray(colours.astype(np.uint8, copy=False)).convert("L"))[..., None]


def first_bands(colours: npt.NDArray[Any], channels: int) -> npt.NDArray[Any]:
    """Return the first channels of an image (H, W, C) that has more.

    Raises:
        Unusable: it has fewer, or is RGB.
    """
    has = colours.shape[2]
    if has < channels or has == 3:
        raise Unusable(f"it has {plural(has, 'channel')}, {channels} are wanted")
    return colours[..., :channels]


def on_white(colours: ImageU8, alpha: Samples) -> ImageU8:
    """Return colours (H, W, C) laid on white by their opacity (H, W), of eight or sixteen bits."""
    full = int(np.iinfo(alpha.dtype).max)
    opaque = alpha[..., None].astype(np.uint32)
    return ((colours * opaque + 255 * (full - opaque) + full // 2) // full).astype(np.uint8)
