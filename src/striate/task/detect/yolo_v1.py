"""The first YOLO: a grid, of which the cell with the middle of an object answers for it with one of two boxes.

Outputs are [classes (N, K, P), boxes (N, 10, P), places (N, 5, P)]. A box is five numbers: x and y of its middle in
its cell, the roots of its width and height as shares of the view, and how sure it is; sigmoids bring all to 0..1.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from striate.model import zoo
from striate.model.zoo.detectors import YOLO_BOXES
from striate.nn.boxes import pair_iou

from .one_stage import in_crowd
from .reading import Candidates, Dense, Part, Truth, best, view_of

NUMBERS = 5
PLACE_WEIGHT, NOTHING_WEIGHT = 5.0, 0.5


@dataclass(frozen=True)
class YoloV1(Dense):
    """Squared errors of everything, as the paper has them; a score is how sure a box is times the class.

    A cell has one class, and of several objects in it the largest is learnt. What differs from the paper: sigmoids on
    the outputs, softmax on the classes, and convolutions where it has two dense layers, so that any size works.

    Reference: Redmon et al., You Only Look Once: Unified, Real-Time Object Detection, arXiv:1506.02640, section 2.2.
    """

    name: ClassVar[str] = zoo.YOLO_V1

    def shapes(self, num_classes: int) -> tuple[int, int]:
        """Return the channels of the classes and of the boxes."""
        return num_classes, YOLO_BOXES * NUMBERS

    def numbers(self, outputs: Any) -> Tensor:
        """Return the boxes' numbers (N, B, 5, P) in 0..1; B = 2."""
        num, _, places = outputs[1].shape
        return torch.sigmoid(outputs[1].float()).view(num, YOLO_BOXES, NUMBERS, places)

    def boxes(self, outputs: Any) -> Tensor:
        """Return the boxes of all cells (N, B P, 4), the first ones of all cells first."""
        return self._xyxy(self.numbers(outputs), outputs[2]).flatten(1, 2)

    @staticmethod
    def _xyxy(numbers: Tensor, places: Tensor) -> Tensor:
        corner = places[:, None, :2] - places[:, None, 2:3] / 2
        middle = corner + numbers[:, :, :2] * places[:, None, 2:3]
        half = numbers[:, :, 2:4].square() * places[:, None, 3:5] / 2
        return torch.cat([middle - half, middle + half], 2).transpose(2, 3)

    def parts(self, outputs: Any, truth: Truth) -> dict[str, Part]:
        """Return {"class", "box", "sure"}, over the cells that answer for an object."""
        places, numbers = outputs[2], self.numbers(outputs)
        row = cells(places, truth)
        is_thing, counts = row >= 0, (row >= 0).sum(1).float()
        true = truth.boxes.gather(1, row.clamp(min=0)[:, :, None].expand(-1, -1, 4))
        iou = pair_iou(self._xyxy(numbers.detach(), places), true[:, None])  # (N, B, P)
        is_one = torch.zeros_like(iou).scatter_(1, iou.argmax(1, keepdim=True), 1.0) * is_thing[:, None]
        of_box = (numbers[:, :, :4] - _goal(true, places)[:, None]).square().sum(2)
        sure = numbers[:, :, 4]
        is_nothing = (1 - is_one) * ~(in_crowd(places, truth) & ~is_thing)[:, None]
        of_sure = (sure - iou).square() * is_one + NOTHING_WEIGHT * sure.square() * is_nothing
        answer = torch.zeros_like(outputs[0], dtype=torch.float32)
        answer.scatter_(1, truth.labels.gather(1, row.clamp(min=0))[:, None], 1.0)
        of_class = ((outputs[0].float().softmax(1) - answer).square().sum(1) * is_thing).sum(1)
        options = self.options
        return {
            "class": Part(options.class_weight * of_class, counts),
            "box": Part(options.box_weight / 2 * PLACE_WEIGHT * (of_box * is_one).sum((1, 2)), counts),
            "sure": Part(of_sure.sum((1, 2)), counts),
        }

    def candidates(self, outputs: Any) -> Candidates:
        """Return the pairs of box and class with the highest scores."""
        scores = self.numbers(outputs)[:, None, :, 4] * outputs[0].float().softmax(1)[:, :, None]
        return best(self.boxes(outputs), scores.flatten(2), view_of(outputs))

    def reach(self, outputs: Any, truth: Truth) -> Tensor:
        """Return whether a cell answers for each true box (N, T)."""
        row = cells(outputs[2], truth)
        rows = torch.arange(truth.boxes.shape[1], device=row.device)
        return (row[:, None] == rows[:, None]).any(2) & truth.is_there


@torch.no_grad()
def cells(places: Tensor, truth: Truth) -> Tensor:
    """Return the row of the truth whose middle lies in each cell (N, P), the largest of several; -1 for none."""
    stride = places[:, 2, :, None]
    corner = places[:, :2].transpose(1, 2) - stride / 2
    middle = (truth.boxes[:, :, :2] + truth.boxes[:, :, 2:]) / 2
    far = (middle[:, :, None] - corner[:, None]) / stride[:, None]  # (N, T, P, 2)
    is_in = ((far >= 0) & (far < 1)).all(3) & truth.is_there[:, :, None]  # a border belongs to the cell behind it
    size = (truth.boxes[:, :, 2:] - truth.boxes[:, :, :2]).prod(2)[:, :, None] * is_in
    largest, row = size.max(1)
    return row.masked_fill(largest <= 0, -1)


def _goal(true: Tensor, places: Tensor) -> Tensor:
    """The four numbers (N, 4, P) of true boxes (N, P, 4)."""
    corner = places[:, :2] - places[:, 2:3] / 2
    low, high = true.transpose(1, 2).chunk(2, 1)
    middle = ((low + high) / 2 - corner) / places[:, 2:3]
    return torch.cat([middle, ((high - low).clamp(min=0) / places[:, 3:5]).sqrt()], 1)
