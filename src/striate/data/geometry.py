"""How an image of any size becomes what a network sees, and how a place in that returns to the image's own pixels.

One policy for training, validation, prediction and export. Sizes and shapes are (height, width), matrices and points
are (x, y). The contract for other spatial axes is the same: a resize policy maps the source's axes to those of the
network and back, one scale and one offset an axis. Images have two axes, and series, which are images of height 1;
that of volumes, three axes, is `volume_geometry`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from striate.base.choose import choose
from striate.base.errors import DataError, SettingsError
from striate.base.size import SizeHW, size_text, typed_size
from striate.base.text import plural

from .bands import in_depth
from .raster import Samples
from .sample import IGNORE

VERSION = 1  # part of every store's key: raise it when a stored pixel changes
PAD_U8 = 128  # mid-grey: after normalisation close to zero, which is what a convolution pads with
MAX_CHANNELS = 512  # OpenCV's limit
MAX_PX = 8192

Matrix = npt.NDArray[np.float64]
Box: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True)
class Placement:
    """Where an image lands in the stored rectangle: `box` (left, top, width, height) of the image, in its pixels,
    fills `spot` (left, top, width, height) of the rectangle."""

    box: Box
    spot: Box


@dataclass(frozen=True)
class Geometry:
    """The resize policy of a run.

    Args:
        size_hw: height and width of what a network receives, in pixels.
        fit: "crop" keeps the largest centred part of the network's aspect, "letterbox" pads to it, "squash" ignores it.
        margin: each stored side over that of `size_hw`, at least 1. More than 1 keeps detail for zoom and crop;
            exactly 1 means that an image already of this size is never resampled.
        channels: 1 (grey), 3 (RGB) or any other number of bands.
        depth: bits of a stored level, 8 or 16.

    The evaluation view is the whole stored rectangle brought to `size_hw`, so training without augmentation, evaluation
    and prediction see equal pixels.

    Raises:
        SettingsError: a value is out of its range.

    Example:
        >>> Geometry((128, 128), "crop", margin=1.15).store_hw, Geometry((180, 240), margin=1.15).store_hw
        ((147, 147), (207, 276))
    """

    size_hw: SizeHW
    fit: str = "crop"
    margin: float = 1.0
    channels: int = 3
    depth: int = 8

    def __post_init__(self) -> None:
        choose("fit", self.fit, self.fits)
        for name, fits, allowed in (
            ("size_hw", min(self.size_hw) >= 1 and max(self.size_hw) <= MAX_PX, f"1 to {MAX_PX}"),
            ("margin", 1 <= self.margin <= 4, "1 to 4"),
            ("channels", 1 <= self.channels <= MAX_CHANNELS, f"1 to {MAX_CHANNELS}"),
            ("depth", self.depth in (8, 16), "8 or 16"),
        ):
            if not fits:
                raise SettingsError(
                    f"geometry cannot have {name} {getattr(self, name)}", where=name, fix=f"use {allowed}"
                )

    @property
    def fits(self) -> Mapping[str, Any]:
        """The resize policies by name."""
        return FITS

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Geometry":
        """Return the geometry of a run's document; squares of earlier versions have `size_px` only.

        Raises:
            SettingsError: a value is out of its range.
            KeyError: one is missing.
        """
        sides = document["size_hw"] if "size_hw" in document else (document["size_px"],) * 2
        names = ("fit", "margin", "channels")
        values: dict[str, Any] = {name: document[name] for name in names}
        if len(sides) == 3:
            from .volume_geometry import VolumeGeometry as cls

            values["box"] = tuple(document["box"]) if document.get("box") else None
        return cls(tuple(int(side) for side in sides), **values, depth=document.get("depth", 8))

    def to_json(self) -> dict[str, Any]:
        """Return a plain document; a square says its side too, as `size_px`."""
        size_px = typed_size(self.size_hw)
        return ({"size_px": size_px} if isinstance(size_px, int) else {}) | {
            **vars(self),
            "size_hw": list(self.size_hw),
        }

    @property
    def store_hw(self) -> SizeHW:
        """Height and width of the stored rectangle in pixels."""
        return tuple(round(side * self.margin) for side in self.size_hw)

    @property
    def store_shape(self) -> tuple[int, ...]:
        """(H, W, C) of a stored image."""
        return (*self.store_hw, self.channels)

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Of the stored levels."""
        return np.uint8 if self.depth == 8 else np.uint16

    @property
    def num_bytes(self) -> int:
        """Of a stored image."""
        return math.prod(self.store_shape) * self.depth // 8

    def over(self, scale: int) -> "Geometry":
        """Return the geometry of images whose sides are 1 / `scale` of these.

        Raises:
            SettingsError: the sides cannot be divided.
        """
        if any(side % scale for side in self.size_hw):
            fix = f"use --size {max(1, min(self.size_hw) // scale) * scale}"
            raise SettingsError(f"{self.text} px cannot be divided by the scale of {scale}", where="data.size", fix=fix)
        return replace(self, size_hw=tuple(side // scale for side in self.size_hw))

    def times(self, scale: int) -> "Geometry":
        """Return the geometry of images whose sides are `scale` times these."""
        return replace(self, size_hw=tuple(side * scale for side in self.size_hw))

    @property
    def text(self) -> str:
        """The size of what a network receives, as it is typed: 128 or 180x240."""
        return size_text(self.size_hw)

    @property
    def short_side_px(self) -> int:
        """The shorter side that a decoder must deliver at least, whatever the image's aspect."""
        return max(self.store_hw)

    def placement(self, height: int, width: int) -> Placement:
        """Return where an image of this size lands in the stored rectangle."""
        found: Placement = self.fits[self.fit](height, width, self.store_hw)
        return found

    def flat(self, image: npt.NDArray[Any], at: Sequence[int] | None = None) -> npt.NDArray[Any]:
        """Return a stored image as a person is shown it: as it is."""
        return image

    def to_store(self, image: Samples) -> npt.NDArray[Any]:
        """Return (H, W, C) pixels of either depth as the stored rectangle (*`store_hw`, channels).

        Resizing is bilinear, antialiased when it shrinks; an image of the right size is not resampled.
        """
        place, (height, width) = self.placement(image.shape[0], image.shape[1]), self.store_hw
        (left, top, box_width, box_height), spot = place.box, place.spot
        part = coloured(in_depth(image, self.depth)[top : top + box_height, left : left + box_width], self.channels)
        part = resized(part, spot[2], spot[3])
        if spot[2:] == (width, height):
            return np.ascontiguousarray(part)
        stored = np.full(self.store_shape, PAD_U8 if self.depth == 8 else PAD_U8 * 257, self.dtype)
        stored[spot[1] : spot[1] + spot[3], spot[0] : spot[0] + spot[2]] = part
        return stored

    def mask_to_store(self, mask_u8: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return an (H, W) class mask as the stored rectangle: nearest pixel, 255 (ignore) on padding."""
        place = self.placement(mask_u8.shape[0], mask_u8.shape[1])
        columns = _nearest(place.box[0], place.box[2], place.spot[2])
        rows = _nearest(place.box[1], place.box[3], place.spot[3])
        stored = np.full(self.store_hw, IGNORE, np.uint8)
        left, top, width, height = place.spot
        stored[top : top + height, left : left + width] = mask_u8[rows[:, None], columns]
        return stored

    def matrix(self, height: int, width: int) -> Matrix:
        """Return the (2, 3) matrix from image to store coordinates, both in pixels from the outer corner."""
        (left, top, box_width, box_height), spot = (place := self.placement(height, width)).box, place.spot
        scale_x, scale_y = spot[2] / box_width, spot[3] / box_height
        return np.array([[scale_x, 0, spot[0] - left * scale_x], [0, scale_y, spot[1] - top * scale_y]])

    def way_back(self, *size_hw: int) -> "WayBack":
        """Return how places in what the network sees of an image of this size return to the image's own pixels."""
        return WayBack(self, size_hw)


@dataclass(frozen=True)
class WayBack:
    """From the evaluation view, `geometry.size_hw` pixels, to the pixels of an image of `image_hw`.

    Points are in pixels from the outer corner: the left edge of the first pixel is 0, its centre 0.5.

    Example:
        >>> way = Geometry((8, 8), "letterbox").way_back(16, 32)
        >>> way.boxes(np.array([[0.0, 2, 8, 6]])).tolist()
        [[0.0, 0.0, 32.0, 16.0]]
    """

    geometry: Geometry
    image_hw: SizeHW

    @property
    def matrix(self) -> Matrix:
        """(2, 3) from network to image coordinates, xy; one scale and one offset an axis."""
        forward = self.geometry.matrix(*self.image_hw)
        height, width = np.divide(self.geometry.size_hw, self.geometry.store_hw)
        scale = np.array([width, height]) * forward[[0, 1], [0, 1]]
        offset = np.array([width, height]) * forward[:, 2]
        return np.array([[1 / scale[0], 0, -offset[0] / scale[0]], [0, 1 / scale[1], -offset[1] / scale[1]]])

    def points(self, points_xy: npt.ArrayLike) -> Matrix:
        """Return where (..., 2) points of the network's view lie in the image; it may be outside of it."""
        matrix = self.matrix
        return np.asarray(points_xy, np.float64) * matrix[[0, 1], [0, 1]] + matrix[:, 2]

    def boxes(self, boxes_xyxy: npt.ArrayLike) -> Matrix:
        """Return (..., 4) boxes of the network's view in the image's pixels, clipped to the image."""
        boxes = np.asarray(boxes_xyxy, np.float64)
        corners = self.points(boxes.reshape(*boxes.shape[:-1], 2, 2)).reshape(boxes.shape)
        height, width = self.image_hw
        return np.clip(corners, 0, np.array([width, height, width, height], np.float64))

    def inner_points(self, points_xy: npt.ArrayLike) -> Matrix:
        """Return where (..., 2) points of the network's view lie in the image, those outside of it at its border."""
        return np.clip(self.points(points_xy), 0, np.array(self.image_hw[::-1], np.float64))

    def maps(self, maps: npt.NDArray[Any], mode: Literal["bilinear", "nearest"], outside: float) -> npt.NDArray[Any]:
        """Return maps (H', W') or (H', W', C) over the network's view as (H, W) or (H, W, C) of the image.

        Args:
            maps: numbers of any resolution that cover the view, such as those of a coarse row of a network.
            mode: "nearest" for classes, "bilinear" for scores; at the view's border the last value holds.
            outside: what pixels get that the network does not see, those that "crop" cuts away.
        """
        y, x = self.places((maps.shape[0], maps.shape[1]))
        moved = (_nearest_at if mode == "nearest" else _between)(maps, y, x)
        is_seen = self.is_seen[..., None] if maps.ndim == 3 else self.is_seen
        return np.where(is_seen, moved, np.asarray(outside, maps.dtype))

    def places(self, map_hw: SizeHW) -> tuple[Matrix, Matrix]:
        """Return where the rows (H,) and the columns (W,) of the image's pixel centres lie in a map over the view."""
        matrix, scale = self.matrix, np.divide(self.geometry.size_hw, map_hw)  # view pixels a map pixel
        height, width = self.image_hw
        x = (np.arange(width) + 0.5 - matrix[0, 2]) / matrix[0, 0]
        y = (np.arange(height) + 0.5 - matrix[1, 2]) / matrix[1, 1]
        return y / scale[0], x / scale[1]

    @property
    def is_seen(self) -> npt.NDArray[np.bool_]:
        """Which of the image's pixels (H, W) the network sees: not what "crop" cuts away."""
        height, width = self.geometry.size_hw
        y, x = self.places((height, width))
        return ((y >= 0) & (y <= height))[:, None] & ((x >= 0) & (x <= width))

    def mask(self, mask_u8: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return a class mask (H', W') in the image's pixels (H, W): nearest; 255 (ignore) where nothing was seen."""
        return self.maps(mask_u8, "nearest", IGNORE)


def _nearest_at(maps: npt.NDArray[Any], y: Matrix, x: Matrix) -> npt.NDArray[Any]:
    rows, columns = (
        np.floor(at).astype(np.intp).clip(0, num - 1) for at, num in zip((y, x), maps.shape[:2], strict=True)
    )
    return np.asarray(maps[rows[:, None], columns])


def _between(maps: npt.NDArray[Any], y: Matrix, x: Matrix) -> npt.NDArray[Any]:
    """Linear along x, then along y, between pixel centres."""
    numbers = maps.astype(np.result_type(maps.dtype, np.float32))
    for axis, at in ((1, x), (0, y)):
        place = (at - 0.5).clip(0, maps.shape[axis] - 1)
        low = np.floor(place).astype(np.intp)
        share = (place - low).astype(numbers.dtype)
        share = share.reshape([-1 if number == axis else 1 for number in range(maps.ndim)])
        high = np.minimum(low + 1, maps.shape[axis] - 1)
        numbers = numbers.take(low, axis) * (1 - share) + numbers.take(high, axis) * share
    return numbers


def _crop(height: int, width: int, target_hw: SizeHW) -> Placement:
    """The largest centred box of the target's aspect."""
    target_height, target_width = target_hw
    if height * target_width <= width * target_height:  # the image is wider
        box_width, box_height = max(1, round(height * target_width / target_height)), height
    else:
        box_width, box_height = width, max(1, round(width * target_height / target_width))
    box = ((width - box_width) // 2, (height - box_height) // 2, box_width, box_height)
    return Placement(box, (0, 0, target_width, target_height))


def _letterbox(height: int, width: int, target_hw: SizeHW) -> Placement:
    target_height, target_width = target_hw
    scale = min(target_height / height, target_width / width)
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    spot = ((target_width - new_width) // 2, (target_height - new_height) // 2, new_width, new_height)
    return Placement((0, 0, width, height), spot)


def _squash(height: int, width: int, target_hw: SizeHW) -> Placement:
    return Placement((0, 0, width, height), (0, 0, target_hw[1], target_hw[0]))


FITS: dict[str, Callable[[int, int, SizeHW], Placement]] = {"crop": _crop, "letterbox": _letterbox, "squash": _squash}


def coloured(image: npt.NDArray[Any], channels: int) -> npt.NDArray[Any]:
    """Grey to RGB repeats the channel; RGB to grey is the ITU-R 601 luma; of more bands the first are taken.

    Raises:
        DataError: it has fewer channels, or is RGB, whose first two are no image.

    Example:
        >>> image = np.zeros((4, 6, 2), np.uint8)
        >>> coloured(image, 1).shape
        (4, 6, 1)
    """
    has = image.shape[2]
    if has == channels:
        return image
    if has == 1 and channels == 3:
        return np.repeat(image, 3, axis=2)
    if has == 3 and channels == 1:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[..., None]
    if has == 3 or has < channels:
        raise DataError(
            f"an image of {plural(has, 'channel')}, {channels} are wanted", fix="give images of as many channels"
        )
    return image[..., :channels]


def resized(image: npt.NDArray[Any], width: int, height: int) -> npt.NDArray[Any]:
    """Bilinear with antialiasing, what torchvision and Pillow call so; torch's takes a third of OpenCV's area time."""
    if image.shape[:2] == (height, width):
        return image
    import torch

    # a copy, since a decoder's array may be read-only, which torch warns of; C order, so that torch sees channels-last
    kind = np.uint8 if image.dtype == np.uint8 else np.float32  # torch resizes no uint16
    pixels = torch.from_numpy(np.array(image[None], kind, order="C")).permute(0, 3, 1, 2)
    sized = torch.nn.functional.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
    levels = sized.permute(0, 2, 3, 1).numpy()[0]
    return np.asarray(levels if image.dtype == np.uint8 else np.rint(levels).astype(image.dtype))


def _nearest(start: int, length: int, num_pixels: int) -> npt.NDArray[np.intp]:
    """The image pixel whose square holds the centre of each of `num_pixels` target pixels."""
    return start + ((np.arange(num_pixels) + 0.5) * (length / num_pixels)).astype(np.intp)
