"""Objects in an image that is larger than what a network sees: overlapping tiles, whose boxes are merged.

Tiles overlap, so that an object smaller than the overlap is whole in one of them. A box that ends at the inner edge of
a tile may be a part of its object: it is left out where a box of the same class that ends inside its tile covers most
of it. What is left is suppressed class by class. The image is also seen whole, for objects that are larger than a tile.

Reference: Akyon et al., "Slicing aided hyper inference and fine-tuning for small object detection", ICIP 2022.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from striate.base.size import SizeHW
from striate.nn.boxes import class_nms
from striate.task.answer import Thing

from .prediction import Prediction
from .tiling import Samples

OVERLAP = 0.5  # of a tile's side, with the next one
MAX_IOU, MAX_PART = 0.5, 0.6  # of two boxes of one object; of a cut box, the share that a whole one covers
EDGE_PX = 2.0  # from a tile's edge, where a box is taken for cut
Tile = tuple[slice, slice]


def tiles_of(size_hw: SizeHW, tile_hw: SizeHW, overlap: float = OVERLAP) -> list[Tile]:
    """Return the rows and columns of tiles that cover an image, evenly spaced; a short side has one, of its length.

    Args:
        overlap: the least share of a tile's side that the next one has too.

    Example:
        >>> [(rows.start, rows.stop, columns.start, columns.stop) for rows, columns in tiles_of((80, 150), (100, 100))]
        [(0, 80, 0, 100), (0, 80, 50, 150)]
    """
    rows, columns = (_spans(length, tile, overlap) for length, tile in zip(size_hw, tile_hw, strict=True))
    return [(row, column) for row in rows for column in columns]


def _spans(length: int, tile: int, overlap: float) -> list[slice]:
    if length <= tile:
        return [slice(0, length)]
    num = math.ceil((length - tile) / max(1, math.floor(tile * (1 - overlap)))) + 1
    return [slice(start, start + tile) for start in np.linspace(0, length - tile, num).astype(int).tolist()]


def in_tiles(
    image: Samples, tile_hw: SizeHW, predict: Callable[[list[Samples]], Sequence[Prediction]], batch: int
) -> tuple[list[Tile], list[tuple[Thing, ...]]]:
    """Return the tiles of an image (H, W, C), the last one the whole of it, and the things in each, in its pixels.

    Args:
        predict: says what is in some images.
        batch: how many of them at once.
    """
    size_hw = image.shape[0], image.shape[1]
    tiles = [*tiles_of(size_hw, tile_hw), (slice(0, size_hw[0]), slice(0, size_hw[1]))]
    parts = (tiles[start : start + batch] for start in range(0, len(tiles), batch))
    return tiles, [one.things or () for some in parts for one in predict([image[tile] for tile in some])]


def merged(
    tiles: Sequence[Tile], things: Sequence[Sequence[Thing]], size_hw: SizeHW, own_hw: SizeHW | None = None
) -> tuple[Thing, ...]:
    """Return the things of an image's tiles in its own pixels, each once, by falling score.

    Args:
        things: of each tile, in its pixels.
        size_hw: of the image that was cut.
        own_hw: that of the image whose pixels count, by default the same.
    """
    found = [moved(thing, tile, size_hw) for tile, some in zip(tiles, things, strict=True) for thing in some]
    if not found:
        return ()
    boxes = np.array([thing.box for thing in found], np.float64)
    is_cut = np.concatenate([_is_cut(tile, some, size_hw) for tile, some in zip(tiles, things, strict=True)])
    labels = np.unique([thing.name for thing in found], return_inverse=True)[1]
    whole = np.flatnonzero(~is_cut)
    is_part = np.zeros(len(found), bool)
    for row in np.flatnonzero(is_cut):
        same = whole[labels[whole] == labels[row]]
        is_part[row] = len(same) > 0 and _covered(boxes[row], boxes[same]).max() > MAX_PART
    left = np.flatnonzero(~is_part)
    scores = torch.tensor([found[row].score for row in left])
    kept = class_nms(torch.from_numpy(boxes[left]), scores, torch.from_numpy(labels[left]), MAX_IOU)
    once = tuple(found[left[row]] for row in kept.tolist())
    if own_hw is None or tuple(own_hw) == tuple(size_hw):
        return once
    return tuple(scaled(thing, (own_hw[1] / size_hw[1], own_hw[0] / size_hw[0])) for thing in once)


def moved(thing: Thing, tile: Tile, size_hw: SizeHW) -> Thing:
    """Return a thing of a tile in the pixels of the image."""
    top, left = tile[0].start, tile[1].start
    x0, y0, x1, y1 = thing.box
    mask = thing.mask
    if mask is not None:
        mask = np.zeros(size_hw, bool)
        mask[tile] = thing.mask
    points = tuple((x + left, y + top, *rest) for x, y, *rest in thing.points)
    return replace(thing, box=(x0 + left, y0 + top, x1 + left, y1 + top), mask=mask, points=points)


def scaled(thing: Thing, scale_xy: tuple[float, float]) -> Thing:
    """Return a thing in an image of another size; a mask is left out, since it has the size of its image."""
    x, y = scale_xy
    x0, y0, x1, y1 = thing.box
    points = tuple((px * x, py * y, *rest) for px, py, *rest in thing.points)
    return replace(thing, box=(x0 * x, y0 * y, x1 * x, y1 * y), mask=None, points=points)


def _is_cut(tile: Tile, things: Sequence[Thing], size_hw: SizeHW) -> npt.NDArray[np.bool_]:
    """Which of a tile's things end at an edge of it that is none of the image."""
    (top, bottom), (left, right) = ((part.start, part.stop) for part in tile)
    height, width = size_hw
    boxes = np.array([thing.box for thing in things]).reshape(-1, 4)
    near = (boxes[:, :2] < EDGE_PX) & (np.array([left, top]) > 0)
    far = (boxes[:, 2:] > np.array([right - left, bottom - top]) - EDGE_PX) & (
        np.array([right, bottom]) < [width, height]
    )
    return np.asarray((near | far).any(1))


def _covered(box: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The share of a box (4,) that each of the others (B, 4) covers."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return np.asarray(sides.clip(0).prod(1) / max(1e-9, float((box[2:] - box[:2]).prod())))
