"""Volumes as a person is shown them: three planes through a place, side by side.

A volume is (D, H, W, ...): from feet to head, from back to front, from left to right. Up is up and front is up in the
planes: across (H x W), from the front (D x W), from the side (D x H).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
BETWEEN = 2  # voxels between the planes
NOT_KNOWN = 255


def three_planes(volume: Array, at: Sequence[int] | None = None, fill: int = 0) -> Array:
    """Return the three planes of a volume through a voxel as one image (H', W', ...).

    Args:
        at: depth, row and column; by default the middle.
        fill: what stands between the planes and below the smaller ones.

    Example:
        >>> three_planes(np.arange(8).reshape(2, 2, 2), (0, 0, 0), fill=9).tolist()
        [[2, 3, 9, 9, 4, 5, 9, 9, 4, 6], [0, 1, 9, 9, 0, 1, 9, 9, 0, 2]]
    """
    depth, row, column = at if at is not None else (side // 2 for side in volume.shape[:3])
    planes = [plane[::-1] for plane in (volume[depth], volume[:, row], volume[:, :, column])]
    high, wide = max(map(len, planes)), sum(plane.shape[1] for plane in planes) + 2 * BETWEEN
    found = np.full((high, wide, *volume.shape[3:]), fill, volume.dtype)
    left = 0
    for plane in planes:
        found[: len(plane), left : left + plane.shape[1]] = plane
        left += plane.shape[1] + BETWEEN
    return found


def centre_of(labels: Array) -> tuple[int, ...]:
    """Return the voxel in the middle of what is labelled in a volume (D, H, W), of what is neither 0 nor 255.

    The middle of the volume where nothing is.

    Example:
        >>> centre_of(np.pad(np.ones((1, 2, 1), np.uint8), ((3, 0), (1, 2), (0, 4))))
        (3, 2, 0)
    """
    places = np.argwhere((labels != 0) & (labels != NOT_KNOWN))
    middle = np.array(labels.shape) // 2 if not len(places) else np.rint(places.mean(0) + 1e-6)
    return tuple(int(place) for place in middle)
