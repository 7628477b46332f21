"""How much boxes overlap. Boxes are (..., 4) x0, y0, x1, y1."""

import torch
from torch import Tensor

from ..constant import constants


def area(xyxy: Tensor) -> Tensor:
    """Return the areas (...) of boxes (..., 4)."""
    x0, y0, x1, y1 = xyxy.unbind(-1)
    return (x1 - x0) * (y1 - y0)


def clip(xyxy: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Return boxes (..., 4) cut at the border of an image of `size_hw` pixels.

    Example:
        >>> clip(torch.tensor([[-3.0, 2.0, 9.0, 30.0]]), (20, 8)).tolist()
        [[0.0, 2.0, 8.0, 20.0]]
    """
    height, width = size_hw
    return xyxy.clamp(min=0).minimum(constants((width, height, width, height), xyxy))


def pair_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union (...) of boxes (..., 4) pair by pair, 0 where neither has an area."""
    shared, union = _areas(a, b)
    return shared / union.clamp(min=torch.finfo(union.dtype).tiny)


def pair_giou(a: Tensor, b: Tensor) -> Tensor:
    """Return the generalised IoU (...) of boxes (..., 4) pair by pair, -1 to 1.

    It is the IoU less the share of their hull that neither fills.

    Reference: Rezatofighi et al., "Generalized intersection over union", CVPR 2019.
    """
    shared, union = _areas(a, b)
    x0, y0 = (torch.minimum(a[..., side], b[..., side]) for side in (0, 1))
    x1, y1 = (torch.maximum(a[..., side], b[..., side]) for side in (2, 3))
    hull = (x1 - x0) * (y1 - y0)
    tiny = torch.finfo(union.dtype).tiny
    return shared / union.clamp(min=tiny) - (hull - union) / hull.clamp(min=tiny)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union (A, B) of every box of (A, 4) with every one of (B, 4).

    Example:
        >>> iou(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[0.0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]])).tolist()
        [[1.0, 0.3333333432674408, 0.0]]
    """
    return pair_iou(a[:, None], b[None])


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Return the generalised IoU (A, B) of every box of (A, 4) with every one of (B, 4)."""
    return pair_giou(a[:, None], b[None])


def _areas(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The areas (...) of what two boxes share and of what they cover together."""
    a, b = (one.movedim(-1, 0).contiguous().movedim(0, -1) for one in (a, b))  # sides lie apart: read 1.5 times as fast
    x0, y0 = (torch.maximum(a[..., side], b[..., side]) for side in (0, 1))
    x1, y1 = (torch.minimum(a[..., side], b[..., side]) for side in (2, 3))
    shared = (x1 - x0).clamp(min=0) * (y1 - y0).clamp(
        min=0
    )  # columns: six times as fast as a product along the last axis
    return shared, area(a) + area(b) - shared
