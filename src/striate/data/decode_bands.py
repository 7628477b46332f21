"""TIFF of any number of bands, which Pillow does not read: each becomes a wide grey image, which it does read."""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import TiffImagePlugin

from .bands import MAX_BANDS
from .decode_deep import SAMPLES, TiffFile, deep
from .decode_netpbm import Netpbm, samples
from .format import Unusable
from .levels import Levels
from .raster import Raster

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _ROWS, _COUNTS, _PLANES, _PREDICTOR = 273, 278, 279, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_COUNTS, _FORMATS = 322, 323, 324, 325, 339
_ORIENTATION, _GDAL = 274, 42112
_KEPT = (_COMPRESSION, _STRIPS, _COUNTS, _ROWS, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_COUNTS)
_NAME = re.compile(r'<Item name="DESCRIPTION" sample="(\d{1,4})" role="description">([^<]{1,200})</Item>')
_READ = {1, 5, 8, 32773, 32946}  # none, LZW, deflate, packbits, deflate by its older number
_LONG = 4


@dataclass(frozen=True)
class Bands:
    """The header of a file; its names are those of Pillow's images.

    `tags` are the file's, `names` those of its bands, where it has them.
    """

    width: int
    height: int
    count: int
    bits: int
    tags: Mapping[int, Any] = field(repr=False)
    names: tuple[str, ...] = ()
    format: str = "TIFF"

    @property
    def mode(self) -> str:
        """The number of bands."""
        return f"{self.count} bands"

    @property
    def tag_v2(self) -> Mapping[int, Any]:
        """The tags, as Pillow calls them."""
        return self.tags

    def getexif(self) -> dict[int, Any]:
        """Return the orientation."""
        return {_ORIENTATION: self.tags.get(_ORIENTATION, 1)}


def open_tiff(file: BinaryIO) -> "TiffFile | Bands":
    """Return Pillow's image of a TIFF, or the header of one that has more bands than Pillow knows.

    Raises:
        Unusable: its layout is not read.
        Exception: it is damaged.
    """
    try:
        return TiffFile(file)
    except SyntaxError:  # of a pixel mode that it does not know
        file.seek(0)
        return open_bands(file)


def open_bands(file: BinaryIO) -> Bands:
    """Return the header of a TIFF of several bands, of eight or sixteen bits each.

    Raises:
        Unusable: its layout is not read.
    """
    head = file.read(8)
    if head[2:4] not in (b"\x2a\x00", b"\x00\x2a"):
        raise Unusable("BigTIFF of several bands: save it as a plain TIFF")
    tags = TiffImagePlugin.ImageFileDirectory_v2(head)
    file.seek(tags.next)
    tags.load(file)
    bits, count = tuple(tags.get(_BITS, (1,))), int(tags.get(SAMPLES, 1))
    kinds = set(tags.get(_FORMATS, (1,)))
    if set(bits) not in ({8}, {16}) or kinds != {1}:
        raise Unusable(f"TIFF of {count} bands: only whole numbers of 8 or 16 bits without a sign are read")
    if tags.get(_PHOTOMETRIC, 1) not in (1, 2):
        raise Unusable(f"TIFF of {count} bands in colours that are not read: save it as RGB or grey")
    if not 1 < count <= MAX_BANDS:
        raise Unusable(f"TIFF of {count} bands: 2 to {MAX_BANDS} are read")
    compression, predictor = tags.get(_COMPRESSION, 1), tags.get(_PREDICTOR, 1)
    if compression not in _READ or predictor not in (1, 2):
        raise Unusable(f"TIFF of {count} bands in compression {compression}: save it with deflate, LZW or none")
    text = tags.get(_GDAL, "")
    name_of = dict(_NAME.findall(text if isinstance(text, str) else ""))
    names = tuple(name_of[str(band)] for band in range(count)) if len(name_of) == count else ()
    return Bands(int(tags[_WIDTH]), int(tags[_HEIGHT]), count, bits[0], dict(tags), names)


