"""PNG and TIFF that Pillow does not hold as they are: sixteen bits, transparency of a level, white as level 0."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

from .format import Unusable
from .levels import FULL, Levels
from .raster import Raster, Samples
from .upright import orientation, upright

_BITS, _COMPRESSION, _PHOTOMETRIC, _STRIPS, _STRIP_LENGTHS, _PLANES = 258, 259, 262, 273, 279, 284
_WHITE_IS_ZERO, _RGB = 0, 2
SAMPLES, _EXTRA = 277, 338
_GREY, _COLOUR = 0, 2  # of a PNG


class TiffFile(TiffImagePlugin.TiffImageFile):
    """Pillow's reader, which does not know grey of sixteen bits with white as 0 in files of big-endian order."""

    def _setup(self) -> None:
        tags = self.tag_v2
        has_alpha, is_grey = bool({1, 2} & set(tags.get(_EXTRA, ()))), tags.get(_PHOTOMETRIC) in (_WHITE_IS_ZERO, 1)
        if tags.get(SAMPLES, 1) > (1 + has_alpha if is_grey else 4):  # Pillow leaves some out, or reads them wrong
            raise SyntaxError("bands that are neither colours nor alpha")
        is_unknown = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO and tags.get(_BITS) == (16,) and tags.prefix == b"MM"
        if is_unknown:
            tags[_PHOTOMETRIC] = 1
        super()._setup()
        if is_unknown:
            tags[_PHOTOMETRIC] = _WHITE_IS_ZERO


def deep(opened: Image.Image, data: bytes, levels: Levels) -> Raster | None:
    """Return the exact samples of a PNG or TIFF, None where those of Pillow are; a TIFF lies upright.

    Args:
        levels: that will be asked for; where only high bytes can be had, none but the whole range is given.

    Raises:
        Unusable: it is a TIFF in a layout that is not read.
        Exception: it is damaged.
    """
    if opened.format == "PNG":
        return _png(opened, data)
    if opened.format == "TIFF" and isinstance(opened, TiffImagePlugin.TiffImageFile):
        return _tiff(opened, data, levels == FULL)
    return None


def _png(opened: Image.Image, data: bytes) -> Raster | None:
    bits, kind = data[24], data[25]
    key = opened.info.get("transparency")
    if kind == _GREY and (bits == 16 or isinstance(key, int)):
        return _grey_png(opened, bits, key)
    if bits < 16:
        return None
    samples = _agreeing(opened, data)
    colours: Samples = samples[..., :3]
    if kind == _COLOUR:
        return Raster(colours, _opaque(colours != np.array(key), np.uint16) if isinstance(key, tuple) else None)
    return Raster(colours, samples[..., 3])


def _grey_png(opened: Image.Image, bits: int, key: object) -> Raster:
    opened.load()
    levels = np.asarray(opened)[..., None]
    samples: Samples = levels.astype(np.uint16) if bits == 16 else levels.astype(np.uint8)
    if levels.dtype == np.bool_:
        samples = samples * np.uint8(255)
    if not isinstance(key, int):
        return Raster(samples)
    scale = 1 if bits == 16 else 255 // (2**bits - 1)  # Pillow spreads the levels, but not the key
    return Raster(samples, _opaque(samples != key * scale, samples.dtype))


def _opaque(is_other: npt.NDArray[np.bool_], kind: npt.DTypeLike) -> Samples:
    """Full opacity (H, W) where any channel differs from the transparent colour."""
    mask: Samples = is_other.any(axis=2).astype(kind) * np.iinfo(kind).max
    return mask


def _tiff(opened: TiffImagePlugin.TiffImageFile, data: bytes, is_full: bool) -> Raster | None:
    tags = opened.tag_v2
    bits, planes = tuple(tags.get(_BITS, (1,))), tags.get(_PLANES, 1)
    if opened.mode.startswith("I;16"):
        return _grey_tiff(opened, bits)
    if set(bits) != {16} or tags.get(_PHOTOMETRIC) != _RGB or opened.mode not in {"RGB", "RGBA", "RGBX"}:
        return None
    colours = _planes(opened, data, len(bits), is_full) if planes == 2 else _agreeing(opened, data)
    return Raster(colours[..., :3], colours[..., 3] if opened.mode == "RGBA" else None)


def _grey_tiff(opened: TiffImagePlugin.TiffImageFile, bits: tuple[int, ...]) -> Raster:
    is_negative = opened.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    opened.load()
    samples = np.asarray(opened).astype(np.uint16)[..., None]
    if bits[0] < 16:
        samples = (samples.astype(np.uint32) * 65535 // (2 ** bits[0] - 1)).astype(np.uint16)
    return Raster(65535 - samples if is_negative else samples)


def _planes(opened: TiffImagePlugin.TiffImageFile, data: bytes, count: int, is_full: bool) -> npt.NDArray[np.uint16]:
    """The samples (H, W, C) of a file that holds one colour behind the other, which neither decoder gets right."""
    tags, value = opened.tag_v2, orientation(opened)
    if tags.get(_COMPRESSION, 1) != 1 and is_full:
        opened.load()
        return np.asarray(opened).astype(np.uint16) * 257  # of packed planes Pillow has the high bytes right
    if tags.get(_COMPRESSION, 1) != 1 or _STRIPS not in tags:
        raise Unusable("TIFF of 16 bits with its colours in separate planes: save it interleaved, or as PNG")
    strips = zip(tags[_STRIPS], tags[_STRIP_LENGTHS], strict=True)
    content = b"".join(data[place : place + length] for place, length in strips)
    opened.load()  # now that it is known how it lies
    width, height = opened.size if value < 5 else opened.size[::-1]
    samples = np.frombuffer(content, ">u2" if tags.prefix == b"MM" else "<u2", count * height * width)
    turned = upright(samples.reshape(count, height, width).transpose(1, 2, 0), value)
    return np.ascontiguousarray(turned, dtype=np.uint16)


def _agreeing(opened: Image.Image, data: bytes) -> npt.NDArray[np.uint16]:
    """The samples (H, W, 3 or 4) of an image in colour by OpenCV, since Pillow keeps their high bytes only.

    Pillow reads first, so that what is damaged never comes to OpenCV; where the two differ (an animation), Pillow
    is right.
    """
    import cv2  # late: opening a dataset reads headers only, and takes half the time without it

    value = orientation(opened) if opened.format == "TIFF" else 1
    opened.load()
    high = np.asarray(opened)
    found: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is not None and found.ndim == 3 and found.dtype == np.uint16:
        order = [2, 1, 0, 3][: found.shape[2]]
        for samples in (upright(found[..., order], value), found[..., order]):  # some layouts it turns itself
            if samples.shape[:2] == high.shape[:2] and np.array_equal(samples[..., :3] >> 8, high[..., :3]):
                return np.ascontiguousarray(samples, dtype=np.uint16)
    return high.astype(np.uint16) * 257
