"""Images of any number of channels: what they are called, and which of them a person is shown."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .levels import FULL, to_eight

WORDS = {1: "grey (1 channel)", 3: "RGB (3 channels)"}
MAX_BANDS = 512


def channels_text(channels: int, names: Sequence[str] = ()) -> str:
    """Return what images of so many channels are called, and what is shown of them.

    Example:
        >>> channels_text(3), channels_text(4, ("B2", "B3", "B4", "B8"))
        ('RGB (3 channels)', '4 channels (B2, B3, B4, B8); bands 1 to 3 are shown')
    """
    if channels in WORDS:
        return WORDS[channels]
    known = f" ({', '.join(names[:13])}{', ...' if len(names) > 13 else ''})" if names else ""
    return f"{channels} channels{known}; {'band 1 is' if channels == 2 else 'bands 1 to 3 are'} shown"


def first_bands_text(channels: int, has: int) -> str:
    """Return what is read of images with more bands.

    Example:
        >>> first_bands_text(1, 2), first_bands_text(3, 12)
        ('band 1 of 2', 'bands 1 to 3 of 12')
    """
    return f"band{'s 1 to' if channels > 1 else ''} {channels} of {has}"


def band_names(channels: int, names: Sequence[str] = ()) -> tuple[str, ...]:
    """Return a name for each channel: the file's, the colours, or a number from 1.

    Example:
        >>> band_names(3), band_names(2)
        (('red', 'green', 'blue'), ('band 1', 'band 2'))
    """
    if names:
        return tuple(names)
    usual = {1: ("grey",), 3: ("red", "green", "blue")}
    return usual.get(channels) or tuple(f"band {number}" for number in range(1, channels + 1))


def mode_of(channels: int) -> str:
    """Return the mode of an image as Pillow calls it, or the number of its bands."""
    return {1: "L", 3: "RGB"}.get(channels) or f"{channels} bands"


def shown_bands(image_u8: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return what a person is shown of images (..., C): one or three channels, the first ones."""
    channels = image_u8.shape[-1]
    return image_u8 if channels in WORDS else image_u8[..., : 1 if channels == 2 else 3]


def as_levels(image: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> npt.NDArray[Any]:
    """Return an image in levels 0..255: eight bits as they are, sixteen as float32 with fractions of a level."""
    return image if image.dtype == np.uint8 else image.astype(np.float32) / np.float32(257)


def in_depth(
    image: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], depth: int
) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Return an image of eight or sixteen bits in a depth of as many; white stays white.

    Example:
        >>> in_depth(np.array([0, 1, 255], np.uint8), 16).tolist()
        [0, 257, 65535]
    """
    if image.dtype == (np.uint8 if depth == 8 else np.uint16):
        return image
    return image.astype(np.uint16) * np.uint16(257) if depth == 16 else to_eight(image.astype(np.uint16), FULL)
