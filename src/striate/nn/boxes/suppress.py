"""Non-maximum suppression: of boxes that overlap, the one with the best score."""

import torch
from torch import Tensor

from .operators import compiled
from .overlap import iou, pair_iou

BLOCK = 1024  # boxes compared with each other at once: 4 MB of IoU


def nms(xyxy: Tensor, scores: Tensor, max_iou: float) -> Tensor:
    """Return (K,) int64 the rows of the boxes that stay, by falling score.

    From the best score down, a box goes if it overlaps a box that stays by more than `max_iou`. Equal scores: the
    first row is the better one. Runs torchvision's compiled operator where that loads; what stays is the same.

    Args:
        xyxy: (B, 4).
        scores: (B,).

    Example:
        >>> boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 5], [9, 9, 12, 12]])
        >>> nms(boxes, torch.tensor([0.5, 0.9, 0.1]), 0.5).tolist()
        [1, 2]
    """
    operator = compiled("nms")
    if operator is not None:
        return operator(xyxy, scores, max_iou)  # type: ignore[no-any-return]
    return greedy(xyxy, scores, max_iou)


def class_nms(xyxy: Tensor, scores: Tensor, groups: Tensor, max_iou: float) -> Tensor:
    """Return what `nms` returns if only boxes of one group suppress each other.

    Args:
        groups: (B,) int64: the class, or of a batch a number for each class of each image.
    """
    return greedy(xyxy, scores, max_iou, groups)


@torch.no_grad()
def greedy(xyxy: Tensor, scores: Tensor, max_iou: float, groups: Tensor | None = None) -> Tensor:
    """Return what `nms` (or `class_nms`) returns, in plain torch; 1,000 boxes take some milliseconds on one thread."""
    order = scores.argsort(descending=True, stable=True)
    boxes = xyxy[order].float() if xyxy.dtype in (torch.float16, torch.bfloat16) else xyxy[order]
    group = None if groups is None else groups[order]
    stays = torch.zeros(len(order), dtype=torch.bool, device=order.device)
    for start in range(0, len(order), BLOCK):
        rows = torch.arange(start, min(start + BLOCK, len(order)), device=order.device)
        before = stays[:start].nonzero()[:, 0]
        free = ~_is_over(boxes, group, before, rows, max_iou).any(0)
        stays[rows] = _settle(_is_over(boxes, group, rows, rows, max_iou).triu(1), free)
    return order[stays]


def _is_over(boxes: Tensor, group: Tensor | None, rows: Tensor, others: Tensor, max_iou: float) -> Tensor:
    """(R, O) whether boxes overlap too much."""
    is_over = iou(boxes[rows], boxes[others]) > max_iou
    return is_over if group is None else is_over & (group[rows][:, None] == group[others])


def _settle(is_over: Tensor, free: Tensor) -> Tensor:
    """Which boxes of a block stay.

    Whether a box stays depends on better ones only, so a guess that is its own consequence is the greedy answer; after
    step i all boxes that a chain of at most i suppressions reaches are right. Chains are short, so steps are few.
    """
    weights, stays = is_over.float(), free  # counts by a product with a matrix: ten times as fast as `any`
    while True:
        after = free & (stays.float() @ weights == 0)
        if torch.equal(after, stays):
            return stays
        stays = after


@torch.no_grad()
def soft_nms(
    xyxy: Tensor, scores: Tensor, *, sigma: float = 0.5, min_score: float = 1e-3, max_iou: float | None = None
) -> tuple[Tensor, Tensor]:
    """Return the rows (K,) and lowered scores (K,) of boxes, by falling score: overlap lowers a score, it ends nothing.

    Args:
        sigma: a box chosen lowers the score of each other by exp(-IoU^2 / sigma).
        min_score: what falls below it is left out.
        max_iou: instead, lower scores by 1 - IoU where the IoU is above this.

    Reference: Bodla et al., "Soft-NMS", ICCV 2017.
    """
    left, rows, values = scores.clone(), [], []
    for _ in range(len(scores)):
        row = left.argmax()
        if not left[row] >= min_score:
            break
        rows.append(row)
        values.append(left[row].clone())
        overlap = pair_iou(xyxy[row], xyxy)
        factor = torch.exp(-(overlap**2) / sigma) if max_iou is None else torch.where(overlap > max_iou, 1 - overlap, 1)
        left = left * factor
        left[row] = -torch.inf
    if not rows:
        return scores.new_zeros(0, dtype=torch.int64), scores.new_zeros(0)
    return torch.stack(rows), torch.stack(values)
