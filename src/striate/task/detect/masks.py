"""What predicted and true objects cover of the images themselves, as texts of run lengths."""

from collections.abc import Sequence
from math import isqrt

import cv2
import numpy as np
import numpy.typing as npt
import torch

from striate.base.runs import Bits, run_text, runs_of
from striate.data.geometry import WayBack
from striate.data.target import Boxes
from striate.metric.mask_matches import NO_MASK
from striate.nn.boxes import paste

Texts = npt.NDArray[np.object_]


def cells_of(numbers: npt.NDArray[np.floating]) -> npt.NDArray[np.float32] | None:
    """Return the numbers (C C,) of a box's cells as rows and columns; None where there are none."""
    side = isqrt(len(numbers))
    return np.asarray(numbers, np.float32).reshape(side, side) if side else None


def own_mask(cells: npt.NDArray[np.float32], box: Sequence[float], way: WayBack) -> Bits:
    """Return which of an image's own pixels (H, W) an object covers, of the cells of a box in the network's view."""
    corners = torch.from_numpy(way.points(np.array(box, np.float64).reshape(2, 2)).ravel())
    height, width = way.image_hw
    return np.asarray(paste(torch.from_numpy(cells), corners, (height, width)).numpy())


def texts(values: npt.NDArray[np.float32], ways: Sequence[WayBack]) -> Texts:
    """Return a text an image (N,) of what its objects cover.

    Args:
        values: (N, M, 6 + C C) class, score, box in the network's view, and its cells; nan where none is.
    """
    there = ((rows[~np.isnan(rows[:, 0])], way) for rows, way in zip(values, ways, strict=True))
    return _array([[_text(_mask(row, way)) for row in rows] for rows, way in there])


def _mask(row: npt.NDArray[np.float32], way: WayBack) -> Bits:
    cells = cells_of(row[6:])
    assert cells is not None, "a detector that has masks gives cells"
    return own_mask(cells, row[2:6].tolist(), way)


def true_texts(boxes: Boxes, indices: npt.NDArray[np.intp], ways: Sequence[WayBack]) -> Texts:
    """Return a text an image (N,) of what its true objects cover; None where that is not known."""
    some = boxes.take(indices)
    if not some.extents:
        return np.full(len(indices), None if len(some.xyxy) or not boxes.extents else "", object)
    found = []
    for image, way in enumerate(ways):
        own = some.extents[int(some.starts[image]) : int(some.starts[image + 1])]
        found.append([_text(_sized(extent.mask(), way.image_hw)) for extent in own])
    return _array(found)


def _sized(mask: Bits, size_hw: Sequence[int]) -> Bits:
    """A mask at the size of its image, where it was made for another one."""
    if mask.shape == tuple(size_hw):
        return mask
    sized = cv2.resize(mask.view(np.uint8), (size_hw[1], size_hw[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(sized.astype(bool))


def _text(mask: Bits) -> str:
    return run_text(runs_of(mask)) if mask.any() else NO_MASK


def _array(parts: Sequence[Sequence[str]]) -> Texts:
    return np.array([" ".join(some) for some in parts], object)
