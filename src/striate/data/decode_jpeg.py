"""JPEG by simplejpeg: bit for bit Pillow's pixels, and what libjpeg says of a damaged stream, which Pillow drops."""

import re

import numpy as np
import simplejpeg

from .jpeg_stream import parse
from .sample import ImageU8

_COLOURS = {"Gray": ("GRAY", 1), "YCbCr": ("RGB", 3)}
_INKS = {"CMYK", "YCCK"}
_SHRINKS = (8, 4, 2, 1)
_APP1, _SCAN = 0xE1, 0xDA
_WITH_LENGTH = {*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE}  # kinds of segments that say how long they are
_PADDING = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_NO_END = "Premature end of JPEG file"
_EARLY = "premature end of data segment"
_GREY = 128  # what libjpeg makes of rows it has no data for


def flawless(data: bytes, channels: int | None, short_side_px: int | None, max_pixels: int) -> ImageU8 | None:
    """Return the pixels (H, W, C) of a JPEG, upright, or None where more must be known of it.

    That is: files that are read with the slightest complaint or are laid out oddly, other colours than YCbCr and grey
    or than those asked for, images that are too large, and files with EXIF or XMP, which may say that they lie on
    their side.

    Args:
        channels: 1 or 3; None for what the file has.
        short_side_px: it may be decoded at 1/2, 1/4 or 1/8 size as long as its shorter side stays this long.
    """
    if not _is_plain(data):
        return None
    try:
        height, width, found, _ = simplejpeg.decode_jpeg_header(data)
        has = _COLOURS.get(found, ("", 0))[1]
        if not has or channels not in (None, has) or height * width > max_pixels:
            return None
        return _stored(data, short_side_px)
    except ValueError:
        return None


def listen(data: bytes, short_side_px: int | None) -> tuple[ImageU8 | None, str]:
    """Return the pixels of a JPEG as they are stored, if it is grey or YCbCr and read without a complaint, and the
    complaint of libjpeg about its pixels.

    What libjpeg says of other parts of the file, and of bytes that only fill it up, is no complaint. Nothing is heard
    of the few files whose colours are subsampled in a way that simplejpeg does not know.
    """
    try:
        return _stored(data, short_side_px), ""
    except ValueError:
        return None, _complaint(data)


def missing_rows(data: bytes, complaint: str) -> str:
    """Return which part of an image with this complaint is not there, in words; "" if it is all there.

    libjpeg makes rows it has no data for mid-grey. A progressive file that ends early lacks a scan of some rows.
    """
    if _PADDING.search(complaint):
        return ""  # all pixels were read before it
    stream = parse(data)
    if _EARLY in complaint and stream is not None and stream.is_progressive:
        return "its data end early"
    try:
        rows = (_smallest(stream.bare() if stream else data, strict=False) == _GREY).all(axis=(1, 2))
    except ValueError:
        return ""  # then it has no pixels either, which the caller will find
    if not rows.any():
        return ""
    cut = "truncated, " if _NO_END in complaint else ""
    return f"{cut}{max(1, round(100 * rows.mean()))} % of its rows are missing"


def _complaint(data: bytes) -> str:
    if not _said(data):
        return ""
    stream = parse(data)
    only = stream.bare() if stream else data
    said = _said(only)
    return _said(_unpadded(only)) if _PADDING.search(said) else said


def _unpadded(data: bytes) -> bytes:
    """Without zeros before the end marker. The last byte of pixels ends in ones or is a zero behind 0xff, so that
    zeros behind another byte fill the file up; where they are lost pixels the decoder complains of what is left."""
    head, mark, _ = data.partition(b"\xff\xd9")
    filled = head.rstrip(b"\0")
    return filled + (b"\0" if filled.endswith(b"\xff") and len(filled) < len(head) else b"") + mark


def _stored(data: bytes, short_side_px: int | None) -> ImageU8 | None:
    """The pixels of a grey or YCbCr file; ValueError at the slightest complaint."""
    height, width, found, _ = simplejpeg.decode_jpeg_header(data)
    colours, has = _COLOURS.get(found, ("", 0))
    if not has:
        _smallest(data)
        return None
    room = min(height, width) // short_side_px if short_side_px else 1
    shrink = next((shrink for shrink in _SHRINKS if room >= shrink), 1)
    size_hw = -(-height // shrink), -(-width // shrink)
    pixels: ImageU8 = simplejpeg.decode_jpeg(data, colours, min_height=size_hw[0], min_width=size_hw[1])
    return pixels if pixels.shape == (*size_hw, has) else None


def _said(data: bytes) -> str:
    try:
        _smallest(data)
    except ValueError as problem:
        said = str(problem).partition("JPEG data: ")
        return "" if "tjDecompressHeader" in said[0] else said[2] or said[0]
    return ""


def _smallest(data: bytes, *, strict: bool = True) -> ImageU8:
    """All of the stream is read, but an eighth of the size is made."""
    colours = "CMYK" if simplejpeg.decode_jpeg_header(data, strict=strict)[2] in _INKS else "GRAY"
    return np.asarray(simplejpeg.decode_jpeg(data, colours, min_height=1, min_width=1, strict=strict), np.uint8)


def _is_plain(data: bytes) -> bool:
    """Return whether the file is a row of segments, none of them EXIF or XMP, up to where the pixels begin."""
    if data[:2] != b"\xff\xd8":
        return False
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] in _WITH_LENGTH:
        if data[at + 1] == _APP1:
            return False
        if data[at + 1] == _SCAN:
            return True
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False
