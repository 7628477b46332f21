"""Colours that targets are drawn in, one a class."""

import colorsys
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..sample import IGNORE, ImageU8

GOLDEN = 0.618034  # turns of the hue between classes: neighbours are never alike, however many there are
DRAWN_PX = 96  # side of the tiles that drawn images are shown in
COVER = 0.5  # how much of a drawn mask covers the image
BACKGROUND = frozenset({"background", "_background_", "void"})  # names of a class that is left clear
BLACK, UNKNOWN, WHITE = (0, 0, 0), (128, 128, 128), (255, 255, 255)
SHIFT = 4  # bits of a pixel's part: places are drawn between pixels


def colour_of(label: int) -> tuple[int, int, int]:
    """Return a bright RGB colour for a class.

    Example:
        >>> colour_of(0), colour_of(1)
        ((242, 36, 36), (36, 96, 242))
    """
    red, green, blue = colorsys.hsv_to_rgb((label * GOLDEN) % 1, 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def line_px(image_u8: ImageU8) -> int:
    """Return how wide a line must be to be seen when the image is shown as a small tile."""
    return int(max(1, round(max(image_u8.shape[:2]) / DRAWN_PX)))


def backgrounds(names: Sequence[str]) -> list[int]:
    """Return the classes that are a background, which stays clear where masks are drawn."""
    return [label for label, name in enumerate(names) if name.casefold() in BACKGROUND]


def class_colours(names: Sequence[str]) -> ImageU8:
    """Return the colour (256, 3) of each value of a mask: a background is black, 255 (not known) grey."""
    table = _colours().copy()
    table[backgrounds(names)] = BLACK
    table[IGNORE] = UNKNOWN
    return table


def covered(image_u8: ImageU8, mask: npt.NDArray[Any], names: Sequence[str]) -> ImageU8:
    """Return an image (H, W, 1 or 3) half covered with a mask (H, W); a background and 255 stay clear."""
    is_clear = np.isin(mask, [*backgrounds(names), IGNORE])
    mixed = image_u8 * np.float32(1 - COVER) + _colours().astype(np.float32)[mask] * np.float32(COVER)
    return np.where(is_clear[..., None], image_u8, np.rint(mixed).astype(np.uint8))


def cover(image_u8: ImageU8, mask: npt.NDArray[np.bool_], colour: tuple[int, int, int]) -> None:
    """Cover the pixels of an image (H, W, 3) under its mask, of any size, half with a colour; in place."""
    import cv2

    if mask.shape != image_u8.shape[:2]:
        mask = cv2.resize(mask.view(np.uint8), image_u8.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT).view(bool)
    mixed = image_u8[mask] * (1 - COVER) + np.array(colour) * COVER
    image_u8[mask] = np.rint(mixed).astype(np.uint8)


def spot(image_u8: ImageU8, place: Sequence[float], colour: tuple[int, int, int], radius_px: int) -> None:
    """Draw a disc with a white rim at x, y, in pixels from the outer corner of an image (H, W, 3); in place."""
    import cv2

    x, y = (round((float(side) - 0.5) * (1 << SHIFT)) for side in place)
    for radius, own in ((radius_px + 1, WHITE), (radius_px, colour)):
        cv2.circle(image_u8, (x, y), radius << SHIFT, own, -1, shift=SHIFT)


@cache
def _colours() -> ImageU8:
    return np.array([colour_of(label) for label in range(256)], np.uint8)
