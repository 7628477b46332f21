"""The usual detector: anchor-free, places chosen by how well they answer already, scores that tell how well boxes fit.

A place learns a true box whose inside its middle is in, where it is among the `NUM_PLACES` with the highest
score^A x IoU^B for that box. Its class is learnt as how good it is: of each box the best place's target is the IoU that
it reaches, those of others are lower in proportion. So a score says both what is there and how well it is placed.

Reference: Feng et al., TOOD: Task-aligned One-stage Object Detection, arXiv:2108.07755.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.model import zoo
from striate.nn.boxes import pair_giou, pair_iou

from .reading import Dense, Part, Truth, inside

NUM_PLACES = 10  # of a box
POWER_SCORE, POWER_IOU = 0.5, 6.0
LEAST = 0.05  # of the best place's target: a box that nothing overlaps yet is learnt too
TINY = 1e-9


@dataclass(frozen=True)
class Assigned:
    """What places learn: `quality` (N, K, P) of each class, `box` (N, P) row of the truth, `weight` (N, P)."""

    quality: Tensor
    box: Tensor
    weight: Tensor


@dataclass(frozen=True)
class OneStage(Dense):
    """See the module. Losses: cross-entropy of the classes, 1 - GIoU of the boxes; both over the sum of the targets."""

    name: ClassVar[str] = zoo.ONE_STAGE

    def parts(self, outputs: Any, truth: Truth) -> dict[str, Part]:
        """Return {"class", "box"}, weighted."""
        logits, boxes = outputs[0].float(), self.boxes(outputs)
        goal = assigned(logits.detach().sigmoid(), boxes.detach(), outputs[2], truth)
        of_class = F.binary_cross_entropy_with_logits(logits, goal.quality, reduction="none").sum(1)
        of_class = of_class.masked_fill(in_crowd(outputs[2], truth) & (goal.weight == 0), 0).sum(1)
        true = truth.boxes.gather(1, goal.box[:, :, None].expand(-1, -1, 4))
        of_box = ((1 - pair_giou(boxes, true)) * goal.weight).sum(1)
        counts = goal.weight.sum(1)
        options = self.options
        return {
            "class": Part(options.class_weight * of_class, counts),
            "box": Part(options.box_weight * of_box, counts),
        }


@torch.no_grad()
def assigned(scores: Tensor, boxes: Tensor, places: Tensor, truth: Truth) -> Assigned:
    """Return what each place learns.

    Args:
        scores: (N, K, P) probabilities.
        boxes: (N, P, 4).
        places: (N, 5, P).
    """
    num, num_classes, num_places = scores.shape
    iou = pair_iou(truth.boxes[:, :, None], boxes[:, None])  # (N, T, P)
    of_class = (scores**POWER_SCORE).gather(1, truth.labels[:, :, None].expand(-1, -1, num_places))
    fit = of_class * (iou * iou * iou) ** (POWER_IOU / 3) + TINY  # a square root and products: no power of the many
    may = may_learn(places, truth)
    top = (fit * may).topk(min(NUM_PLACES, num_places), 2)
    is_top = torch.zeros_like(may).scatter_(2, top.indices, top.values > 0)
    rank = torch.where(is_top, iou + TINY, iou.new_zeros(()))
    box = rank.max(1).indices  # (N, P): of several boxes the one that overlaps most
    is_one = is_top & (torch.arange(iou.shape[1], device=iou.device)[:, None] == box[:, None])
    fit = fit * is_one
    best_iou = (iou * is_one).amax(2, keepdim=True).clamp(min=LEAST)
    weight = (fit / fit.amax(2, keepdim=True).clamp(min=TINY) * best_iou).sum(1)  # (N, P), one box each
    label = truth.labels.gather(1, box)
    quality = torch.zeros(num, num_classes, num_places, device=scores.device)
    quality.scatter_(1, label[:, None], weight[:, None])
    return Assigned(quality, box, weight)


def may_learn(places: Tensor, truth: Truth) -> Tensor:
    """Return whether a place may learn a box (N, T, P): its middle is inside, or it is the nearest of a box without."""
    middle = places[:, :2].transpose(1, 2)
    is_inside = inside(middle, truth.boxes)
    centre = (truth.boxes[:, :, :2] + truth.boxes[:, :, 2:]) / 2
    nearest = torch.cdist(centre, middle).argmin(2, keepdim=True)
    is_nearest = torch.zeros_like(is_inside).scatter_(2, nearest, True)
    return (is_inside | (is_nearest & ~is_inside.any(2, keepdim=True))) & truth.is_there[:, :, None]


def in_crowd(places: Tensor, truth: Truth) -> Tensor:
    """Return whether the middle of a place lies in a box that stands for many things (N, P)."""
    return (inside(places[:, :2].transpose(1, 2), truth.boxes) & truth.is_crowd[:, :, None]).any(1)
