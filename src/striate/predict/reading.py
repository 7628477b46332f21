"""Read an image that is to be predicted, and say what speaks against its pixels."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from PIL.Image import Image

from striate.base.errors import DataError
from striate.data.bands import WORDS, first_bands_text
from striate.data.decode import FIX_DOUBTFUL, MAX_PIXELS, decode_samples, header, read_bytes
from striate.data.geometry import Geometry
from striate.data.given import pixels_of, png_of
from striate.data.levels import Levels

if TYPE_CHECKING:
    from striate.data.given import Given


def read_image(
    picture: "Given | bytes",
    name: str,
    geometry: Geometry,
    levels: Levels,
    short_side_px: int | None,
    max_pixels: int = MAX_PIXELS,
) -> tuple[npt.NDArray[Any], list[DataError]]:
    """Return the pixels (H, W, C) of an image, and the doubts about them.

    Args:
        picture: what was given, or the bytes of a file.
        name: of one that is no file.
        short_side_px: a decoder may return a smaller image whose shorter side is at least that; None: its own size.
        max_pixels: files with more are refused before any pixel is decoded.

    Raises:
        DataError: it cannot be read.
    """
    doubts: list[DataError] = []
    if isinstance(picture, str | Path):
        name, content = str(picture), read_bytes(Path(picture))
    elif isinstance(picture, bytes):
        content = picture
    elif isinstance(picture, Image):
        content = png_of(picture, name)
    else:
        return pixels_of(picture, name, geometry.channels, geometry.depth), doubts
    channels = geometry.channels
    pixels, complaint = decode_samples(
        content,
        geometry.depth,
        name=name,
        channels=channels,
        short_side_px=short_side_px,
        max_pixels=max_pixels,
        levels=levels,
    )
    if complaint:
        doubts.append(DataError(f"may be damaged: {complaint}", where=name, fix=FIX_DOUBTFUL))
    is_tiff = content[:2] in (b"II", b"MM")  # of the files of images, those that have bands
    has = header(Path(name)).channels if is_tiff and isinstance(picture, str | Path) else 0
    if has > channels and has not in WORDS:
        what = f"read is {first_bands_text(channels, has)}, as the run takes no more"
        doubts.append(DataError(what, where=name, fix="give the bands that the run was trained on"))
    return pixels, doubts


def pass_on(doubts: list[DataError], doubtful: list[DataError] | None) -> None:
    """Hand on the doubts about files; to nobody who asked, each is a Python warning."""
    if doubtful is not None:
        doubtful += doubts
        return
    for doubt in doubts:
        warnings.warn(f"{doubt.where} {doubt.what}", stacklevel=5)
