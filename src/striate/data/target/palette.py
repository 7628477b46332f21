"""Colours that targets are drawn in, one a class."""

import colorsys

from ..sample import ImageU8

GOLDEN = 0.618034  # turns of the hue between classes: neighbours are never alike, however many there are
DRAWN_PX = 96  # side of the tiles that drawn images are shown in


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
    return max(1, round(max(image_u8.shape[:2]) / DRAWN_PX))
