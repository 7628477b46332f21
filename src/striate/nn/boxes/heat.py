"""Key points of boxes as places in heat maps, and back. B boxes, K points, maps of S x S cells over each box."""

import torch
import torch.nn.functional as F
from torch import Tensor


def point_cells(xy: Tensor, boxes: Tensor, side: int, margin: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return the cell (B, K) int64, row by row, in which points lie, and whether they lie in their box (B, K).

    Cells of points beyond their box mean nothing. A point on the right or lower side lies in the last cell.

    Args:
        xy: (B, K, 2) in the pixels of the boxes.
        boxes: (B, 4) with an area.
        side: S.
        margin: share of the box's sides; a point that lies no farther beyond it counts in the nearest cell.

    Example:
        >>> point_cells(torch.tensor([[[3.0, 1.5], [4.0, 0.0], [5.0, 0.0]]]), torch.tensor([[0.0, 0, 4, 4]]), 4)
        (tensor([[7, 3, 0]]), tensor([[ True,  True, False]]))

    Reference: He et al., Mask R-CNN, arXiv:1703.06870, section 5; cells as torchvision counts them.
    """
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    near = torch.minimum(torch.maximum(xy, low), high)
    is_inside = ((xy - near).abs() <= margin * (high - low)).all(2)
    cell = ((near - low) * (side / (high - low))).long().clamp(max=side - 1)
    return (cell[..., 1] * side + cell[..., 0]).masked_fill(~is_inside, 0), is_inside


@torch.no_grad()
def read_points(maps: Tensor, boxes: Tensor) -> Tensor:
    """Return (B, K, 3) x, y in the pixels of the boxes, and the logit there: where each map is highest.

    A map is brought to the pixels of its box first, by cubic interpolation.

    Args:
        maps: (B, K, S, S) logits.
        boxes: (B, 4).

    Reference: the same, as torchvision does it.
    """
    found = maps.new_zeros(*maps.shape[:2], 3)
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1)
    whole = sides.ceil()
    for row, (wide, high) in enumerate(whole.long().tolist()):
        fine = F.interpolate(maps[row][:, None], (high, wide), mode="bicubic", align_corners=False).flatten(1)
        best = fine.max(1)
        place = torch.stack([best.indices % wide, best.indices // wide], 1) + 0.5
        found[row, :, :2] = place * (sides[row] / whole[row]) + boxes[row, :2]
        found[row, :, 2] = best.values
    return found
