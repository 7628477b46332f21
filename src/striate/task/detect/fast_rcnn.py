"""Fast R-CNN: selective search proposes regions, and all are read from one map, which is made once an image.

Outputs are [classes (N, K + 1, R), boxes (N, 4, R), places (N, 5, P), proposals (N, 5, R)] as of Faster R-CNN, which
learns what to propose.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from striate.data.proposals import NAME
from striate.data.sample import Batch
from striate.data.target import Ragged
from striate.model import zoo
from striate.nn.blocks.regions import GivenBoxes
from striate.nn.boxes import pair_iou

from .faster_rcnn import RIGHT, FasterRcnn
from .proposed import regions_of
from .reading import Part, Truth, padded


@dataclass(frozen=True)
class FastRcnn(FasterRcnn):
    """Losses: cross-entropy and smooth absolute differences of the regions.

    Reference: Girshick, Fast R-CNN, arXiv:1504.08083.
    """

    name: ClassVar[str] = zoo.FAST_RCNN
    is_given_regions: ClassVar[bool] = True

    def fits(self, outputs: Any, num_images: int, num_classes: int) -> bool:
        """Return whether there are classes, boxes, places and proposals."""
        if not isinstance(outputs, Sequence) or len(outputs) != 4:
            return False
        if not all(isinstance(one, Tensor) and one.ndim == 3 and len(one) == num_images for one in outputs):
            return False
        regions, places = outputs[0].shape[2], outputs[2].shape[2]
        return [tuple(one.shape[1:]) for one in outputs] == [
            (num_classes + 1, regions), (4, regions), (5, places), (5, regions)
        ]  # fmt: skip

    def forward(self, network: nn.Module, batch: Batch, **options: Any) -> Any:
        """Return the outputs for the regions of a batch; while training, the true boxes are among them."""
        found = regions_of(batch, self.options.proposals)
        true = [one for name, one in batch.targets.items() if name != NAME and isinstance(one, Ragged)]
        if network.training and true:
            found = [torch.cat(pair) for pair in zip(found, self._things(true[0]), strict=True)]
        boxes, is_there = padded(torch.cat(found), [len(one) for one in found])
        (block,) = (one for one in network.modules() if isinstance(one, GivenBoxes))
        with block.with_boxes(boxes, is_there):
            return network(batch.images, **options)

    @staticmethod
    def _things(rows: Ragged) -> list[Tensor]:
        truth = Truth.of(rows)
        return [boxes[is_there] for boxes, is_there in zip(truth.boxes, truth.is_there, strict=True)]

    def parts(self, outputs: Any, truth: Truth) -> dict[str, Part]:
        """Return {"class", "box"}, weighted."""
        options = self.options
        of_class, of_box = self._second(outputs, truth)
        return {
            "class": Part(options.class_weight * of_class.sums, of_class.counts),
            "box": Part(options.box_weight / 2 * of_box.sums, of_box.counts),
        }

    def reach(self, outputs: Any, truth: Truth) -> Tensor:
        """Return whether a region holds each true box (N, T)."""
        boxes = outputs[3][:, :4].transpose(1, 2)
        ious = pair_iou(truth.boxes[:, :, None], boxes[:, None])
        return (ious.amax(2) >= RIGHT) & truth.is_there
