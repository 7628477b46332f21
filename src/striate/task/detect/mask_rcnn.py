"""Mask R-CNN: Faster R-CNN with a third look, which says of each cell of a box whether the object covers it.

Outputs are those of Faster R-CNN, and [detections (N, 6, M), masks (N, K + 1, M C C)]: of M boxes the logits of C x C
cells for each class. While training, the boxes are proposals that overlap a true one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.model import zoo
from striate.nn.blocks.regions import MASK_CELLS, MIN_OVERLAP
from striate.nn.boxes import pair_iou, roi_align

from .faster_rcnn import FasterRcnn
from .reading import Candidates, Part, Truth

NUM_CELLS = MASK_CELLS**2


@dataclass(frozen=True)
class MaskRcnn(FasterRcnn):
    """The loss of a mask is binary cross-entropy, mean over the cells of the true class alone.

    Reference: He et al., Mask R-CNN, arXiv:1703.06870, section 3.
    """

    name: ClassVar[str] = zoo.MASK_RCNN
    has_masks: ClassVar[bool] = True

    def fits(self, outputs: Any, num_images: int, num_classes: int) -> bool:
        """Return whether there is what Faster R-CNN gives, and detections with their masks."""
        if (
            not isinstance(outputs, Sequence)
            or len(outputs) != 8
            or not super().fits(outputs[:6], num_images, num_classes)
        ):
            return False
        found, masks = outputs[6:]
        if not all(isinstance(one, Tensor) and one.ndim == 3 and len(one) == num_images for one in (found, masks)):
            return False
        return bool(found.shape[1] == 6 and masks.shape[1:] == (num_classes + 1, found.shape[2] * NUM_CELLS))

    def parts(self, outputs: Any, truth: Truth) -> dict[str, Part]:
        """Return the parts of Faster R-CNN, and {"mask"}."""
        mask = self._masks(outputs, truth)
        return super().parts(outputs, truth) | {"mask": Part(self.options.mask_weight * mask.sums, mask.counts)}

    def _masks(self, outputs: Any, truth: Truth) -> Part:
        """Of the boxes that hold an object, how wrong the cells are."""
        boxes, is_box = outputs[6][:, :4].transpose(1, 2).float(), outputs[6][:, 4] > 0
        overlap = pair_iou(truth.boxes[:, :, None], boxes[:, None]).masked_fill(~truth.is_there[:, :, None], -1)
        best, row = overlap.max(1)
        image, at = ((best >= MIN_OVERLAP) & is_box).nonzero(as_tuple=True)
        own = row[image, at]
        if truth.masks is None:  # data to evaluate on may have boxes only
            return Part(boxes.new_zeros(len(boxes)), boxes.new_zeros(len(boxes)))
        goal = inside(truth.masks[image, own], truth.boxes[image, own], boxes[image, at])
        logits = outputs[7].unflatten(2, (-1, NUM_CELLS))[image, truth.labels[image, own], at].float()
        losses = F.binary_cross_entropy_with_logits(logits, goal.flatten(1), reduction="none").mean(1)
        sums = losses.new_zeros(len(boxes)).index_add(0, image, losses)
        return Part(sums, torch.bincount(image, minlength=len(boxes)).float())

    def candidates(self, outputs: Any) -> Candidates:
        """Return the detections, each with the mask of its class; while training, what the second look says."""
        if (outputs[6][:, 5] < 0).any():  # boxes to learn masks of, which are no answers
            return super().candidates(outputs)
        found, label = outputs[6].float(), outputs[6][:, 5].long()
        logits = outputs[7].unflatten(2, (-1, NUM_CELLS)).float()
        own = logits.gather(1, label[:, None, :, None].expand(-1, -1, -1, NUM_CELLS))[:, 0]
        return Candidates(found[:, :4].transpose(1, 2), found[:, 4], label, own.sigmoid())


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
