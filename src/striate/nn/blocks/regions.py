"""A detector's second look: boxes that may hold something, and what the maps hold inside of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.base.choose import choose
from striate.base.errors import SettingsError

from ..boxes import DELTA_WEIGHTS, class_nms, decode, pair_iou, roi_align, roi_pool
from ..boxes.anchors import at_places, of_anchors
from .norm import make_activation

NUM_BEFORE = 400  # boxes of an image, before those that overlap a better one are left out
MAX_IOU = 0.7
MIN_SCORE = 0.01  # of what is found
MIN_OVERLAP = 0.5  # of a proposal with a true box, from which it is learnt what it covers
LOOK_CELLS, MASK_CELLS = 14, 28  # a side, of what a third look sees of a box and of what it answers
CANONICAL = 14.0  # sides in strides of a box that is looked at on a level: 224 pixels at a stride of 16 in the paper
SQUARES = ((4.0, 4.0), (5.656854, 2.828427), (2.828427, 5.656854))  # anchors of ratio 1, 1/2 and 2, in strides


class Taught(nn.Module):
    """A block of the second look that is told the true boxes while a network is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.true: tuple[Tensor, Tensor] | None = None

    @contextmanager
    def with_true(self, boxes: Tensor, is_there: Tensor) -> Iterator[None]:
        """Know the true boxes (N, T, 4), where they are there (N, T)."""
        self.true = boxes, is_there
        try:
            yield
        finally:
            self.true = None


