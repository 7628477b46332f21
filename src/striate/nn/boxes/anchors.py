"""The places and boxes that a detector's maps speak of."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def centres(
    map_hw: tuple[int, int], stride: float, *, offset: float = 0.5, device: torch.device | str = "cpu"
) -> Tensor:
    """Return (H W, 2) the x, y in the image of the places of a map, row by row.

    Args:
        stride: pixels of the image between two places.
        offset: of the first place, in strides: 0.5 is the middle of the pixels it stands for.

    Example:
        >>> centres((1, 3), 8).tolist()
        [[4.0, 4.0], [12.0, 4.0], [20.0, 4.0]]
    """
    y, x = ((torch.arange(length, device=device, dtype=torch.float32) + offset) * stride for length in map_hw)
    return torch.stack([x.repeat(len(y)), y.repeat_interleave(len(x))], 1)


def anchors(
    map_hw: tuple[int, int],
    stride: float,
    sides: Sequence[float],
    ratios: Sequence[float] = (1.0,),
    *,
    offset: float = 0.5,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Return the anchors (H W A, 4) of one map of a pyramid: A boxes around each place, ratio by ratio, side by side.

    Args:
        sides: in pixels, of the square with the anchor's area.
        ratios: height over width.
        stride, offset: see `centres`; 0 as `offset` gives torchvision's anchors, but for its rounding to whole pixels.

    Example:
        >>> anchors((1, 1), 8, [4.0], [1.0, 4.0]).tolist()
        [[2.0, 2.0, 6.0, 6.0], [3.0, 0.0, 5.0, 8.0]]
    """
    shapes = [(side / math.sqrt(ratio), side * math.sqrt(ratio)) for ratio in ratios for side in sides]
    half = torch.tensor(shapes, device=device) / 2
    middles = centres(map_hw, stride, offset=offset, device=device)
    return torch.cat([middles[:, None] - half, middles[:, None] + half], 2).flatten(0, 1)


def at_places(places: Tensor, sides: Sequence[Sequence[float]]) -> Tensor:
    """Return the anchors (P A, 4) of places (N, 5, P), see `nn.blocks.dense_head`, those of one place side by side.

    Args:
        sides: width and height of each of the A anchors, in strides.

    Example:
        >>> at_places(torch.tensor([[[4.0], [4], [8], [16], [8]]]), [(1, 2)]).tolist()
        [[0.0, -4.0, 8.0, 12.0]]
    """
    middle, stride = places[0, :2].T, places[0, 2]
    half = places.new_tensor(sides)[None] * stride[:, None, None] / 2
    return torch.cat([middle[:, None] - half, middle[:, None] + half], 2).flatten(0, 1)


def of_anchors(maps: Tensor, num: int) -> Tensor:
    """Return outputs (N, A C, P), those of each of A = `num` anchors behind each other, as (N, P A, C) float32."""
    count, _, places = maps.shape
    return maps.float().view(count, num, -1, places).permute(0, 3, 1, 2).flatten(1, 2)
