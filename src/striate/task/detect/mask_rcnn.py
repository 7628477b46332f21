"""Mask R-CNN: Faster R-CNN with a third look, which says of each cell of a box whether the object covers it.

Outputs are those of Faster R-CNN, and [detections (N, 6, M), masks (N, K + 1, M C C)]: of M boxes the logits of C x C
cells for each class. While training, the boxes are proposals that overlap a true one.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.model import zoo
from striate.nn.blocks.regions import MASK_CELLS
from striate.nn.boxes import roi_align

from .reading import Candidates, Part, Truth
from .third_look import NUM_CELLS, ThirdLook, holding, maps_of


@dataclass(frozen=True)
class MaskRcnn(ThirdLook):
    """The loss of a mask is binary cross-entropy, mean over the cells of the true class alone.

    Reference: He et al., Mask R-CNN, arXiv:1703.06870, section 3.
    """

    name: ClassVar[str] = zoo.MASK_RCNN
    has_masks: ClassVar[bool] = True

    def num_maps(self, num_classes: int) -> int:
        """Return the classes, and one of the background."""
        return num_classes + 1

    def parts(self, outputs: Any, truth: Truth) -> dict[str, Part]:
        """Return the parts of Faster R-CNN, and {"mask"}."""
        mask = self._masks(outputs, truth)
        return super().parts(outputs, truth) | {"mask": Part(self.options.mask_weight * mask.sums, mask.counts)}

    def _masks(self, outputs: Any, truth: Truth) -> Part:
        """Of the boxes that hold an object, how wrong the cells are."""
        boxes, image, at, own = holding(outputs, truth)
        if truth.masks is None:  # data to evaluate on may have boxes only
            return Part(boxes.new_zeros(len(boxes)), boxes.new_zeros(len(boxes)))
        goal = inside(truth.masks[image, own], truth.boxes[image, own], boxes[image, at])
        logits = maps_of(outputs)[image, truth.labels[image, own], at]
        losses = F.binary_cross_entropy_with_logits(logits, goal.flatten(1), reduction="none").mean(1)
        sums = losses.new_zeros(len(boxes)).index_add(0, image, losses)
        return Part(sums, torch.bincount(image, minlength=len(boxes)).float())

    def seen(self, found: Candidates, maps: Tensor) -> dict[str, Tensor]:
        """Return {"masks"}, those of the detections' classes."""
        own = maps.gather(1, found.labels[:, None, :, None].expand(-1, -1, -1, NUM_CELLS))[:, 0]
        return {"masks": own.sigmoid()}


def inside(masks: Tensor, true: Tensor, boxes: Tensor) -> Tensor:
    """Return what objects cover of the cells of boxes: (B, MASK_CELLS, MASK_CELLS) in 0..1, by RoI align.

    Args:
        masks: (B, G, G) 0 or 1, the cells of the true boxes.
        true, boxes: (B, 4) in the same pixels.
    """
    low, sides = true[:, :2].repeat(1, 2), (true[:, 2:] - true[:, :2]).repeat(1, 2)
    own = (boxes - low) / sides.clamp(min=1e-6) * masks.shape[2] + 1
    framed = F.pad(masks[:, None].float(), (1, 1, 1, 1))  # beyond its box an object covers nothing
    rows = torch.arange(len(masks), device=masks.device)
    return roi_align(framed, own, rows, (MASK_CELLS, MASK_CELLS))[:, 0]
