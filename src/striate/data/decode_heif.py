"""AVIF and HEIC: one container, read by Pillow and by pillow-heif where they are installed."""

from importlib import util
from typing import Any, BinaryIO

from PIL import features

from .format import Unusable

NAME = "AVIF or HEIC"  # as `sniff` calls both
INSTALL = "install striate[heif]"


def kind_of(head: bytes) -> str:
    """Return "AVIF" or "HEIC" by the brands in a file's first bytes.

    Example:
        >>> kind_of(b"\\0\\0\\0\\x18ftypheic\\0\\0\\0\\0mif1heic"), kind_of(b"\\0\\0\\0\\x14ftypavif\\0\\0\\0\\0")
        ('HEIC', 'AVIF')
    """
    brands = head[8 : int.from_bytes(head[:4], "big")]
    return "AVIF" if b"avif" in brands or b"avis" in brands else "HEIC"


def can_read(head: bytes) -> bool:
    """Return whether a decoder for this file is installed."""
    return bool(features.check("avif")) if kind_of(head) == "AVIF" else util.find_spec("pillow_heif") is not None


def open_heif(file: BinaryIO) -> Any:
    """Return Pillow's image of an AVIF or HEIC file.

    Raises:
        Unusable: no decoder for it is installed.
    """
    head = file.read(512)
    file.seek(0)
    if not can_read(head):
        raise Unusable(f"format not read: {kind_of(head)}; {INSTALL}")
    if kind_of(head) == "AVIF":
        from PIL.AvifImagePlugin import AvifImageFile

        return AvifImageFile(file)
    from pillow_heif.as_plugin import HeifImageFile

    return HeifImageFile(file)
