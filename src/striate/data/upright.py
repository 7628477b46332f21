"""How an image lies in its file, by EXIF, and how it is turned upright."""

from typing import Any

import numpy as np
import numpy.typing as npt

ORIENTATION_TAG = 0x0112
Pixels = npt.NDArray[Any]

_UPRIGHT = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: np.rot90(pixels, 1),
}


def orientation(image: Any) -> int:
    """Return the EXIF orientation of Pillow's image, 1 (upright) where there is none that is known."""
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # broken EXIF is common and says nothing of the pixels
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1


def upright(pixels: Pixels, value: int) -> Pixels:
    """Return pixels (H, W, C) upright that lie by an EXIF orientation."""
    return _UPRIGHT[value](pixels) if value in _UPRIGHT else pixels


def turned_boxes(xyxy: Pixels, value: int, size_hw: tuple[int, int]) -> Pixels:
    """Return boxes (B, 4), pixels from the outer corner, of an image that lies by an EXIF orientation, as upright ones.

    Args:
        size_hw: height and width as the image lies.

    Example:
        >>> turned_boxes(np.array([[1.0, 2, 4, 8]]), 6, (10, 20)).tolist()
        [[2.0, 1.0, 8.0, 4.0]]
    """
    height, width = size_hw
    left, top, right, bottom = np.asarray(xyxy, np.float64).reshape(-1, 4).T
    if value in {2, 3, 7, 8}:
        left, right = width - right, width - left
    if value in {3, 4, 6, 7}:
        top, bottom = height - bottom, height - top
    return np.stack([top, left, bottom, right] if value > 4 else [left, top, right, bottom], axis=1)


def turned_points(xy: Pixels, value: int, size_hw: tuple[int, int]) -> Pixels:
    """Return points (P, 2) of an image that lies by an EXIF orientation, as upright ones; see `turned_boxes`.

    Example:
        >>> turned_points(np.array([[1.0, 2]]), 6, (10, 20)).tolist()
        [[8.0, 1.0]]
    """
    return turned_boxes(np.concatenate([xy, xy], 1), value, size_hw)[:, :2]
