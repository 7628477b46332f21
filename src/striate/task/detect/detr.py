"""DETR: a set of queries, each of which answers for one object or for none; nothing is suppressed.

Outputs are [classes (N, K + 1, L, Q), boxes (N, 4, L, Q), places (N, 5, P)]: Q queries after each of L layers, the last
class is "nothing", a box is its middle and its sides as shares of the view, before a sigmoid. Each layer is trained;
the last one answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from striate.model import zoo
from striate.nn.boxes import pair_giou

from .reading import Candidates, Dense, Part, Truth, best, view_of

COST_CLASS, COST_SIDES, COST_GIOU = 1.0, 5.0, 2.0
OF_NOTHING = 0.1  # what a query that answers for nothing counts


@dataclass(frozen=True)
class Detr(Dense):
    """Losses: cross-entropy of the classes, absolute differences of boxes (x 5/2) and 1 - GIoU, of matched pairs.

    Each true box is matched with one query, so that the sum of their costs is least (Hungarian method).

    Reference: Carion et al., End-to-End Object Detection with Transformers, arXiv:2005.12872.
    """

    name: ClassVar[str] = zoo.DETR
    suppresses: ClassVar[bool] = False

    def outputs(self, num_classes: int) -> int:
        """A number a class, and one of "nothing", the last."""
        return num_classes + 1

    def fits(self, outputs: Any, num_images: int, num_classes: int) -> bool:
        """Return whether there are classes, boxes and places."""
        if not isinstance(outputs, Sequence) or len(outputs) != 3 or not all(isinstance(x, Tensor) for x in outputs):
            return False
        classes, boxes, places = (tuple(one.shape) for one in outputs)
        if len(classes) != 4 or len(places) != 3:
            return False
        head = (num_images, num_classes + 1, *classes[2:]), (num_images, 4, *classes[2:]), (num_images, 5, places[2])
        return (classes, boxes, places) == head

    def shares(self, outputs: Any) -> Tensor:
        """Return the boxes (N, L, Q, 4) xyxy as shares of the view."""
        middle, sides = outputs[1].float().permute(0, 2, 3, 1).sigmoid().chunk(2, 3)
        return torch.cat([middle - sides / 2, middle + sides / 2], 3)

    def logits(self, outputs: Any) -> Tensor:
        """Return what each query of the last layer says (N, K + 1, Q)."""
        found: Tensor = outputs[0][:, :, -1]
        return found

    def parts(self, outputs: Any, truth: Truth) -> dict[str, Part]:
        """Return {"class", "box"}, weighted, means over the layers."""
        logits, boxes = outputs[0].float().permute(0, 2, 3, 1), self.shares(outputs)
        true, nothing = truth.boxes / view_of(outputs)[:, None], logits.shape[3] - 1
        label = torch.full(logits.shape[:3], nothing, dtype=torch.int64, device=logits.device)
        goal, is_one = boxes.detach().clone(), torch.zeros_like(label, dtype=torch.bool)
        image, layer, query, row = matched(logits.detach(), boxes.detach(), true, truth)
        label[image, layer, query] = truth.labels[image, row]
        goal[image, layer, query], is_one[image, layer, query] = true[image, row], True
        weight = torch.where(is_one, 1.0, OF_NOTHING)
        of_class = F.cross_entropy(logits.permute(0, 3, 1, 2), label, reduction="none") * weight
        of_box = 1 - pair_giou(boxes, goal) + COST_SIDES / COST_GIOU * sides_apart(boxes, goal)
        counts = is_one.flatten(1).sum(1).float()
        options = self.options
        return {
            "class": Part(options.class_weight * of_class.flatten(1).sum(1), weight.flatten(1).sum(1)),
            "box": Part(options.box_weight * (of_box * is_one).flatten(1).sum(1), counts),
        }

    def candidates(self, outputs: Any) -> Candidates:
        """Return the class and the box that each query of the last layer answers with."""
        view = view_of(outputs)
        scores = self.logits(outputs).float().softmax(1)[:, :-1]
        top = torch.zeros_like(scores).scatter_(1, scores.argmax(1, keepdim=True), 1.0)  # one class a query
        return best(self.shares(outputs)[:, -1] * view[:, None], scores * top, view)

    def reach(self, outputs: Any, truth: Truth) -> Tensor:
        """Return whether there are queries enough for each true box (N, T)."""
        is_asked: Tensor = truth.is_there.cumsum(1) <= outputs[0].shape[3]
        return is_asked & truth.is_there


def sides_apart(a: Tensor, b: Tensor) -> Tensor:
    """Return the sum (...) of the absolute differences of middles and sides of boxes (..., 4), as shares."""
    middles: Tensor = ((a[..., :2] + a[..., 2:]) - (b[..., :2] + b[..., 2:])).abs().sum(-1) / 2
    return middles + ((a[..., 2:] - a[..., :2]) - (b[..., 2:] - b[..., :2])).abs().sum(-1)


def matched(logits: Tensor, boxes: Tensor, true: Tensor, truth: Truth) -> Tensor:
    """Return the image, the layer, the query and the row of the truth (4, M) of the pairs with the least costs.

    Args:
        logits: (N, L, Q, K + 1).
        boxes: (N, L, Q, 4) as shares.
        true: (N, T, 4) as shares.
    """
    from scipy.optimize import linear_sum_assignment  # 0.4 s to load

    num, depth, num_queries, _ = logits.shape
    labels = truth.labels[:, None, None].expand(-1, depth, num_queries, -1)
    given, wanted = boxes[:, :, :, None], true[:, None, None]
    cost = -COST_CLASS * logits.softmax(3).gather(3, labels) + COST_SIDES * sides_apart(given, wanted)
    costs = (cost - COST_GIOU * pair_giou(given, wanted)).cpu().numpy()  # (N, L, Q, T), one way from a GPU
    rows = [np.flatnonzero(is_there) for is_there in truth.is_there.cpu().numpy()]
    pairs = [np.zeros((4, 0), np.int64)]
    for image, layer in np.ndindex(num, depth):
        query, column = linear_sum_assignment(costs[image, layer][:, rows[image]])
        pairs.append(np.stack([np.full_like(query, image), np.full_like(query, layer), query, rows[image][column]]))
    return torch.from_numpy(np.concatenate(pairs, 1)).to(logits.device)
