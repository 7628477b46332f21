"""Masks in cells of a box, in the pixels of the image."""

import math

import torch
from torch import Tensor


def paste(cells: Tensor, xyxy: Tensor, size_hw: tuple[int, int], threshold: float = 0.5) -> Tensor:
    """Return which pixels (H, W) of an image the object covers: whose middle, between the cells', is at the threshold.

    Between the middles of cells numbers change linearly, and beyond the outer ones to 0 within a cell.

    Args:
        cells: (G, G) in 0..1, rows and columns of the box.
        xyxy: (4,) the box, also beyond the image.

    Example:
        >>> paste(torch.ones(2, 2), torch.tensor([1.0, 1, 3, 3]), (4, 5)).int().tolist()
        [[0, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]]
    """
    height, width = size_hw
    mask = torch.zeros(height, width, dtype=torch.bool)
    left, top, right, bottom = xyxy.tolist()
    rows, down = _share(top, bottom, cells.shape[0], height)
    columns, across = _share(left, right, cells.shape[1], width)
    values = down @ cells.detach().double().cpu() @ across.T
    mask[rows, columns] = values >= threshold
    return mask


def _share(low: float, high: float, count: int, size: int) -> tuple[slice, Tensor]:
    """The pixels of an axis that a box may cover, and how much each cell counts there (pixels, cells)."""
    cell = max(high - low, 1e-6) / count
    first, last = max(0, math.floor(low - cell)), min(size, math.ceil(high + cell))
    at = (torch.arange(first, max(first, last), dtype=torch.float64) + 0.5 - low) / cell - 0.5
    return slice(first, max(first, last)), (1 - (at[:, None] - torch.arange(count)).abs()).clamp(min=0)
