"""Faster R-CNN with a third look, at what was found: what Mask R-CNN and its key points have in common.

Outputs are those of Faster R-CNN, and [detections (N, 6, M), maps (N, W, M C C)]: of M boxes W maps of C x C cells.
While training, the boxes are proposals that overlap a true one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from striate.model.network import Network
from striate.nn.blocks.regions import MASK_CELLS, MIN_OVERLAP
from striate.nn.boxes import pair_iou

from .faster_rcnn import FasterRcnn
from .reading import Candidates, Truth

NUM_CELLS = MASK_CELLS**2
NUM_OF_TWO = 6  # outputs of Faster R-CNN, which come first


@dataclass(frozen=True)
class ThirdLook(FasterRcnn):
    """A subclass gives `num_maps`, the part of the loss, and what the maps of detections say.

    Reference: He et al., Mask R-CNN, arXiv:1703.06870, section 3.
    """

    def num_maps(self, num_classes: int) -> int:
        """Return W."""
        raise NotImplementedError

    def fits(self, outputs: Any, num_images: int, num_classes: int) -> bool:
        """Return whether there is what Faster R-CNN gives, and detections with their maps."""
        if not isinstance(outputs, Sequence) or len(outputs) != NUM_OF_TWO + 2:
            return False
        if not super().fits(outputs[:NUM_OF_TWO], num_images, num_classes):
            return False
        found, maps = outputs[NUM_OF_TWO:]
        if not all(isinstance(one, Tensor) and one.ndim == 3 and len(one) == num_images for one in (found, maps)):
            return False
        return bool(found.shape[1] == 6 and maps.shape[1:] == (self.num_maps(num_classes), found.shape[2] * NUM_CELLS))

    def explained(self, network: nn.Module) -> nn.Module:
        """Return Faster R-CNN alone: the third look costs most of a pass with a gradient."""
        return network.ending_in(*network.blueprint.ends[:NUM_OF_TWO]) if isinstance(network, Network) else network

    def candidates(self, outputs: Any) -> Candidates:
        """Return the detections, each with what its maps say; while training, what the second look says."""
        if (outputs[6][:, 5] < 0).any():  # boxes to learn of, which are no answers
            return super().candidates(outputs)
        found = outputs[6].float()
        plain = Candidates(found[:, :4].transpose(1, 2), found[:, 4], found[:, 5].long())
        return replace(plain, **self.seen(plain, maps_of(outputs)))

    def seen(self, found: Candidates, maps: Tensor) -> dict[str, Tensor]:
        """Return what the maps (N, W, M, C C) say of detections, as fields of candidates."""
        raise NotImplementedError


def maps_of(outputs: Any) -> Tensor:
    """Return the maps (N, W, M, C C)."""
    maps: Tensor = outputs[7].unflatten(2, (-1, NUM_CELLS)).float()
    return maps


def holding(outputs: Any, truth: Truth) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return all boxes (N, M, 4), and of those that hold an object the image, the row, and the object's row (P,)."""
    boxes, is_box = outputs[6][:, :4].transpose(1, 2).float(), outputs[6][:, 4] > 0
    overlap = pair_iou(truth.boxes[:, :, None], boxes[:, None]).masked_fill(~truth.is_there[:, :, None], -1)
    best, row = overlap.max(1)
    image, at = ((best >= MIN_OVERLAP) & is_box).nonzero(as_tuple=True)
    return boxes, image, at, row[image, at]
