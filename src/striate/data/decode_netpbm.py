"""PBM, PGM and PPM: a header of a few numbers in text, and pixels in text or bytes."""

import re
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from .format import Unusable
from .raster import Raster

_GAP = rb"(?:\s|#[^\n]*\n)+"
_HEAD = re.compile(rb"P([14])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})()\s"
                   rb"|P([2356])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,5})\s")  # fmt: skip
_HEAD_BYTES = 1 << 16
_MAX_TEXT = 1 << 24  # samples in text: they take far more memory while they are read
_ROOM = 8  # bytes a number in text takes at most, spaces counted
_COLOUR, _TEXT, _BITMAP = {3, 6}, {1, 2, 3}, {1, 4}


@dataclass(frozen=True)
class Netpbm:
    """The header of a file; its names are those of Pillow's images.

    `kind` is the digit of P1 to P6, `top` the level of white, `start` where the pixels begin.
    """

    kind: int
    width: int
    height: int
    top: int
    start: int
    format: str = "netpbm"

    @property
    def mode(self) -> str:
        """As Pillow calls it."""
        if self.kind in _BITMAP:
            return "1"
        return "RGB" if self.kind in _COLOUR else "I;16" if self.top > 255 else "L"

    def getexif(self) -> dict[int, Any]:
        """Return nothing: there is no EXIF in it."""
        return {}

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.height, self.width, 3 if self.kind in _COLOUR else 1


def open_netpbm(file: BinaryIO) -> Netpbm:
    """Return the header of a file.

    Raises:
        ValueError: it is not one.
    """
    found = _HEAD.match(file.read(_HEAD_BYTES))
    if found is None:
        raise Unusable("damaged: its header is not understood")
    kind, width, height, top = (int(text or 1) for text in found.groups() if text is not None)
    if not width or not height or not 0 < top < 65536:
        raise Unusable("damaged: its header holds a size of 0 or a maximum beyond 65535")
    return Netpbm(kind, width, height, top, found.end())


def samples(head: Netpbm, data: bytes) -> Raster:
    """Return the pixels behind a header: eight bits where white is at most 255, else sixteen.

    Raises:
        Unusable: pixels are missing, are no numbers, or are above the maximum that the header gives.
    """
    height, width, channels = head.shape
    body = memoryview(data)[head.start :]
    if head.kind == 4:
        rows = _numbers(body, height * (-(-width // 8)), "u1").reshape(height, -1)
        bits = np.unpackbits(rows, axis=1, count=width)[..., None]
        return Raster(((1 - bits) * 255).astype(np.uint8))
    if head.kind == 1:
        pixels = _bits(bytes(body), height * width).reshape(head.shape)
        return Raster(((1 - pixels) * 255).astype(np.uint8))
    count = height * width * channels
    if head.kind in _TEXT:
        levels = _text(bytes(body), count)
    else:
        levels = _numbers(body, count, ">u2" if head.top > 255 else "u1")
    if levels.max() > head.top:
        raise Unusable(f"damaged: it holds level {levels.max()}, above its maximum {head.top}")
    white = 65535 if head.top > 255 else 255
    scaled = (levels.astype(np.uint32) * white + head.top // 2) // head.top if head.top != white else levels
    found = scaled.reshape(head.shape)
    return Raster(found.astype(np.uint16) if head.top > 255 else found.astype(np.uint8))


def _numbers(body: memoryview, count: int, kind: str) -> npt.NDArray[Any]:
    if len(body) < count * np.dtype(kind).itemsize:
        raise Unusable("image file is truncated")
    return np.frombuffer(body, kind, count)


def _bits(body: bytes, count: int) -> npt.NDArray[np.uint8]:
    digits = re.sub(rb"#[^\n]*", b"", body).translate(None, b" \t\r\n\v\f")[:count]
    if len(digits) < count:
        raise Unusable("image file is truncated")
    if digits.translate(None, b"01"):
        raise Unusable("damaged: its pixels are no zeros and ones")
    return np.frombuffer(digits, np.uint8) - ord("0")


def _text(body: bytes, count: int) -> npt.NDArray[np.int32]:
    if count > _MAX_TEXT:
        raise Unusable(f"image is too large for pixels in text: at most {_MAX_TEXT:,} numbers are read")
    text = re.sub(rb"#[^\n]*", b"", body)[: _ROOM * count + _HEAD_BYTES]  # what is behind the pixels is not read
    if re.search(rb"[^\d\s]|\d{6}", text):
        raise Unusable("damaged: its pixels are no numbers")
    found = np.fromstring(text.decode("ascii"), np.int32, sep=" ") if text.strip() else np.empty(0, np.int32)
    if len(found) < count:
        raise Unusable("image file is truncated")
    return found[:count]
