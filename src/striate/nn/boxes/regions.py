"""What a map shows inside boxes, as maps of one size. N images, K boxes, P x Q bins a box."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .operators import compiled


def roi_align(
    maps: Tensor, xyxy: Tensor, image: Tensor, size_hw: tuple[int, int], *,
    scale: float = 1.0, sampling: int = 2, is_aligned: bool = True,
) -> Tensor:  # fmt: skip
    """Return (K, C, P, Q): in each bin of each box the mean of the map at points on a grid, linearly interpolated.

    Runs torchvision's compiled operator where that loads, else `align`; both give the same.

    Args:
        maps: (N, C, H, W).
        xyxy: (K, 4) in pixels of the images; no gradient flows to them.
        image: (K,) int64, which of the N a box belongs to.
        size_hw: P, Q.
        scale: places of the map per pixel of the image, 1 / stride.
        sampling: points along each side of a bin; 0: as many as places of the map, rounded up.
        is_aligned: place 0 of the map stands for its first `1 / scale` pixels, whose middle is half a place from the
            border (Detectron2); False: for the border itself, and boxes are at least one place wide (the paper).

    Reference: He et al., "Mask R-CNN", ICCV 2017, section 3.
    """
    operator = compiled("roi_align")
    if operator is None:
        return align(maps, xyxy, image, size_hw, scale, sampling, is_aligned)
    boxes = torch.cat([image[:, None].to(maps), xyxy.to(maps)], 1)
    return operator(maps, boxes, scale, *size_hw, sampling, is_aligned)  # type: ignore[no-any-return]


def align(
    maps: Tensor, xyxy: Tensor, image: Tensor, size_hw: tuple[int, int], scale: float, sampling: int, is_aligned: bool
) -> Tensor:
    """Return what `roi_align` returns, in plain torch: one weighted sum of rows of the map a bin.

    Boxes with like numbers of points go together; with `sampling` these are all.
    """
    boxes = xyxy.detach().float() * scale - (0.5 if is_aligned else 0.0)
    start, sides = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    sides = sides if is_aligned else sides.clamp(min=1)
    bins = sides.new_tensor([size_hw[1], size_hw[0]])
    points = torch.full_like(sides, sampling) if sampling > 0 else (sides / bins).ceil()
    table = maps.float().permute(0, 2, 3, 1).flatten(0, 2)  # a row a place
    pooled = table.new_zeros(len(boxes), *size_hw, maps.shape[1])
    for x_points, y_points in points.unique(dim=0).int().tolist():
        rows = (points == points.new_tensor([x_points, y_points])).all(1).nonzero()[:, 0]
        if x_points > 0 and y_points > 0:
            across = _axis(start[rows, 0], sides[rows, 0], size_hw[1], x_points, maps.shape[3])
            down = _axis(start[rows, 1], sides[rows, 1], size_hw[0], y_points, maps.shape[2])
            sums = _sums(table, image[rows], across, down, maps.shape[2:])
            pooled = pooled.index_copy(0, rows, sums)
    return pooled.permute(0, 3, 1, 2).to(maps.dtype)


Axis = tuple[Tensor, Tensor]


def _axis(start: Tensor, side: Tensor, bins: int, points: int, size: int) -> Axis:
    """The places (K, bins, 2 points) of one axis that the points of each bin lie between, and their weights."""
    shares = (torch.arange(points, device=start.device) + 0.5) / points
    steps = (torch.arange(bins, device=start.device)[:, None] + shares).flatten()
    at = start[:, None] + steps * (side / bins)[:, None]
    is_inside = (at >= -1) & (at <= size)  # beyond, the map is 0
    at = at.clamp(0, size - 1)
    low = at.floor()
    weight = torch.stack([1 - (at - low), at - low], 2) * is_inside[:, :, None] / points
    place = torch.stack([low, (low + 1).clamp(max=size - 1)], 2).long()
    return place.view(len(start), bins, -1), weight.view(len(start), bins, -1)


def _sums(table: Tensor, image: Tensor, across: Axis, down: Axis, size_hw: torch.Size) -> Tensor:
    """(K, P, Q, C) the sums over the points of each bin."""
    (x, x_weight), (y, y_weight) = across, down
    line = image[:, None, None] * size_hw[0] + y
    places = line[:, :, None, :, None] * size_hw[1] + x[:, None, :, None, :]
    weights = y_weight[:, :, None, :, None] * x_weight[:, None, :, None, :]
    bags, shares = (values.flatten(0, 2).flatten(1) for values in (places, weights))
    sums = F.embedding_bag(bags, table, mode="sum", per_sample_weights=shares)
    return sums.view(*places.shape[:3], -1)


def roi_pool(maps: Tensor, xyxy: Tensor, image: Tensor, size_hw: tuple[int, int], *, scale: float = 1.0) -> Tensor:
    """Return (K, C, P, Q) the largest number of the map in each bin of each box; boxes and bins are whole places.

    Runs torchvision's compiled operator where that loads, else `pool`; both give the same. Args: see `roi_align`.

    Reference: Girshick, "Fast R-CNN", ICCV 2015, section 2.1.
    """
    operator = compiled("roi_pool")
    if operator is None:
        return pool(maps, xyxy, image, size_hw, scale)
    boxes = torch.cat([image[:, None].to(maps), xyxy.to(maps)], 1)
    return operator(maps, boxes, scale, *size_hw)[0]  # type: ignore[no-any-return]


def pool(maps: Tensor, xyxy: Tensor, image: Tensor, size_hw: tuple[int, int], scale: float) -> Tensor:
    """Return what `roi_pool` returns, in plain torch.

    The largest number of each window of 2^i x 2^j places is made once for the whole map; a bin is the largest of four
    such windows, which may overlap.
    """
    if not len(xyxy):
        return maps.new_zeros(0, maps.shape[1], *size_hw)
    height, width = maps.shape[2:]
    bounds = _rounded(xyxy.detach().float() * scale)
    top, bottom = _bins(bounds[:, 1], bounds[:, 3], size_hw[0], height)
    left, right = _bins(bounds[:, 0], bounds[:, 2], size_hw[1], width)
    down, across = _level(bottom - top), _level(right - left)
    num_across = int(across.max()) + 1
    rows = _windows(maps, int(down.max()), num_across - 1).permute(0, 1, 3, 4, 2).reshape(-1, maps.shape[1])
    level = down[:, :, None] * num_across + across[:, None, :]
    plane = (level * len(maps) + image[:, None, None]) * height
    largest = maps.new_full((), -math.inf)
    for y in (top.clamp(max=height - 1), (bottom - 2**down).clamp(min=0)):
        for x in (left.clamp(max=width - 1), (right - 2**across).clamp(min=0)):
            largest = torch.maximum(largest, F.embedding((plane + y[:, :, None]) * width + x[:, None, :], rows))
    is_empty = (bottom <= top)[:, :, None] | (right <= left)[:, None, :]
    return largest.masked_fill(is_empty[..., None], 0).permute(0, 3, 1, 2)


def _rounded(values: Tensor) -> Tensor:
    """Halves go away from zero, as in C; torch rounds them to even."""
    whole = values.trunc()
    return (whole + values.sign() * ((values - whole).abs() >= 0.5)).long()


def _bins(first: Tensor, last: Tensor, bins: int, size: int) -> tuple[Tensor, Tensor]:
    """The places (K, bins) from which and before which each bin of an axis goes, inside the map."""
    step = ((last - first + 1).clamp(min=1).float() / bins)[:, None]
    index = torch.arange(bins, device=first.device)
    low = (index * step).floor().long() + first[:, None]
    high = ((index + 1) * step).ceil().long() + first[:, None]
    return low.clamp(0, size), high.clamp(0, size)


def _level(lengths: Tensor) -> Tensor:
    """The largest i of windows 2^i that fit into lengths (at least 1)."""
    return torch.frexp(lengths.clamp(min=1).float())[1].long() - 1


def _windows(maps: Tensor, down: int, across: int) -> Tensor:
    """((down + 1) (across + 1), N, C, H, W) the largest number of the windows 2^i x 2^j that begin at each place."""
    return torch.stack([window for line in _doubled(maps, down, 2) for window in _doubled(line, across, 3)])


def _doubled(maps: Tensor, levels: int, axis: int) -> list[Tensor]:
    size, windows = maps.shape[axis], [maps]
    for level in range(levels):
        after = (torch.arange(size, device=maps.device) + 2**level).clamp(max=size - 1)
        windows.append(torch.maximum(windows[-1], windows[-1].index_select(axis, after)))
    return windows
