"""How a picture of any size becomes the square a network sees: one policy for training, prediction and export."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from striate.base.choose import choose
from striate.base.errors import SettingsError

from .sample import ImageU8

VERSION = 1  # part of every store's key: raise it when a stored pixel changes
PAD_U8 = 128  # mid-grey: after normalisation close to zero, which is what a convolution pads with
IGNORE = 255  # the mask value no loss counts

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Placement:
    """Where a picture lands in the store square: `box` (left, top, width, height) of the picture, in its pixels,
    fills `spot` (left, top, width, height) of the square."""

    box: tuple[int, int, int, int]
    spot: tuple[int, int, int, int]


@dataclass(frozen=True)
class Geometry:
    """The resize policy of a run.

    Args:
        size_px: side of the square a network receives.
        fit: "crop" keeps the centre square, "letterbox" pads to a square, "squash" ignores the aspect ratio.
        margin: side of the stored square over `size_px`, at least 1. More than 1 keeps detail for zoom and crop;
            exactly 1 means that a picture already of this size is never resampled.
        channels: 1 (grey) or 3 (RGB).

    The evaluation view is the whole store square brought to `size_px`, so training without augmentation, evaluation
    and prediction see equal pixels.

    Raises:
        SettingsError: a value is out of its range.

    Example:
        >>> Geometry(128, "crop", margin=1.15).store_px
        147
    """

    size_px: int
    fit: str = "crop"
    margin: float = 1.0
    channels: int = 3

    def __post_init__(self) -> None:
        choose("fit", self.fit, FITS)
        for name, fits, allowed in (
            ("size_px", self.size_px >= 1, "at least 1"),
            ("margin", 1 <= self.margin <= 4, "1 to 4"),
            ("channels", self.channels in (1, 3), "1 or 3"),
        ):
            if not fits:
                raise SettingsError(
                    f"geometry cannot have {name} {getattr(self, name)}", where=name, fix=f"use {allowed}"
                )

    @property
    def store_px(self) -> int:
        """Side of the stored square in pixels; also the shorter side a decoder must deliver at least."""
        return round(self.size_px * self.margin)

    def placement(self, height: int, width: int) -> Placement:
        """Return where a picture of this size lands in the store square."""
        return FITS[self.fit](height, width, self.store_px)

    def to_store(self, image_u8: ImageU8) -> ImageU8:
        """Return (H, W, C) pixels as the (S, S, channels) store square, S = `store_px`.

        Resizing is bilinear, antialiased when it shrinks; a picture of the right size is not resampled.
        """
        place, side = self.placement(*image_u8.shape[:2]), self.store_px
        (left, top, width, height), spot = place.box, place.spot
        part = resized(coloured(image_u8[top : top + height, left : left + width], self.channels), spot[2], spot[3])
        if spot[2:] == (side, side):
            return np.ascontiguousarray(part)
        square = np.full((side, side, self.channels), PAD_U8, np.uint8)
        square[spot[1] : spot[1] + spot[3], spot[0] : spot[0] + spot[2]] = part
        return square

    def mask_to_store(self, mask_u8: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return an (H, W) class mask as the (S, S) store square: nearest pixel, 255 (ignore) on padding."""
        place, side = self.placement(*mask_u8.shape[:2]), self.store_px
        columns = _nearest(place.box[0], place.box[2], place.spot[2])
        rows = _nearest(place.box[1], place.box[3], place.spot[3])
        square = np.full((side, side), IGNORE, np.uint8)
        left, top, width, height = place.spot
        square[top : top + height, left : left + width] = mask_u8[rows[:, None], columns]
        return square

    def matrix(self, height: int, width: int) -> Matrix:
        """Return the (2, 3) matrix from picture to store coordinates, both in pixels from the outer corner."""
        (left, top, box_width, box_height), spot = (place := self.placement(height, width)).box, place.spot
        scale_x, scale_y = spot[2] / box_width, spot[3] / box_height
        return np.array([[scale_x, 0, spot[0] - left * scale_x], [0, scale_y, spot[1] - top * scale_y]])


def _crop(height: int, width: int, side: int) -> Placement:
    short = min(height, width)
    return Placement(((width - short) // 2, (height - short) // 2, short, short), (0, 0, side, side))


def _letterbox(height: int, width: int, side: int) -> Placement:
    scale = side / max(height, width)
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    spot = ((side - new_width) // 2, (side - new_height) // 2, new_width, new_height)
    return Placement((0, 0, width, height), spot)


def _squash(height: int, width: int, side: int) -> Placement:
    return Placement((0, 0, width, height), (0, 0, side, side))


FITS: dict[str, Callable[[int, int, int], Placement]] = {"crop": _crop, "letterbox": _letterbox, "squash": _squash}


def coloured(image_u8: ImageU8, channels: int) -> ImageU8:
    """Grey to RGB repeats the channel; RGB to grey is the ITU-R 601 luma."""
    if image_u8.shape[2] == channels:
        return image_u8
    if channels == 3:
        return np.repeat(image_u8, 3, axis=2)
    return np.asarray(cv2.cvtColor(image_u8, cv2.COLOR_RGB2GRAY), np.uint8)[..., None]


def resized(image_u8: ImageU8, width: int, height: int) -> ImageU8:
    """Bilinear with antialiasing, what torchvision and Pillow call so; torch's takes a third of OpenCV's area time."""
    if image_u8.shape[:2] == (height, width):
        return image_u8
    import torch

    # a copy, since a decoder's array may be read-only, which torch warns of; C order, so that torch sees channels-last
    pixels = torch.from_numpy(np.array(image_u8[None], order="C")).permute(0, 3, 1, 2)
    sized = torch.nn.functional.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
    return sized.permute(0, 2, 3, 1).numpy()[0]


def _nearest(start: int, length: int, num_pixels: int) -> npt.NDArray[np.intp]:
    """The picture pixel whose square holds the centre of each of `num_pixels` target pixels."""
    return start + ((np.arange(num_pixels) + 0.5) * (length / num_pixels)).astype(np.intp)