class Proposals(Taught):
    """The boxes of an image most likely to hold something: (N, 5, num), x0, y0, x1, y1 in pixels of the image, score.

    No gradient flows through it. Fewer boxes than `num` are filled up with zeros, whose score is 0. Inside
    `with_true(boxes)` the true ones are appended, with score 1: early in training no proposal is good, and the second
    look has to see good ones.

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
        out = unlike(torch.cat([boxes, values[:, :, None]], 2), torch.zeros_like(values), self.num, MAX_IOU)
        if self.true is None:
            return out
        true, is_there = self.true
        scores = is_there.to(out)[:, :, None]
        return torch.cat([out, torch.cat([true.to(out) * scores, scores], 2).transpose(1, 2)], 2)


class Detections(Taught):
    """What the second look finds: (N, 6, num), x0, y0, x1, y1 in pixels of the image, score, class; zeros behind.

    No gradient flows through it. Inside `with_true(boxes)` it gives instead the proposals that overlap a true box by
    half or more, those that overlap most, with the overlap as score and the class -1: of these the next look learns.

    Args:
        c_ins: of the logits (N, K + 1, R), the last of the background, the deltas (N, 4, R), the proposals (N, 5, R) as
            of `Proposals`, and the image.
        num: boxes an image.
        max_iou: of two boxes of one class that are kept.

    Raises:
        SettingsError: the inputs are others.
    """

    def __init__(self, c_ins: tuple[int, ...], *, num: int = 50, max_iou: float = 0.6) -> None:
        super().__init__()
        if len(c_ins) != 4 or c_ins[1:3] != (4, 5):
            what = f"takes logits, boxes, proposals and the image; got widths {c_ins}"
            raise SettingsError(what, fix='give inputs=("classes", "boxes", "proposals", "image")')
        self.num, self.max_iou = num, max_iou

    @torch.no_grad()
    def forward(self, logits: Tensor, deltas: Tensor, proposals: Tensor, image: Tensor) -> Tensor:
        if logits.is_meta:
            return logits.new_empty(len(logits), 6, self.num, dtype=torch.float32)
        boxes, is_there = proposals[:, :4].transpose(1, 2).float(), proposals[:, 4] > 0
        if self.true is not None:
            true, is_true = self.true
            overlap = pair_iou(boxes[:, :, None], true[:, None].float()).masked_fill(~is_true[:, None], 0).amax(2)
            overlap = overlap.masked_fill(~is_there | (overlap < MIN_OVERLAP), 0)
            top = overlap.topk(min(self.num, overlap.shape[1]), 1)
            some = boxes.gather(1, top.indices[:, :, None].expand(-1, -1, 4)) * (top.values > 0)[:, :, None]
            label = -(top.values > 0).float()
            rows = torch.cat([some, top.values[:, :, None], label[:, :, None]], 2)
            return F.pad(rows, (0, 0, 0, self.num - rows.shape[1])).transpose(1, 2)
        count, view = boxes.shape[1], boxes.new_tensor([image.shape[3], image.shape[2]] * 2)
        moved = torch.minimum(decode(deltas.float().transpose(1, 2), boxes, DELTA_WEIGHTS).clamp(min=0), view)
        scores = (logits.float().softmax(1)[:, :-1] * is_there[:, None]).flatten(1)
        top = scores.topk(min(NUM_BEFORE, scores.shape[1]), 1)
        label, place = top.indices // count, top.indices % count
        values = top.values.masked_fill(top.values < MIN_SCORE, 0)
        some = moved.gather(1, place[:, :, None].expand(-1, -1, 4))
        return unlike(
            torch.cat([some, values[:, :, None], label[:, :, None].float()], 2), label, self.num, self.max_iou
        )


def unlike(rows: Tensor, label: Tensor, num: int, max_iou: float) -> Tensor:
    """Return the best `num` of the boxes of each image that overlap no better one of their class: (N, C, num).

    Args:
        rows: (N, Q, C), x0, y0, x1, y1, score, and more; zeros stand behind where fewer are left.
        label: (N, Q) of each box.
    """
    images, most = label.shape
    flat, image = rows.flatten(0, 1), torch.arange(images, device=rows.device).repeat_interleave(most)
    groups = image * (label.max() + 1) + label.flatten()
    kept = class_nms(flat[:, :4], flat[:, 4], groups.long(), max_iou)  # by falling score
    kept = kept[flat[kept, 4] > 0]
    out = rows.new_zeros(images, num, rows.shape[2])
    for index in range(images):
        own = kept[image[kept] == index][:num]
        out[index, : len(own)] = flat[own]
    return out.transpose(1, 2)


class GivenBoxes(nn.Module):
    """Boxes of an image that come from outside: (N, 5, R), x0, y0, x1, y1 in pixels, and 1 where there is one.

    Inside `with_boxes(boxes)` these; else `num` rows, of which the first is the whole image and the others are empty.

    Reference: Girshick, "Fast R-CNN", ICCV 2015, arXiv:1504.08083: they come from selective search.
    """

    def __init__(self, c_in: int, *, num: int = 300) -> None:
        super().__init__()
        self.num = num
        self._boxes: Tensor | None = None

    @contextmanager
    def with_boxes(self, boxes: Tensor, is_there: Tensor) -> Iterator[None]:
        """Give these boxes (N, R, 4), where they are there (N, R)."""
        scores = is_there.to(boxes.dtype)[:, :, None]
        self._boxes = torch.cat([boxes * scores, scores], 2).transpose(1, 2)
        try:
            yield
        finally:
            self._boxes = None

    def forward(self, image: Tensor) -> Tensor:
        if self._boxes is not None:
            return self._boxes
        out = image.new_zeros(len(image), 5, self.num, dtype=torch.float32)
        out[:, 2, 0], out[:, 3, 0], out[:, 4, 0] = image.shape[3], image.shape[2], 1.0
        return out


READERS = {"align": roi_align, "max": roi_pool}


class Regions(nn.Module):
    """What L maps hold inside R boxes of each image: (N, C bins bins, R), a column of numbers for each box.

    Of several maps a box is looked at on one, where its sides are about 14 strides.

    Args:
        c_ins: of the maps (N, C, h, w), fine to coarse, of boxes (N, 5, R) as of `Proposals`, and of the image.
        bins: rows and columns that a box is divided into.
        pool: "align" reads a map between its places (RoI align), "max" takes the largest number of whole ones (RoI
            pooling).

    Raises:
        SettingsError: the maps differ in their channels, or the way to pool is unknown.

    Reference: He et al., Mask R-CNN, arXiv:1703.06870; levels: Lin et al., arXiv:1612.03144, equation 1; pooling:
    Girshick, "Fast R-CNN", arXiv:1504.08083, section 2.1.
    """

    def __init__(self, c_ins: tuple[int, ...], *, bins: int = 7, pool: str = "align") -> None:
        super().__init__()
        same_width(c_ins)
        choose("pooling", pool, READERS)
        self.pool = pool
        self.bins = bins

    def forward(self, *xs: Tensor) -> Tensor:
        *maps, boxes, image = xs
        num, _, count = boxes.shape
        width = maps[0].shape[1] * self.bins**2
        if image.is_meta:  # shapes alone are asked for, and what depends on what
            return maps[0].new_empty(num, width, count) + sum(one.mean() for one in maps)
        rows = torch.arange(num, device=boxes.device).repeat_interleave(count)
        flat = boxes[:, :4].transpose(1, 2).flatten(0, 1)
        out = looked_at(maps, flat, rows, image.shape[3], self.bins, self.pool)
        return out.view(num, count, width).transpose(1, 2)


class ThirdLook(nn.Module):
    """For each of M boxes maps of what it holds: (N, K, M S S), S the sides of a map.

    RoI align to 14 x 14 as in `Regions`, 3 x 3 convolutions, and what a subclass makes of them. Boxes with the score 0
    are left out, their maps are 0.

    Args:
        c_ins: of the maps (N, C, h, w), fine to coarse, of boxes (N, 6, M) as of `Detections`, and of the image.
        depth: 3 x 3 convolutions.

    Raises:
        SettingsError: the maps differ in their channels.

    Reference: He et al., Mask R-CNN, arXiv:1703.06870, section 3.
    """

    def __init__(self, c_ins: tuple[int, ...], *, depth: int, activation: str) -> None:
        super().__init__()
        self.width = same_width(c_ins)
        self.convs = nn.ModuleList(nn.Conv2d(self.width, self.width, 3, padding=1) for _ in range(depth))
        self.activation = make_activation(activation)

    def forward(self, *xs: Tensor) -> Tensor:
        *maps, boxes, image = xs
        num, _, count = boxes.shape
        flat = boxes.transpose(1, 2).flatten(0, 1)
        if image.is_meta:
            return self._ordered(self._maps(maps[0].new_empty(num * count, self.width, LOOK_CELLS, LOOK_CELLS)), num)
        at = (flat[:, 4] > 0).nonzero()[:, 0]
        found = self._maps(looked_at(maps, flat[at, :4], at // count, image.shape[3], LOOK_CELLS))
        return self._ordered(found.new_zeros(num * count, *found.shape[1:]).index_copy(0, at, found), num)

    def _maps(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = self.activation(conv(x))
        return self.answered(x)

    def answered(self, x: Tensor) -> Tensor:
        """Return the maps (B, K, S, S) of what the convolutions made (B, C, 14, 14)."""
        raise NotImplementedError

    def _ordered(self, maps: Tensor, num: int) -> Tensor:
        return maps.view(num, -1, *maps.shape[1:]).flatten(3).transpose(1, 2).flatten(2)


class MaskHead(ThirdLook):
    """For each of M boxes what it holds of each class, cell by cell: logits (N, width, M 28 28).

    Behind the convolutions one doubles the sides, and one gives a number a class.

    Args: as of `ThirdLook`; and
        width: classes.

    Reference: He et al., Mask R-CNN, arXiv:1703.06870, figure 4, right.
    """

    def __init__(self, c_ins: tuple[int, ...], width: int, *, depth: int = 4, activation: str = "relu") -> None:
        super().__init__(c_ins, depth=depth, activation=activation)
        self.larger = nn.ConvTranspose2d(self.width, self.width, 2, stride=2)
        self.last = nn.Conv2d(self.width, width, 1)

    def answered(self, x: Tensor) -> Tensor:
        """Return the logits (B, width, 28, 28)."""
        y: Tensor = self.last(self.activation(self.larger(x)))
        return y


class PointHead(ThirdLook):
    """For each of M boxes where each key point lies in it: logits (N, points, M 28 28), read at twice the sides.

    Behind the convolutions a transposed one gives a heat map a point. The paper's last step, which doubles the sides
    once more by interpolation, is left to who reads the boxes that hold something: it would fill memory four times.

    Args: as of `ThirdLook`; and
        points: of an object.

    Reference: He et al., Mask R-CNN, arXiv:1703.06870, section 5, key points.
    """

    def __init__(self, c_ins: tuple[int, ...], *, points: int = 17, depth: int = 4, activation: str = "relu") -> None:
        super().__init__(c_ins, depth=depth, activation=activation)
        self.last = nn.ConvTranspose2d(self.width, points, 4, stride=2, padding=1)

    def answered(self, x: Tensor) -> Tensor:
        """Return the logits (B, points, 28, 28)."""
        y: Tensor = self.last(x)
        return y


def same_width(c_ins: tuple[int, ...]) -> int:
    """Return the channels of maps, which come before boxes and the image.

    Raises:
        SettingsError: they differ, or there are none.
    """
    if len(c_ins) < 3 or len(set(c_ins[:-2])) > 1:
        raise SettingsError(f"takes maps of one width, boxes and the image; got widths {c_ins}", fix="mend inputs")
    return c_ins[0]


def looked_at(
    maps: Sequence[Tensor], xyxy: Tensor, image: Tensor, width_px: int, bins: int, pool: str = "align"
) -> Tensor:
    """Return what maps hold inside boxes: (B, C, bins, bins), each taken from the map where it is about 14 strides.

    Args:
        maps: (N, C, h, w), fine to coarse.
        xyxy: (B, 4) in pixels of the images.
        image: (B,) which of the N a box belongs to.
        width_px: of the images.
        pool: of `READERS`.
    """
    strides = [width_px / one.shape[3] for one in maps]
    sides = (xyxy[:, 2:] - xyxy[:, :2]).clamp(min=1).prod(1).sqrt()
    level = (sides / (CANONICAL * strides[0])).log2().floor().clamp(0, len(maps) - 1).long()
    out = maps[0].new_zeros(len(xyxy), maps[0].shape[1], bins, bins)
    for index, (one, stride) in enumerate(zip(maps, strides, strict=True)):
        at = (level == index).nonzero()[:, 0]
        if len(at):
            part = READERS[pool](one, xyxy[at].to(one), image[at], (bins, bins), scale=1 / stride)
            out = out.index_copy(0, at, part.to(out))
    return out
