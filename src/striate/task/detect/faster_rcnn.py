"""Faster R-CNN: a first look proposes boxes, whatever is in them; a second look says what it is, and mends the box.

Outputs are [classes (N, K + 1, R), boxes (N, 4, R), places (N, 5, P), proposals (N, 5, R), objectness (N, A, P),
shifts (N, 4 A, P)]: A anchors at each of P places, R proposals, the last class is the background.

Where the paper draws some anchors and some proposals at random, here all of them count, each as much as its chance to
be drawn: the same in expectation, without chance.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.data.sample import Batch
from striate.data.target import Ragged
from striate.model import zoo
from striate.nn.blocks.regions import SQUARES, Taught
from striate.nn.boxes import DELTA_WEIGHTS, decode, encode, pair_iou

from .anchored import HUBER, Anchored
from .reading import Candidates, Part, Truth, best, view_of

DRAWN = 256  # anchors of an image in the paper, half of them at most standing for a box
NUM_NEGATIVES = 3.0  # proposals of the background for each that holds something
RIGHT = 0.5  # the IoU from which a proposal holds a box


@dataclass(frozen=True)
class FasterRcnn(Anchored):
    """Losses: cross-entropy and smooth absolute differences of both looks.

    Reference: Ren et al., Faster R-CNN, arXiv:1506.01497; with a pyramid: Lin et al., arXiv:1612.03144.
    """

    name: ClassVar[str] = zoo.FASTER_RCNN
    sides: ClassVar[tuple[tuple[float, float], ...]] = SQUARES
    high: ClassVar[float] = 0.7
    low: ClassVar[float] = 0.3

    def outputs(self, num_classes: int) -> int:
        """A number a class, and one of the background, the last."""
        return num_classes + 1

    def fits(self, outputs: Any, num_images: int, num_classes: int) -> bool:
        """Return whether there are classes, boxes, places, proposals, and what was said of anchors."""
        if not isinstance(outputs, Sequence) or len(outputs) != 6:
            return False
        if not all(isinstance(one, Tensor) and one.ndim == 3 and len(one) == num_images for one in outputs):
            return False
        regions, places, num = outputs[0].shape[2], outputs[2].shape[2], len(self.sides)
        shapes = [tuple(one.shape[1:]) for one in outputs]
        second = [(num_classes + 1, regions), (4, regions), (5, places), (5, regions)]
        return shapes == [*second, (num, places), (4 * num, places)]

    def forward(self, network: nn.Module, batch: Batch, **options: Any) -> Any:
        """Return the outputs; while training, the true boxes are among the proposals."""
        blocks = [one for one in network.modules() if isinstance(one, Taught)]
        rows = [one for one in batch.targets.values() if isinstance(one, Ragged)]
        if not (network.training and blocks and rows):
            return network(batch.images, **options)
        truth = Truth.of(rows[0])
        with ExitStack() as stack:
            for block in blocks:
                stack.enter_context(block.with_true(truth.boxes, truth.is_there))
            return network(batch.images, **options)

    def logits(self, outputs: Any) -> Tensor:
        """Return what the second look says of each proposal (N, K + 1, R)."""
        found: Tensor = outputs[0]
        return found

    def parts(self, outputs: Any, truth: Truth) -> dict[str, Part]:
        """Return {"class", "box"} of the second look, {"objectness", "proposal"} of the first, weighted."""
        options = self.options
        of_class, of_box = self._second(outputs, truth)
        of_thing, of_shift = self._first(outputs, truth)
        return {
            "class": Part(options.class_weight * of_class.sums, of_class.counts),
            "box": Part(options.box_weight / 2 * of_box.sums, of_box.counts),
            "objectness": Part(options.class_weight * of_thing.sums, of_thing.counts),
            "proposal": Part(options.box_weight / 2 * of_shift.sums, of_shift.counts),
        }

    def _first(self, outputs: Any, truth: Truth) -> tuple[Part, Part]:
        """Whether an anchor stands for a box, and how the box differs from it."""
        goal = self.matched((None, outputs[5], outputs[2]), truth)
        logits, shifts = self.numbers(outputs[4])[:, :, 0], self.numbers(outputs[5])
        is_thing, is_nothing = goal.is_thing, goal.row == -1
        drawn = goal.counts.clamp(max=DRAWN / 2)
        share = drawn / goal.counts.clamp(min=1)
        rest = ((DRAWN - drawn) / is_nothing.sum(1).clamp(min=1)).clamp(max=1)
        weight = is_thing * share[:, None] + is_nothing * rest[:, None]
        losses = F.binary_cross_entropy_with_logits(logits, is_thing.float(), reduction="none")
        of_shift = F.smooth_l1_loss(shifts, goal.deltas, beta=HUBER, reduction="none").sum(2)
        return Part((losses * weight).sum(1), weight.sum(1)), Part((of_shift * is_thing).sum(1), goal.counts)

    def _second(self, outputs: Any, truth: Truth) -> tuple[Part, Part]:
        """What a proposal holds, and how its box differs from it."""
        logits, deltas, proposals = outputs[0].float().transpose(1, 2), outputs[1].float().transpose(1, 2), outputs[3]
        boxes, is_box = proposals[:, :4].transpose(1, 2), proposals[:, 4] > 0
        ious = pair_iou(truth.boxes[:, :, None], boxes[:, None])
        in_crowd = (ious.masked_fill(~truth.is_crowd[:, :, None], 0).amax(1)) >= RIGHT
        overlap, row = ious.masked_fill(~truth.is_there[:, :, None], -1).max(1)
        is_thing = (overlap >= RIGHT) & is_box
        is_nothing = ~is_thing & is_box & ~in_crowd
        label = truth.labels.gather(1, row).masked_fill(~is_thing, logits.shape[2] - 1)
        num = is_thing.sum(1).float()
        rest = (NUM_NEGATIVES * num.clamp(min=1) / is_nothing.sum(1).clamp(min=1)).clamp(max=1)
        weight = is_thing + is_nothing * rest[:, None]
        losses = F.cross_entropy(logits.transpose(1, 2), label, reduction="none")
        true = truth.boxes.gather(1, row[:, :, None].expand(-1, -1, 4))
        unit = boxes.new_tensor([0.0, 0.0, 1.0, 1.0])
        of_one, of_other = (torch.where(is_thing[:, :, None], some, unit) for some in (true, boxes))
        shift = F.smooth_l1_loss(deltas, encode(of_one, of_other, DELTA_WEIGHTS), reduction="none").sum(2)
        return Part((losses * weight).sum(1), weight.sum(1)), Part((shift * is_thing).sum(1), num)

    def reach(self, outputs: Any, truth: Truth) -> Tensor:
        """Return whether an anchor is no background for each true box (N, T): its best one stands for it."""
        ious = pair_iou(truth.boxes[:, :, None], self.anchors(outputs[2])[None, None])
        return (ious.amax(2) >= self.low) & truth.is_there

    def boxes(self, outputs: Any) -> Tensor:
        """Return the proposals as they are mended (N, R, 4)."""
        return decode(outputs[1].float().transpose(1, 2), outputs[3][:, :4].transpose(1, 2), DELTA_WEIGHTS)

    def candidates(self, outputs: Any) -> Candidates:
        """Return the pairs of proposal and class with the highest probabilities."""
        scores = outputs[0].float().softmax(1)[:, :-1] * (outputs[3][:, 4:] > 0)
        return best(self.boxes(outputs), scores, view_of(outputs))
