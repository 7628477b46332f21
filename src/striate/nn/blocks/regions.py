"""A detector's second look: boxes that may hold something, and what the maps hold inside of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from striate.base.errors import SettingsError

from ..boxes import class_nms, decode, roi_align
from ..boxes.anchors import at_places, of_anchors

NUM_BEFORE = 400  # boxes of an image, before those that overlap a better one are left out
MAX_IOU = 0.7
CANONICAL = 14.0  # sides in strides of a box that is looked at on a level: 224 pixels at a stride of 16 in the paper
SQUARES = ((4.0, 4.0), (5.656854, 2.828427), (2.828427, 5.656854))  # anchors of ratio 1, 1/2 and 2, in strides


class Proposals(nn.Module):
    """The boxes of an image most likely to hold something: (N, 5, num), x0, y0, x1, y1 in pixels of the image, score.

    No gradient flows through it. Fewer boxes than `num` are filled up with zeros, whose score is 0. Inside
    `with_true(boxes)` these are appended, with score 1: early in training no proposal is good, and the second look has
    to see good ones.

    Args:
        c_ins: of the logits (N, A, P), the deltas (N, 4 A, P) of A anchors a place, and the places (N, 5, P).
        num: boxes an image.
        sides: width and height of each anchor, in strides.

    Raises:
        SettingsError: the inputs are others.

    Reference: Ren et al., Faster R-CNN, arXiv:1506.01497, section 3.3.
    """

    def __init__(self, c_ins: tuple[int, ...], *, num: int = 100, sides: Sequence[Sequence[float]] = SQUARES) -> None:
        super().__init__()
        if len(c_ins) != 3 or c_ins[1] != 4 * c_ins[0] or c_ins[0] != len(sides):
            what = f"takes logits of {len(sides)} anchors, their boxes and places; got widths {c_ins}"
            raise SettingsError(what, fix="give inputs=(logits, boxes, places)")
        self.num, self.sides = num, tuple((float(wide), float(high)) for wide, high in sides)
        self._true: Tensor | None = None

    @contextmanager
    def with_true(self, boxes: Tensor, is_there: Tensor) -> Iterator[None]:
        """Append these boxes (N, T, 4), where they are there (N, T)."""
        scores = is_there.to(boxes.dtype)[:, :, None]
        self._true = torch.cat([boxes * scores, scores], 2).transpose(1, 2)
        try:
            yield
        finally:
            self._true = None

    @torch.no_grad()
    def forward(self, logits: Tensor, deltas: Tensor, places: Tensor) -> Tensor:
        if logits.is_meta:  # shapes alone are asked for
            return logits.new_empty(len(logits), 5, self.num, dtype=torch.float32)
        scores = of_anchors(logits, len(self.sides))[:, :, 0].sigmoid()
        top = scores.topk(min(NUM_BEFORE, scores.shape[1]), 1)
        chosen = top.indices[:, :, None].expand(-1, -1, 4)
        anchors = at_places(places, self.sides)[None].expand(len(logits), -1, -1).gather(1, chosen)
        view = places[:, 3:5, 0].repeat(1, 2)[:, None]
        boxes = torch.minimum(decode(of_anchors(deltas, len(self.sides)).gather(1, chosen), anchors).clamp(min=0), view)
        values = top.values.masked_fill(((boxes[:, :, 2:] - boxes[:, :, :2]) < 1).any(2), 0)
        out = self._best(boxes, values)
        return out if self._true is None else torch.cat([out, self._true.to(out)], 2)

    def _best(self, boxes: Tensor, scores: Tensor) -> Tensor:
        num, most = scores.shape
        image = torch.arange(num, device=boxes.device).repeat_interleave(most)
        kept = class_nms(boxes.flatten(0, 1), scores.flatten(), image, MAX_IOU)  # by falling score
        kept = kept[scores.flatten()[kept] > 0]
        out = boxes.new_zeros(num, 5, self.num)
        for index in range(num):
            rows = kept[image[kept] == index][: self.num]
            out[index, :4, : len(rows)] = boxes.flatten(0, 1)[rows].T
            out[index, 4, : len(rows)] = scores.flatten()[rows]
        return out


class Regions(nn.Module):
    """What L maps hold inside R boxes of each image: (N, C bins bins, R), a column of numbers for each box.

    A box is looked at on one level, where its sides are about 14 strides (RoI align).

    Args:
        c_ins: of the maps (N, C, h, w), fine to coarse, of boxes (N, 5, R) as of `Proposals`, and of the image.
        bins: rows and columns that a box is divided into.

    Raises:
        SettingsError: the maps differ in their channels.

    Reference: He et al., Mask R-CNN, arXiv:1703.06870; levels: Lin et al., arXiv:1612.03144, equation 1.
    """

    def __init__(self, c_ins: tuple[int, ...], *, bins: int = 7) -> None:
        super().__init__()
        if len(c_ins) < 3 or len(set(c_ins[:-2])) > 1:
            raise SettingsError(f"takes maps of one width, boxes and the image; got widths {c_ins}", fix="mend inputs")
        self.bins = bins

    def forward(self, *xs: Tensor) -> Tensor:
        *maps, boxes, image = xs
        num, _, count = boxes.shape
        width = maps[0].shape[1] * self.bins**2
        if image.is_meta:
            return maps[0].new_empty(num, width, count)
        flat, strides = boxes[:, :4].transpose(1, 2).flatten(0, 1), [image.shape[3] / one.shape[3] for one in maps]
        sides = (flat[:, 2:] - flat[:, :2]).clamp(min=1).prod(1).sqrt()
        level = (sides / (CANONICAL * strides[0])).log2().floor().clamp(0, len(maps) - 1).long()
        rows = torch.arange(num, device=flat.device).repeat_interleave(count)
        out = maps[0].new_zeros(num * count, width)
        for index, (one, stride) in enumerate(zip(maps, strides, strict=True)):
            at = (level == index).nonzero()[:, 0]
            if len(at):
                part = roi_align(one, flat[at].to(one), rows[at], (self.bins, self.bins), scale=1 / stride)
                out = out.index_copy(0, at, part.flatten(1).to(out))
        return out.view(num, count, width).transpose(1, 2)
