"""FCOS: no anchors; a place learns the smallest box around it whose size is that of the place's level.

Outputs are [classes (N, K, P), boxes (N, 5, P), places (N, 5, P)]; the fifth number of a box says how near its middle
the place is.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.model import zoo
from striate.nn.boxes import area, pair_giou, sigmoid_focal

from .one_stage import in_crowd
from .reading import MAX_LOG, Candidates, Dense, Part, Truth, best, view_of

REACH = 8.0  # the longest distance to a side that a level learns, in strides; the shortest is half of that
RADIUS = 1.5  # from the middle of a box to the places that learn it, in strides


@dataclass(frozen=True)
class Fcos(Dense):
    """Focal loss of the classes, 1 - GIoU of the boxes, cross-entropy of how near a place is to the middle.

    A place learns a box if it is within a stride and a half of its middle, and the longest distance to a side is
    between 4 and 8 strides, or less on the finest level and more on the coarsest. A score is the root of the class's
    probability times how near to the middle the place says it is.

    Reference: Tian et al., FCOS: Fully Convolutional One-Stage Object Detection, arXiv:1904.01355, version 2.
    """

    name: ClassVar[str] = zoo.FCOS

    def shapes(self, num_classes: int) -> tuple[int, int]:
        """Return the channels of the classes and of the boxes."""
        return num_classes, 5

    def boxes(self, outputs: Any) -> Tensor:
        """Return the box (N, P, 4) of each place."""
        classes, numbers, places = outputs
        return super().boxes((classes, numbers[:, :4].clamp(max=MAX_LOG), places))

    def parts(self, outputs: Any, truth: Truth) -> dict[str, Part]:
        """Return {"class", "box", "middle"}; boxes count by how near the middle they are, the rest by the place."""
        logits, places = outputs[0].float(), outputs[2]
        row, nearness = goals(places, truth)
        is_thing, counts = row >= 0, (row >= 0).sum(1).float()
        label = truth.labels.gather(1, row.clamp(min=0))
        answer = F.one_hot(label, logits.shape[1]).transpose(1, 2) * is_thing[:, None]
        of_class = sigmoid_focal(logits, answer.to(logits)).sum(1)
        of_class = of_class.masked_fill(in_crowd(places, truth) & ~is_thing, 0).sum(1)
        true = truth.boxes.gather(1, row.clamp(min=0)[:, :, None].expand(-1, -1, 4))
        of_box = ((1 - pair_giou(self.boxes(outputs), true)) * nearness).sum(1)
        near = F.binary_cross_entropy_with_logits(outputs[1][:, 4].float(), nearness, reduction="none")
        options = self.options
        return {
            "class": Part(options.class_weight * of_class, counts),
            "box": Part(options.box_weight * of_box, nearness.sum(1)),
            "middle": Part((near * is_thing).sum(1), counts),
        }

    def candidates(self, outputs: Any) -> Candidates:
        """Return the pairs of place and class with the highest scores."""
        scores = (outputs[0].float().sigmoid() * outputs[1][:, 4:].float().sigmoid()).sqrt()
        return best(self.boxes(outputs), scores, view_of(outputs))

    def reach(self, outputs: Any, truth: Truth) -> Tensor:
        """Return whether a place learns each true box (N, T)."""
        row, _ = goals(outputs[2], truth)
        rows = torch.arange(truth.boxes.shape[1], device=row.device)
        return (row[:, None] == rows[:, None]).any(2) & truth.is_there


@torch.no_grad()
def goals(places: Tensor, truth: Truth) -> tuple[Tensor, Tensor]:
    """Return the row of the truth that each place learns (N, P), -1 for none, and how near its middle it is (N, P)."""
    middle, stride = places[:, :2].transpose(1, 2), places[:, 2]
    low = middle[:, None] - truth.boxes[:, :, None, :2]  # (N, T, P, 2)
    high = truth.boxes[:, :, None, 2:] - middle[:, None]
    far = torch.maximum(low, high).amax(3) / stride[:, None]
    is_inside = torch.minimum(low, high).amin(3) > 0
    is_near = ((low - high).abs().amax(3) / 2) < RADIUS * stride[:, None]
    is_finest, is_coarsest = stride == stride.amin(), stride == stride.amax()
    fits = ((far > REACH / 2) | is_finest[:, None]) & ((far <= REACH) | is_coarsest[:, None])
    may = is_inside & is_near & fits & truth.is_there[:, :, None]
    size = area(truth.boxes)[:, :, None].expand_as(far).masked_fill(~may, torch.inf)
    smallest, row = size.min(1)
    row = row.masked_fill(smallest.isinf(), -1)
    index = row.clamp(min=0)[:, None, :, None].expand(-1, -1, -1, 2)
    near, away = low.gather(1, index)[:, 0], high.gather(1, index)[:, 0]
    share = torch.minimum(near, away) / torch.maximum(near, away).clamp(min=1e-6)
    return row, share.clamp(min=0).prod(2).sqrt() * (row >= 0)
