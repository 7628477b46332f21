"""R-CNN: selective search proposes regions, and each is warped to one size and answered by the network alone.

The network is any that ends in a linear layer on a vector: of each region it gives a margin a class and how far the
class's box lies from the region. Hundreds of passes an image make it slow; Fast R-CNN runs the network once an image.

Reference: Girshick et al., "Rich feature hierarchies for accurate object detection and semantic segmentation", CVPR
2014. N images, P regions an image at most, K classes.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.data.proposals import NAME
from striate.data.sample import Batch
from striate.data.target import Ragged
from striate.model import zoo
from striate.model.blueprint import Blueprint
from striate.nn.boxes import clip, decode, encode, iou, roi_align

from .proposed import FEATURES, regions_of
from .reading import MAX_CANDIDATES, Candidates, DetectOptions, Part, Truth

SIDES = 4
CONTEXT = 16 / 227  # of a warped region's side, around its box at each border
REGIONS_AT_ONCE = 64
RIGHT_IOU = 0.5  # from it a region is learnt as a thing, below it as background (the paper's fine-tuning)


@dataclass(frozen=True)
class Rcnn:
    """See the module. Outputs are [margins (N, K, P), differences (N, 4 K, P), regions (N, 6, P)].

    A region is x0, y0, x1, y1 and the view's width and height, in pixels; where an image has fewer than P, it is empty.
    A score is 1 / (1 + exp(-margin)).
    """

    options: DetectOptions
    name: ClassVar[str] = zoo.RCNN
    suppresses: ClassVar[bool] = True
    is_given_regions: ClassVar[bool] = True
    has_masks: ClassVar[bool] = False
    has_points: ClassVar[bool] = False

    def of_points(self, num: int) -> Self:
        """Return the detector as it is: it has none."""
        return self

    def outputs(self, num_classes: int) -> int:
        """A margin a class, and four differences."""
        return num_classes * (1 + SIDES)

    def fits(self, outputs: Any, num_images: int, num_classes: int) -> bool:
        """Return whether there are margins, differences and regions."""
        if not isinstance(outputs, list) or not all(isinstance(one, Tensor) and one.ndim == 3 for one in outputs):
            return False
        widths = (num_classes, SIDES * num_classes, 6)
        return [tuple(one.shape[:2]) for one in outputs] == [(num_images, width) for width in widths]

    def extended(self, blueprint: Blueprint, *, channels: int, size_hw: tuple[int, ...]) -> Blueprint:
        """Return the network itself, which sees regions; its last row has no activation, for margins of both signs."""
        *rows, last = blueprint.rows
        if {**blueprint.defaults, **last.options}.get("activation", "none") == "none":
            return blueprint
        return replace(blueprint, rows=(*rows, replace(last, options={**last.options, "activation": "none"})))

    def forward(self, network: nn.Module, batch: Batch, **options: Any) -> list[Tensor]:
        """Return the network's outputs for all regions of the images; where these bring features, those of its head."""
        images, boxes = batch.images, regions_of(batch, self.options.proposals)
        given = batch.targets.get(NAME)
        if isinstance(given, Ragged) and FEATURES in given.fields:
            return self._outputs(network(given.fields[FEATURES].float()), boxes, images)
        index = torch.repeat_interleave(torch.arange(len(boxes)), torch.tensor([len(one) for one in boxes]))
        crops = self.warped(images, torch.cat(boxes), index.to(images.device))
        found = torch.cat([network(some, **options) for some in crops.split(REGIONS_AT_ONCE)]).float()
        return self._outputs(found, boxes, images)

    @staticmethod
    def _outputs(found: Tensor, boxes: list[Tensor], images: Tensor) -> list[Tensor]:
        """What was said (R, 5 K) of the regions of each image, and these."""
        size = found.new_tensor([images.shape[3], images.shape[2]]).expand(len(found), 2)
        rows = torch.cat([found, torch.cat(boxes).to(found), size], 1)
        padded = nn.utils.rnn.pad_sequence(list(rows.split([len(one) for one in boxes])), batch_first=True)
        num = found.shape[1] // (1 + SIDES)
        return list(padded.transpose(1, 2).split([num, SIDES * num, 6], 1))

    def warped(self, images: Tensor, xyxy: Tensor, index: Tensor) -> Tensor:
        """Return the regions (P, C, S, S) with some context, the mean beyond the image's border."""
        more = (xyxy[:, 2:] - xyxy[:, :2]) * (CONTEXT / (1 - 2 * CONTEXT))
        grown = torch.cat([xyxy[:, :2] - more, xyxy[:, 2:] + more], 1)
        side = self.options.region_px
        return roi_align(images, grown, index, (side, side)).contiguous(memory_format=torch.channels_last)

    def boxes(self, outputs: Any) -> Tensor:
        """Return the box (N, K, P, 4) of each region for each class."""
        deltas = outputs[1].float().unflatten(1, (-1, SIDES)).transpose(2, 3)
        return decode(deltas, outputs[2][:, None, :4].transpose(2, 3).expand_as(deltas))

    def candidates(self, outputs: Any) -> Candidates:
        """Return the pairs of region and class with the highest scores."""
        margins, regions = outputs[0].float(), outputs[2]
        scores = margins.sigmoid().masked_fill(~_is_there(regions)[:, None], 0).flatten(1)
        values, place = scores.topk(min(MAX_CANDIDATES, scores.shape[1]), 1)
        boxes = self.boxes(outputs).flatten(1, 2).gather(1, place[:, :, None].expand(-1, -1, SIDES))
        width, height = (int(side) for side in regions[0, 4:, 0])
        return Candidates(clip(boxes, (height, width)), values, place // margins.shape[2])

    def explained(self, network: nn.Module) -> nn.Module:
        """Return the network as it is."""
        return network

    def logits(self, outputs: Any) -> Tensor:
        """Return the margins (N, K, P)."""
        found: Tensor = outputs[0]
        return found

    def parts(self, outputs: Any, truth: Truth) -> dict[str, Part]:
        """Return {"class", "box"}: logistic losses of the margins, and smooth L1 of the differences, of regions.

        A region from IoU 0.5 with a box is a thing of its class, else of none; in crowds nothing is learnt.
        """
        margins, regions = outputs[0].float(), outputs[2]
        boxes = regions[:, :4].transpose(1, 2)
        ious = torch.stack([iou(*pair) for pair in zip(truth.boxes, boxes, strict=True)])  # (N, T, P)
        best, row = (ious * truth.is_there[:, :, None]).max(1)
        label, is_thing = truth.labels.gather(1, row), best >= RIGHT_IOU
        wanted = F.one_hot(label, margins.shape[1]).transpose(1, 2) * is_thing[:, None]
        crowd = (ious * truth.is_crowd[:, :, None]).amax(1)
        counts = _is_there(regions) & (is_thing | (crowd == 0))
        of_class = F.binary_cross_entropy_with_logits(margins, wanted.to(margins), reduction="none").sum(1)
        true = truth.boxes.gather(1, row[:, :, None].expand(-1, -1, SIDES))
        right = is_thing.nonzero(as_tuple=True)
        own = outputs[1].float().unflatten(1, (-1, SIDES)).permute(0, 3, 1, 2)[(*right, label[right])]
        errors = F.smooth_l1_loss(own, encode(true[right], boxes[right]), reduction="none").sum(1)
        of_box = margins.new_zeros(len(margins)).index_add(0, right[0], errors)
        num = is_thing.sum(1).to(margins)
        options = self.options
        return {
            "class": Part(options.class_weight * (of_class * counts).sum(1), counts.sum(1).to(margins)),
            "box": Part(options.box_weight * of_box, num),
        }

    def reach(self, outputs: Any, truth: Truth) -> Tensor:
        """Return whether a region overlaps each true box by IoU 0.5 (N, T)."""
        boxes = outputs[2][:, :4].transpose(1, 2)
        ious = torch.stack([iou(*pair) for pair in zip(truth.boxes, boxes, strict=True)])
        return (ious >= RIGHT_IOU).any(2) & truth.is_there


def _is_there(regions: Tensor) -> Tensor:
    return regions[:, 2] > regions[:, 0]
