"""A map of an image that is larger than what a network sees: overlapping tiles at the scale of training, blended.

The image is brought to the scale at which the network saw its training images, and cut into tiles of the network's
size whose starts are at most half a tile apart; `nn.tiles` says how their outputs are blended.
"""

import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from striate.base.size import SizeHW
from striate.data.geometry import WayBack, resized
from striate.data.sample import IGNORE
from striate.nn.tiles import BLIND, RAMP, starts, weights

BATCH = 16
Samples = npt.NDArray[Any]  # of 8 or 16 bits


def scaled_hw(image_hw: SizeHW, scale: float) -> SizeHW:
    """Return the size of an image at a scale, at least one pixel a side."""
    height, width = (max(1, round(side * scale)) for side in image_hw)
    return height, width


def tiled_outputs(
    image_u8: Samples, tile_hw: SizeHW, outputs: Callable[[list[Samples]], Tensor], scale: int = 1
) -> Iterator[Tensor]:
    """Yield the outputs (1, K, h, W) for an image (H, W, C), band by band from its top, so that memory is that of one.

    Args:
        tile_hw: height and width of what the network sees.
        outputs: of the network, (N, K, *tile_hw), for images (*tile_hw, C).
        scale: how many times as high and wide the outputs are.
    """
    height, width = image_u8.shape[:2]
    padded = _at_least(image_u8, tile_hw)
    length_hw = padded.shape[0], padded.shape[1]
    rows, columns = (starts(length, tile) for length, tile in zip(length_hw, tile_hw, strict=True))
    size, wide, width_px = (scale * side for side in (*tile_hw, length_hw[1]))  # of outputs
    across = {start: torch.from_numpy(weights(start * scale, width_px, wide)) for start in columns}
    band = total = torch.empty(0)
    for row, after in zip(rows, [*rows[1:], length_hw[0]], strict=True):
        down = torch.from_numpy(weights(row * scale, length_hw[0] * scale, size))[:, None]
        for part in (columns[at : at + BATCH] for at in range(0, len(columns), BATCH)):
            given = outputs([padded[row : row + tile_hw[0], left : left + tile_hw[1]] for left in part]).float()
            if not len(band):
                band, total = given.new_zeros(given.shape[1], size, width_px), down.new_zeros(size, width_px)
            for one, left in zip(given, part, strict=True):
                weight = down * across[left]
                place = slice(left * scale, left * scale + wide)
                band[:, :, place] += one * weight
                total[:, place] += weight
        num = (after - row) * scale
        yield (band[:, :num] / total[:num])[None, :, : max(0, height - row) * scale, : width * scale]
        band, total = (torch.cat([one[..., num:, :], torch.zeros_like(one[..., :num, :])], -2) for one in (band, total))


def source() -> str:
    """Return Python, for a program that has numpy only, that says where tiles begin and what each place counts."""
    constants = f"import math\n\nBLIND, RAMP, Floats = {BLIND}, {RAMP}, np.ndarray"
    return "\n\n\n".join([constants, inspect.getsource(starts), inspect.getsource(weights)])


def at_scale(image_u8: Samples, scale: float) -> Samples:
    """Return the image (H, W, C) at a scale, antialiased where it shrinks."""
    height, width = scaled_hw((image_u8.shape[0], image_u8.shape[1]), scale)
    return resized(image_u8, width, height)


def _at_least(image_u8: Samples, tile_hw: SizeHW) -> Samples:
    """The image, continued by its mirror image to the right and below where it is smaller than a tile."""
    down, right = (max(0, tile - side) for tile, side in zip(tile_hw, image_u8.shape[:2], strict=True))
    return np.pad(image_u8, ((0, down), (0, right), (0, 0)), "symmetric") if down or right else image_u8


def compact(seen: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a map; of classes in one byte a pixel, as masks are: an image of 12 megapixels would else take 100 MB."""
    is_index = np.issubdtype(seen.dtype, np.integer) and (not seen.size or 0 <= seen.min() <= seen.max() <= IGNORE)
    return seen.astype(np.uint8) if is_index else seen


def own_map(way: WayBack, seen: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a map in an image's own pixels: the nearest class, or numbers between; 255 or nan where unseen."""
    seen = compact(seen)
    is_index = np.issubdtype(seen.dtype, np.integer)
    return way.maps(seen, "nearest", IGNORE) if is_index else way.maps(seen, "bilinear", math.nan)
