"""Keypoint R-CNN: Faster R-CNN with a third look, which says where in a box each key point of the object lies.

Outputs are those of Faster R-CNN, and [detections (N, 6, M), heat maps (N, K, M C C)]: of M boxes the logits of C x C
cells for each of K points, which are read at twice the sides. While training, the boxes are proposals that overlap a
true one.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch.nn.functional as F
from torch import Tensor

from striate.base.errors import DataError
from striate.model import zoo
from striate.model.blueprint import Blueprint
from striate.nn.blocks.regions import LOOK_CELLS, MASK_CELLS
from striate.nn.boxes import point_cells, read_points

from .reading import Candidates, Part, Truth
from .third_look import ThirdLook, holding, maps_of

HEAT_CELLS = 2 * MASK_CELLS
MARGIN = 1 / LOOK_CELLS  # a box is the hull of whole pixels: a corner of what it holds lies up to one beyond it


@dataclass(frozen=True)
class KeypointRcnn(ThirdLook):
    """The loss of a point is cross-entropy over the cells of its heat map, mean over the points that are marked.

    A point of an object counts where it lies in the box that is looked at, or no farther beyond it than one of the bins
    that the look divides it into (the paper's has to lie in it). Each point is answered, also one that is not
    seen: where its map is highest.

    Reference: He et al., Mask R-CNN, arXiv:1703.06870, section 5.
    """

    num_points: int = 17
    name: ClassVar[str] = zoo.KEYPOINT_RCNN
    has_points: ClassVar[bool] = True

    def num_maps(self, num_classes: int) -> int:
        """Return the points."""
        return self.num_points

    def of_points(self, num: int) -> Self:
        """Return the detector of objects with so many points."""
        return replace(self, num_points=num)

    def extended(self, blueprint: Blueprint, *, channels: int, size_hw: tuple[int, ...]) -> Blueprint:
        """Return the detector on the body of a network, and a network with ends, both with a map a point."""
        given = super().extended(blueprint, channels=channels, size_hw=size_hw)
        rows = (
            replace(row, options={**row.options, "points": self.num_points}) if row.block == "point_head" else row
            for row in given.rows
        )
        return replace(given, rows=tuple(rows))

    def parts(self, outputs: Any, truth: Truth) -> dict[str, Part]:
        """Return the parts of Faster R-CNN, and {"points"}."""
        points = self._points(outputs, truth)
        return super().parts(outputs, truth) | {"points": Part(self.options.point_weight * points.sums, points.counts)}

    def _points(self, outputs: Any, truth: Truth) -> Part:
        """Of the boxes that hold an object, how improbable the cells are in which its points lie."""
        boxes, image, at, own = holding(outputs, truth)
        sums = counts = boxes.new_zeros(len(boxes))
        if truth.points is None or truth.visible is None:  # data to evaluate on may have boxes only
            return Part(sums, counts)
        if truth.points.shape[2] != self.num_points:
            what = f"objects have {truth.points.shape[2]} key points, and the run's {self.num_points}"
            raise DataError(what, fix="choose data with the run's key points")
        cell, is_inside = point_cells(truth.points[image, own], boxes[image, at], HEAT_CELLS, MARGIN)
        logits = larger(maps_of(outputs).transpose(1, 2)[image, at])
        losses = F.cross_entropy(logits.flatten(2).transpose(1, 2), cell, reduction="none")  # (P, K)
        is_learnt = is_inside & (truth.visible[image, own] > 0)
        sums = sums.index_add(0, image, losses.masked_fill(~is_learnt, 0).sum(1))
        return Part(sums, counts.index_add(0, image, is_learnt.sum(1).float()))

    def seen(self, found: Candidates, maps: Tensor) -> dict[str, Tensor]:
        """Return {"points"}, x and y in pixels of the view, and the logit there."""
        is_there = found.scores > 0
        points = maps.new_zeros(*found.scores.shape, self.num_points, 3)
        points[is_there] = read_points(larger(maps.transpose(1, 2)[is_there]), found.boxes[is_there])
        return {"points": points.flatten(2)}


def larger(maps: Tensor) -> Tensor:
    """Return heat maps (B, K, C C) at twice the sides: (B, K, 2 C, 2 C)."""
    maps = maps.unflatten(2, (MASK_CELLS, MASK_CELLS))
    return F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
