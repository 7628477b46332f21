"""The pixels of a flawless JPEG by simplejpeg: bit for bit Pillow's, without Pillow's headers and copies."""

import simplejpeg

from .sample import ImageU8

_COLOURS = {"Gray": ("GRAY", 1), "YCbCr": ("RGB", 3)}
_SHRINKS = (8, 4, 2, 1)
_APP1, _SCAN = 0xE1, 0xDA
_WITH_LENGTH = {*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE}  # kinds of segments that say how long they are


def flawless(data: bytes, channels: int | None, short_side_px: int | None, max_pixels: int) -> ImageU8 | None:
    """Return the pixels (H, W, C) of a JPEG, upright, or None where Pillow must decide.

    That is: files that are read with the slightest complaint or are laid out oddly, other colours than YCbCr and grey
    or than those asked for, pictures that are too large, and files with EXIF or XMP, which may say that they lie on
    their side.

    Args:
        channels: 1 or 3; None for what the file has.
        short_side_px: it may be decoded at 1/2, 1/4 or 1/8 size as long as its shorter side stays this long.
    """
    if not _is_plain(data):
        return None
    try:
        height, width, found, _ = simplejpeg.decode_jpeg_header(data)
        colours, has = _COLOURS.get(found, ("", 0))
        if channels not in (None, has) or not has or height * width > max_pixels:
            return None
        room = min(height, width) // short_side_px if short_side_px else 1
        shrink = next((shrink for shrink in _SHRINKS if room >= shrink), 1)
        size_hw = -(-height // shrink), -(-width // shrink)
        pixels: ImageU8 = simplejpeg.decode_jpeg(data, colours, min_height=size_hw[0], min_width=size_hw[1])
    except ValueError:
        return None
    return pixels if pixels.shape == (*size_hw, has) else None


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
