"""What a detector's outputs mean: how they are trained, and which boxes they are. One reading a kind of detector.

N images, K classes, P places of all levels behind each other, T true boxes an image at most, Q candidates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from striate.base.settings import Settings
from striate.data.sample import Batch
from striate.data.target import Ragged
from striate.model.blueprint import Blueprint
from striate.model.zoo.detectors import on_blueprint

MAX_CANDIDATES = 400  # of an image, before overlapping ones are suppressed
MIN_SCORE = 0.01  # of a candidate
MAX_LOG = 8.0  # of a side in strides: what an untrained network gives stays finite


class DetectOptions(Settings):
    """How objects are learnt and answered.

    `detector` is the reading of the network's outputs; "" is that of the network's own name, else one_stage.
    `class_weight`, `box_weight`, `mask_weight` and `point_weight` are those of the losses in their sum. Of two answers
    of one class that overlap by more than `nms` (IoU) the one with the higher score stays; `max_boxes` stay an image.
    R-CNN and Fast R-CNN look at `proposals` regions of an image, the first at each of `region_px` pixels a side.
    """

    detector: str = ""
    class_weight: float = Field(1.0, ge=0, le=1000)
    box_weight: float = Field(2.0, ge=0, le=1000)
    mask_weight: float = Field(1.0, ge=0, le=1000)
    point_weight: float = Field(1.0, ge=0, le=1000)
    nms: float = Field(0.6, ge=0, le=1)
    max_boxes: int = Field(100, ge=1, le=1000)
    proposals: int = Field(300, ge=1, le=5000)
    region_px: int = Field(64, ge=8, le=512)


@dataclass(frozen=True)
class Truth:
    """The true boxes of N images, padded to T >= 1: `boxes` (N, T, 4) xyxy in pixels of the network's view, `labels`
    (N, T) int64, `is_there` (N, T) whether a row is a thing to find, `is_crowd` (N, T) whether it is many at once,
    where nothing is learnt. Where the data know: `masks` (N, T, G, G) uint8, what is covered of the boxes' cells;
    `points` (N, T, K, 2) xy of the key points and `visible` (N, T, K), 0 where one is not marked or not in the view.
    """

    boxes: Tensor
    labels: Tensor
    is_there: Tensor
    is_crowd: Tensor
    masks: Tensor | None = None
    points: Tensor | None = None
    visible: Tensor | None = None

    @classmethod
    def of(cls, rows: Ragged) -> Self:
        """Return the true boxes of a batch."""
        boxes, is_row = padded(rows.values.float(), rows.lengths, rows.most)
        fields = {name: padded(column, rows.lengths, rows.most)[0] for name, column in rows.fields.items()}
        is_crowd = fields["crowd"]
        known = {name: fields[name] for name in ("masks", "points", "visible") if name in fields}
        return cls(boxes, fields["labels"], is_row & ~is_crowd, is_row & is_crowd, **known)


PART_NAMES = ("class", "box", "middle", "sure", "objectness", "proposal", "mask", "points")  # of the kinds' losses


@dataclass(frozen=True)
class Part:
    """A part of the loss: of each image a sum (N,), and the number (N,) that it is divided by."""

    sums: Tensor
    counts: Tensor


@dataclass(frozen=True)
class Candidates:
    """Boxes (N, Q, 4) xyxy in pixels of the view, scores (N, Q) in falling order, 0 where none is, labels (N, Q).

    `masks` (N, Q, C) are the probabilities that the cells of the box are covered, row by row, C a square number;
    `points` (N, Q, 3 K) x, y and score of each key point.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor | None = None
    points: Tensor | None = None


class Reading(Protocol):
    """A kind of detector, see `Dense` for those that look once."""

    name: ClassVar[str]
    suppresses: ClassVar[bool]  # whether candidates may be several of one thing
    is_given_regions: ClassVar[bool]  # whether its regions come from selective search
    has_masks: ClassVar[bool]  # whether candidates say what they cover
    has_points: ClassVar[bool]  # whether candidates say where their key points are

    def of_points(self, num: int) -> Self:
        """Return the kind for objects with so many key points."""

    def outputs(self, num_classes: int) -> int:
        """Return the width of the network's rows that have none."""

    def fits(self, outputs: Any, num_images: int, num_classes: int) -> bool:
        """Return whether a network gives what is read here."""

    def extended(self, blueprint: Blueprint, *, channels: int, size_hw: tuple[int, ...]) -> Blueprint:
        """Return the detector on the body of a network; a network with ends as it is.

        Raises:
            SettingsError: the network has no maps.
        """

    def forward(self, network: nn.Module, batch: Batch, **options: Any) -> Any:
        """Return the network's outputs for a batch; a kind that needs more than the images gives it that here."""

    def explained(self, network: nn.Module) -> nn.Module:
        """Return the network as far as `logits` reads what it gives, or more."""

    def logits(self, outputs: Any) -> Tensor:
        """Return the number (N, K or K + 1, P) of each class at each place, before a sigmoid or softmax."""

    def parts(self, outputs: Any, truth: Truth) -> dict[str, Part]:
        """Return the parts of the loss, weighted."""

    def candidates(self, outputs: Any) -> Candidates:
        """Return the boxes that may be things."""

    def reach(self, outputs: Any, truth: Truth) -> Tensor:
        """Return whether the network can learn of each true box (N, T)."""


