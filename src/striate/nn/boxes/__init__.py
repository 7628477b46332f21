"""Boxes: how they overlap, are coded, suppressed, cut out of maps, and matched with the truth.

A box is x0, y0, x1, y1 in pixels from the outer corner of the image's first pixel, so that its area is
(x1 - x0) (y1 - y0). Nothing here knows classes or a dataset, and all but the rarely used `soft_nms` is one stream of
tensor operations, on any device.
"""

from .anchors import anchors, centres
from .code import DELTA_WEIGHTS, decode, encode
from .heat import point_cells, read_points
from .losses import sigmoid_focal
from .match import BELOW, BETWEEN, match, sample
from .operators import has_compiled
from .overlap import area, clip, giou, iou, pair_giou, pair_iou
from .paste import paste
from .provide import provide
from .regions import roi_align, roi_pool
from .suppress import class_nms, nms, soft_nms

__all__ = [
    "BELOW",
    "BETWEEN",
    "DELTA_WEIGHTS",
    "anchors",
    "area",
    "centres",
    "class_nms",
    "clip",
    "decode",
    "encode",
    "giou",
    "has_compiled",
    "iou",
    "match",
    "nms",
    "pair_giou",
    "pair_iou",
    "paste",
    "point_cells",
    "provide",
    "read_points",
    "roi_align",
    "roi_pool",
    "sample",
    "sigmoid_focal",
    "soft_nms",
]
