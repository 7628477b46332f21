"""A map of an image that is larger than what a network sees: overlapping tiles at the scale of training, blended.

The image is brought to the scale at which the network saw its training images, and cut into tiles of the network's
size whose starts are at most half a tile apart. What an eighth of a tile at its edges says is not used, unless it is
the image's own edge: there a network sees the padding of its convolutions instead of the image. From there the weight
of a tile rises linearly over a quarter of it, and outputs (of classes the logits) are averaged by these weights. A
network that looks no further than an eighth of a tile so gives what it would give for the whole image at once.

Reference: Isensee et al., "nnU-Net" (2021), which blends tiles half a tile apart by a Gaussian.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from striate.base.size import SizeHW
from striate.data.geometry import resized

BATCH = 16
BLIND, RAMP = 1 / 8, 1 / 4  # of a tile's side
Samples = npt.NDArray[Any]  # of 8 or 16 bits
Floats = npt.NDArray[np.float32]


def scaled_hw(image_hw: SizeHW, scale: float) -> SizeHW:
    """Return the size of an image at a scale, at least one pixel a side."""
    height, width = (max(1, round(side * scale)) for side in image_hw)
    return height, width


def starts(length: int, tile: int) -> list[int]:
    """Return where the tiles of a side begin: the last ends with it, each overlaps the next by half or more.

    Example:
        >>> starts(100, 128), starts(128, 128), starts(160, 128), starts(300, 128)
        ([0], [0], [0, 32], [0, 57, 114, 172])
    """
    if length <= tile:
        return [0]
    num = math.ceil((length - tile) / max(1, tile // 2)) + 1
    places: list[int] = np.linspace(0, length - tile, num).astype(int).tolist()
    return places


def weights(start: int, length: int, tile: int) -> Floats:
    """Return the weight (tile,) of what a tile says of each of its places along a side of the image.

    Example:
        >>> weights(0, 16, 8).tolist(), weights(4, 16, 8).tolist()
        ([1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.25, 0.0], [0.0, 0.25, 0.75, 1.0, 1.0, 0.75, 0.25, 0.0])
    """
    from_edge = np.arange(tile, dtype=np.float32) + np.float32(0.5)
    blind, ramp = np.float32(math.ceil(tile * BLIND)), np.float32(max(1.0, tile * RAMP))
    rise = np.clip((from_edge - blind) / ramp, 0, 1)
    first = np.ones_like(rise) if start == 0 else rise
    last = np.ones_like(rise) if start + tile >= length else rise[::-1]
    return np.asarray(np.minimum(first, last))


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


def at_scale(image_u8: Samples, scale: float) -> Samples:
    """Return the image (H, W, C) at a scale, antialiased where it shrinks."""
    height, width = scaled_hw((image_u8.shape[0], image_u8.shape[1]), scale)
    return resized(image_u8, width, height)


def _at_least(image_u8: Samples, tile_hw: SizeHW) -> Samples:
    """The image, continued by its mirror image to the right and below where it is smaller than a tile."""
    down, right = (max(0, tile - side) for tile, side in zip(tile_hw, image_u8.shape[:2], strict=True))
    return np.pad(image_u8, ((0, down), (0, right), (0, 0)), "symmetric") if down or right else image_u8
