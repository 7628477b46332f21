"""How much boxes overlap. Boxes are (..., 4) x0, y0, x1, y1."""

import torch
from torch import Tensor


def area(xyxy: Tensor) -> Tensor:
    """Return the areas (...) of boxes (..., 4)."""
    return (xyxy[..., 2:] - xyxy[..., :2]).prod(-1)


def clip(xyxy: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Return boxes (..., 4) cut at the border of an image of `size_hw` pixels.

    Example:
        >>> clip(torch.tensor([[-3.0, 2.0, 9.0, 30.0]]), (20, 8)).tolist()
        [[0.0, 2.0, 8.0, 20.0]]
    """
    height, width = size_hw
    return xyxy.clamp(min=0).minimum(xyxy.new_tensor([width, height, width, height]))


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
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
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
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    return shared, area(a) + area(b) - shared
