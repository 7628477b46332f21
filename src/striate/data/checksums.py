"""Checksums that a file carries and that the decoders do not compare, or not to the end."""

import zlib
from typing import Any

_DEFLATE = {8, 32946}
_COMPRESSION, _STRIPS, _TILES = 259, (273, 279), (324, 325)  # of a TIFF: the tags of places and lengths
_PIECE = 1 << 20


def broken(kind: str, opened: Any, data: bytes) -> str:
    """Return which checksum of an image is wrong, in words, or ""; `opened` is Pillow's image of the file `data`.

    PNG: the chunks that hold the image; Pillow skips those of the pixel data. TIFF: strips packed by deflate, whose
    checksum libtiff does not reach when the damage makes more pixels than are needed.
    """
    check = {"PNG": _png, "TIFF": _tiff}.get(kind)
    return check(opened, data) if check else ""


def _png(opened: Any, data: bytes) -> str:
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 8 + length
        kind = data[at + 4 : at + 8]
        if end + 4 > len(data):
            break
        if kind[0:1].isupper() and zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return f"damaged: the checksum of its {kind.decode('latin-1')} chunk is wrong"
        if kind == b"IEND":
            return ""
        at = end + 4
    return "image file is truncated"


def _tiff(opened: Any, data: bytes) -> str:
    tags = opened.tag_v2
    if tags.get(_COMPRESSION) not in _DEFLATE:
        return ""
    places, lengths = _STRIPS if _STRIPS[0] in tags else _TILES
    room = 16 * (opened.width * opened.height + _PIECE)  # no strip holds more than the image
    for place, length in zip(tags.get(places, ()), tags.get(lengths, ()), strict=False):
        if not _is_whole(data[place : place + length], room):
            return "damaged: the checksum of its pixels is wrong"
    return ""


def _is_whole(packed: bytes, room: int) -> bool:
    stream = zlib.decompressobj()
    try:
        while not stream.eof and packed:
            room -= len(stream.decompress(packed, _PIECE))
            packed = stream.unconsumed_tail
            if room < 0:
                return False
    except zlib.error:
        return False
    return True  # also without an end: libtiff says when pixels are missing
