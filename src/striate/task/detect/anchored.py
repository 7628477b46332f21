"""Detectors that move and scale boxes which are laid over the image beforehand: RetinaNet and SSD.

At every place lie A anchors, whose sides are in strides of their level. Outputs are [classes (N, A K, P),
boxes (N, 4 A, P), places (N, 5, P)], those of an anchor beside each other.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.model import zoo
from striate.model.zoo.detectors import RETINA_ANCHORS, SSD_ANCHORS
from striate.nn.boxes import BELOW, BETWEEN, decode, encode, match, pair_iou, sigmoid_focal
from striate.nn.boxes.anchors import at_places, of_anchors

from .one_stage import in_crowd
from .reading import Candidates, Dense, Part, Truth, best, view_of

BASE = 4.0  # sides of an anchor of ratio 1 and scale 1, in strides
HUBER = 1 / 9  # where the loss of a difference becomes linear
NUM_NEGATIVES = 3  # for each anchor that stands for a box


@dataclass(frozen=True)
class Matched:
    """The truth of each anchor: `row` (N, B) of the truth, BELOW (background) or BETWEEN, and `deltas` (N, B, 4)."""

    row: Tensor
    deltas: Tensor

    @property
    def is_thing(self) -> Tensor:
        """(N, B)."""
        return self.row >= 0

    @property
    def counts(self) -> Tensor:
        """Anchors of each image that stand for a box (N,)."""
        return self.is_thing.sum(1).float()


@dataclass(frozen=True)
class Anchored(Dense):
    """What both have. A subclass gives `sides`, width and height of each of its A anchors in strides."""

    sides: ClassVar[tuple[tuple[float, float], ...]] = ()
    high: ClassVar[float] = 0.5
    low: ClassVar[float] = 0.4

    def shapes(self, num_classes: int) -> tuple[int, int]:
        """Return the channels of the classes and of the boxes."""
        return len(self.sides) * self.outputs(num_classes), len(self.sides) * 4

    def anchors(self, places: Tensor) -> Tensor:
        """Return the anchors (B, 4) of places (N, 5, P), those of one place behind each other; B = P A."""
        return at_places(places, self.sides)

    def numbers(self, maps: Tensor) -> Tensor:
        """Return outputs (N, A C, P) as (N, B, C)."""
        return of_anchors(maps, len(self.sides))

    def logits(self, outputs: Any) -> Tensor:
        """Return the classes of each anchor (N, K, B)."""
        return self.numbers(outputs[0]).transpose(1, 2)

    def boxes(self, outputs: Any) -> Tensor:
        """Return the anchors moved and scaled (N, B, 4)."""
        return decode(self.numbers(outputs[1]), self.anchors(outputs[2]))

    def matched(self, outputs: Any, truth: Truth) -> Matched:
        """Return what each anchor stands for."""
        anchors = self.anchors(outputs[2])
        ious = pair_iou(truth.boxes[:, :, None], anchors[None, None])
        ious = ious.masked_fill(~truth.is_there[:, :, None], -1)
        rows = torch.stack([match(one, high=self.high, low=self.low, keeps_best=True) for one in ious])
        near = in_crowd(outputs[2], truth).repeat_interleave(len(self.sides), 1)
        rows = rows.masked_fill(near & (rows == BELOW), BETWEEN)
        true = truth.boxes.gather(1, rows.clamp(min=0)[:, :, None].expand(-1, -1, 4))
        is_thing = (rows >= 0)[:, :, None]
        return Matched(rows, encode(torch.where(is_thing, true, anchors), anchors.expand_as(true)))

    def reach(self, outputs: Any, truth: Truth) -> Tensor:
        """Return whether an anchor overlaps each true box by enough to stand for it (N, T)."""
        ious = pair_iou(truth.boxes[:, :, None], self.anchors(outputs[2])[None, None])
        return (ious.amax(2) >= self.high) & truth.is_there


@dataclass(frozen=True)
class RetinaNet(Anchored):
    """Nine anchors at each place, and the focal loss, in which the many places without an object count little.

    Reference: Lin et al., Focal Loss for Dense Object Detection, arXiv:1708.02002.
    """

    name: ClassVar[str] = zoo.RETINANET
    sides = tuple(
        (BASE * 2 ** (step / 3) / sqrt(ratio), BASE * 2 ** (step / 3) * sqrt(ratio))
        for step in range(3)
        for ratio in (0.5, 1.0, 2.0)
    )
    assert len(sides) == RETINA_ANCHORS

    def parts(self, outputs: Any, truth: Truth) -> dict[str, Part]:
        """Return {"class", "box"}: focal, and smooth absolute differences, over the anchors that stand for a box."""
        goal = self.matched(outputs, truth)
        logits, deltas = self.numbers(outputs[0]), self.numbers(outputs[1])
        label = truth.labels.gather(1, goal.row.clamp(min=0))
        answer = F.one_hot(label, logits.shape[2]) * goal.is_thing[:, :, None]
        of_class = sigmoid_focal(logits, answer.to(logits)).sum(2).masked_fill(goal.row == BETWEEN, 0).sum(1)
        of_box = F.smooth_l1_loss(deltas, goal.deltas, beta=HUBER, reduction="none").sum(2)
        of_box = (of_box * goal.is_thing).sum(1)
        options = self.options
        return {
            "class": Part(options.class_weight * of_class, goal.counts),
            "box": Part(options.box_weight / 2 * of_box, goal.counts),
        }

    def candidates(self, outputs: Any) -> Candidates:
        """Return the pairs of anchor and class with the highest scores."""
        scores = self.numbers(outputs[0]).sigmoid().transpose(1, 2)
        return best(self.boxes(outputs), scores, view_of(outputs))


@dataclass(frozen=True)
class Ssd(Anchored):
    """Six boxes at each place of the encoder's own maps, and one class more for the background.

    Of the anchors that are background, three times as many as stand for a box are learnt, those with the largest loss.

    Reference: Liu et al., SSD: Single Shot MultiBox Detector, arXiv:1512.02325.
    """

    name: ClassVar[str] = zoo.SSD
    low: ClassVar[float] = 0.5
    sides = (
        (BASE, BASE),
        (BASE * sqrt(2), BASE * sqrt(2)),
        *((BASE * sqrt(ratio), BASE / sqrt(ratio)) for ratio in (2.0, 0.5, 3.0, 1 / 3)),
    )
    assert len(sides) == SSD_ANCHORS

    def outputs(self, num_classes: int) -> int:
        """A number a class, and one of the background, the last."""
        return num_classes + 1

    def parts(self, outputs: Any, truth: Truth) -> dict[str, Part]:
        """Return {"class", "box"}: cross-entropy, and smooth absolute differences."""
        goal = self.matched(outputs, truth)
        logits, deltas = self.numbers(outputs[0]), self.numbers(outputs[1])
        nothing = logits.shape[2] - 1
        label = truth.labels.gather(1, goal.row.clamp(min=0)).masked_fill(~goal.is_thing, nothing)
        losses = F.cross_entropy(logits.transpose(1, 2), label, reduction="none")
        of_nothing = losses.detach().masked_fill(goal.row != BELOW, -1)
        rank = of_nothing.argsort(1, descending=True).argsort(1)
        most = NUM_NEGATIVES * goal.counts.clamp(min=1)
        is_learnt = goal.is_thing | ((rank < most[:, None]) & (goal.row == BELOW))
        of_box = F.smooth_l1_loss(deltas, goal.deltas, beta=HUBER, reduction="none").sum(2)
        options = self.options
        return {
            "class": Part(options.class_weight * (losses * is_learnt).sum(1), goal.counts),
            "box": Part(options.box_weight / 2 * (of_box * goal.is_thing).sum(1), goal.counts),
        }

    def candidates(self, outputs: Any) -> Candidates:
        """Return the pairs of anchor and class with the highest probabilities."""
        scores = self.logits(outputs).softmax(1)[:, :-1]
        return best(self.boxes(outputs), scores, view_of(outputs))
