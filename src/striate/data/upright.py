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
