"""Outputs of a network for what is larger than it sees: overlapping tiles, whose outputs are blended.

What an eighth of a tile at its edges says is not used, unless it is the image's own edge: there a network sees the
padding of its convolutions instead of the image. From there the weight of a tile rises linearly over a quarter of it,
and outputs (of classes the logits) are averaged by these weights. A network that looks no further than an eighth of a
tile so gives what it would give for the whole at once.

Reference: Isensee et al., "nnU-Net" (2021), which blends tiles half a tile apart by a Gaussian.
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

BLIND, RAMP = 1 / 8, 1 / 4  # of a tile's side
Floats = npt.NDArray[np.float32]


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


def tiled(network: Callable[[Tensor], Tensor], whole: Tensor, tile: Sequence[int]) -> Tensor:
    """Return the outputs (N, K, *S) float32 for (N, C, *S), made of those of tiles; memory is that of the outputs.

    Args:
        network: gives (N, K, *tile) for (N, C, *tile).
        tile: the sides of what it sees, none longer than that of the whole.

    Example:
        >>> tiled(lambda part: 2 * part, torch.arange(12.0).view(1, 1, 12), [8])[0, 0].tolist()[:3]
        [0.0, 2.0, 4.0]
    """
    sides = whole.shape[2:]
    edges = [
        [(start, torch.from_numpy(weights(start, side, length)).to(whole.device)) for start in starts(side, length)]
        for side, length in zip(sides, tile, strict=True)
    ]
    out = total = torch.empty(0)
    for places in product(*edges):
        spans = [slice(start, start + length) for (start, _), length in zip(places, tile, strict=True)]
        part = (slice(None), slice(None), *spans)
        weight = reduce(lambda known, side: known[..., None] * side, [one for _, one in places])
        given = network(whole[part]).float()
        if not len(out):
            out, total = given.new_zeros(*given.shape[:2], *sides), given.new_zeros(sides)
        out[part] += given * weight
        total[part[2:]] += weight
    return out.div_(total)