@dataclass(frozen=True)
class Dense:
    """A detector that says of every place which class is there and where its box ends.

    Outputs are [classes (N, K, P), boxes (N, 4, P), places (N, 5, P)], see `striate.nn.blocks.dense_head`. A subclass
    gives `name`, `parts`, and `boxes` where they are no distances to the sides.
    """

    options: DetectOptions
    name: ClassVar[str] = ""
    suppresses: ClassVar[bool] = True
    is_given_regions: ClassVar[bool] = False
    has_masks: ClassVar[bool] = False
    has_points: ClassVar[bool] = False

    def of_points(self, num: int) -> Self:
        """Return the detector as it is: it has none."""
        return self

    def outputs(self, num_classes: int) -> int:
        """A number a class."""
        return num_classes

    def shapes(self, num_classes: int) -> tuple[int, int]:
        """Return the channels of the classes and of the boxes."""
        return self.outputs(num_classes), 4

    def fits(self, outputs: Any, num_images: int, num_classes: int) -> bool:
        """Return whether there are classes, boxes and places."""
        if not isinstance(outputs, Sequence) or len(outputs) != 3 or not all(isinstance(x, Tensor) for x in outputs):
            return False
        classes, boxes, places = outputs
        shapes = [tuple(one.shape) for one in (classes, boxes, places)]
        num = shapes[0][2] if classes.ndim == 3 else 0
        return shapes == [(num_images, channels, num) for channels in (*self.shapes(num_classes), 5)]

    def extended(self, blueprint: Blueprint, *, channels: int, size_hw: tuple[int, ...]) -> Blueprint:
        """Return the detector on the body of a network; a network with ends as it is."""
        return blueprint if blueprint.ends else on_blueprint(self.name, blueprint)

    def forward(self, network: nn.Module, batch: Batch, **options: Any) -> Any:
        """Return the network's outputs for the images."""
        return network(batch.images, **options)

    def explained(self, network: nn.Module) -> nn.Module:
        """Return the network as it is."""
        return network

    def logits(self, outputs: Any) -> Tensor:
        """Return the classes (N, K, P)."""
        found: Tensor = outputs[0]
        return found

    def boxes(self, outputs: Any) -> Tensor:
        """Return the box (N, P, 4) of each place: outputs are logarithms of the distances to its sides, in strides."""
        _, logs, places = outputs
        middle, stride = places[:, :2], places[:, 2:3]
        far = logs.float().clamp(max=MAX_LOG).exp() * stride
        return torch.cat([middle - far[:, :2], middle + far[:, 2:]], 1).transpose(1, 2)

    def parts(self, outputs: Any, truth: Truth) -> dict[str, Part]:
        """Return the parts of the loss, weighted."""
        raise NotImplementedError

    def candidates(self, outputs: Any) -> Candidates:
        """Return the pairs of place and class with the highest scores."""
        return best(self.boxes(outputs), outputs[0].float().sigmoid(), view_of(outputs))

    def reach(self, outputs: Any, truth: Truth) -> Tensor:
        """Return whether the middle of a place lies in each true box (N, T)."""
        return inside(outputs[2][:, :2].transpose(1, 2), truth.boxes).any(2) & truth.is_there


def best(boxes: Tensor, scores: Tensor, view: Tensor) -> Candidates:
    """Return the candidates with the highest scores.

    Args:
        boxes: (N, P, 4).
        scores: (N, K, P).
        view: (N, 4) where boxes are cut: 0, 0 and the view's width and height are its sides.
    """
    num, flat = scores.shape[2], scores.flatten(1)
    values, place = flat.topk(min(MAX_CANDIDATES, flat.shape[1]), 1)
    labels, place = place // num, place % num
    chosen = boxes.gather(1, place[:, :, None].expand(-1, -1, 4))
    cut = torch.minimum(chosen.clamp(min=0), view[:, None])
    return Candidates(cut, values.masked_fill(values < MIN_SCORE, 0), labels)


def view_of(outputs: Any) -> Tensor:
    """Return (N, 4) width, height, width, height of the view that places lie in."""
    size: Tensor = outputs[2][:, 3:5, 0]
    return size.repeat(1, 2)


def inside(points: Tensor, boxes: Tensor) -> Tensor:
    """Return whether points (N, P, 2) lie in boxes (N, T, 4): (N, T, P)."""
    x, y = (
        side.contiguous() for side in points[:, None].unbind(3)
    )  # columns: five times as fast as along the last axis
    x0, y0, x1, y1 = boxes[:, :, None].unbind(3)
    return (x > x0) & (x < x1) & (y > y0) & (y < y1)


def padded(rows: Tensor, lengths: Sequence[int], most: int = 0) -> tuple[Tensor, Tensor]:
    """Return rows (T, ...) of N images as (N, most, ...), zeros behind, and which are there (N, most); most is >= 1.

    Args:
        most: at least so many.

    Example:
        >>> padded(torch.tensor([1, 2, 3]), (2, 0, 1))[0].tolist()
        [[1, 2], [0, 0], [3, 0]]
    """
    most = max(1, most, *lengths)
    counts = torch.tensor(lengths, device=rows.device)
    is_there = torch.arange(most, device=rows.device) < counts[:, None]
    out = rows.new_zeros(len(lengths), most, *rows.shape[1:])
    out[is_there] = rows
    return out, is_there