def exact(opened: Any, data: bytes, levels: Levels, channels: int) -> Raster | None:
    """Return the exact samples of a file, None where those of Pillow are.

    Of a TIFF all bands are read when neither grey nor RGB is wanted.
    """
    if isinstance(opened, Netpbm):
        return samples(opened, data)
    if isinstance(opened, Bands):
        return bands_of(opened, data)
    if opened.format == "TIFF" and channels not in (1, 3):
        return bands_of(open_bands(BytesIO(data)), data)
    return deep(opened, data, levels)


def bands_of(head: Bands, data: bytes) -> Raster:
    """Return the pixels (H, W, bands) as they lie in the file.

    Raises:
        Unusable: pixels are missing, or the bands lie in a layout that is not read.
        Exception: it is damaged.
    """
    is_planar = head.tags.get(_PLANES, 1) == 2
    wide, grey = _as_grey(head, data, is_planar)
    if is_planar:
        levels = grey.reshape(head.count, -1, wide)[:, : head.height, : head.width].transpose(1, 2, 0)
    else:
        levels = grey[: head.height].reshape(head.height, -1, head.count)[:, : head.width]
    if head.tags.get(_PREDICTOR, 1) == 2:
        levels = _summed(head, levels)
    return Raster(np.ascontiguousarray(levels))


def _as_grey(head: Bands, data: bytes, is_planar: bool) -> tuple[int, npt.NDArray[Any]]:
    """The samples as one grey image: bands side by side in each pixel, or plane below plane; and its width."""
    tags: dict[int, tuple[int, ...]] = {}
    for tag in _KEPT:
        value = head.tags.get(tag)
        if value is not None:
            tags[tag] = tuple(value) if isinstance(value, tuple) else (value,)
    tiled = _TILES in tags
    width, height = head.width, head.height
    if tiled and is_planar:
        tile = tags[_TILE_HEIGHT][0]
        height = -(-height // tile) * tile * head.count
    elif is_planar:
        rows = min(tags.get(_ROWS, (height,))[0], height)
        if height % rows and rows < height:
            raise Unusable(f"TIFF of {head.count} bands in separate planes: save it interleaved")
        tags[_ROWS], height = (rows,), height * head.count
    elif tiled:
        across = tags[_TILE_WIDTH][0]
        width = -(-width // across) * across * head.count
        tags[_TILE_WIDTH] = (across * head.count,)
    else:
        width *= head.count
    tags |= {_WIDTH: (width,), _HEIGHT: (height,), _BITS: (head.bits,), _PHOTOMETRIC: (1,), SAMPLES: (1,)}
    opened = TiffImagePlugin.TiffImageFile(BytesIO(_with_tags(data, tags)))
    opened.load()
    kind = np.uint8 if head.bits == 8 else np.uint16
    return width, np.asarray(opened).astype(kind)


def _with_tags(data: bytes, tags: Mapping[int, tuple[int, ...]]) -> bytes:
    """The file with another directory, behind all that is in it."""
    order = "<" if data[:2] == b"II" else ">"
    place = len(data) + len(data) % 2
    room = place + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag in sorted(tags):
        packed = struct.pack(f"{order}{len(tags[tag])}L", *tags[tag])
        where = packed if len(packed) == 4 else struct.pack(f"{order}L", room + len(values))
        values += b"" if len(packed) == 4 else packed
        entries += struct.pack(f"{order}HHL", tag, _LONG, len(tags[tag])) + where
    head = data[:4] + struct.pack(f"{order}L", place)
    directory = struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + values
    return head + data[8:] + bytes(place - len(data)) + directory


def _summed(head: Bands, steps: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The samples of a file that holds the differences between neighbours, row by row, tile by tile."""
    across = int(head.tags.get(_TILE_WIDTH, head.width)) if _TILES in head.tags else head.width
    parts = [steps[:, left : left + across] for left in range(0, head.width, across)]
    return np.concatenate([np.cumsum(part, axis=1, dtype=steps.dtype) for part in parts], axis=1)
