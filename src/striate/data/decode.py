"""The one door through which image files come in: full load, upright, eight bits, one or three channels.

Pillow reads; the pixels of a JPEG come from simplejpeg, which also tells what the decoder complains of.
"""

import io
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from striate.base.errors import DataError

from . import decode_heif
from .bands import in_depth
from .checksums import broken
from .decode_bands import Bands, exact, open_tiff
from .decode_deep import SAMPLES
from .decode_jpeg import flawless, listen, missing_rows
from .decode_netpbm import open_netpbm
from .decode_reason import reason_of
from .format import Unusable, expected_format, sniff
from .jpeg_stream import silent_damage
from .levels import FULL, Levels
from .raster import Samples, on_white
from .sample import ImageU8
from .upright import orientation, upright

VERSION = 3  # part of every cache key: raise it when a decoded pixel changes
MAX_PIXELS = 100_000_000
MAX_FILE_BYTES = 1 << 30
STRIP_PIXELS = 1 << 22
FIX_DOUBTFUL = "look at it, and replace or remove it if it is damaged"

# Plugin classes are called directly: `Image.open` would try every parser it has, and warn of large images
# through a global limit. JpegImageFile reads the first image of a stereo (MPO) file.
_READERS: dict[str, Any] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": open_tiff,
    "netpbm": open_netpbm,
    decode_heif.NAME: decode_heif.open_heif,
}
NO_IMAGE = "no image"
OTHER_IMAGES = {"PSD", "FITS", "JPEG 2000", "JPEG XL", "PAM", "DICOM", "OpenEXR"}  # known, and not read
_GREY_MODES = {"1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N"}
_COLOUR_MODES = {"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"}


@dataclass(frozen=True)
class Probe:
    """What one full decode said of a file; `problem` is empty when it can be used.

    `complaint` is what the decoder says of pixels that it read all the same: they may be damaged. `used` are the
    lowest and the highest level of an image with 16 bits. `bands` are those in the file of a TIFF, by their names.
    """

    format: str = ""
    mode: str = ""
    size_hw: tuple[int, int] = (0, 0)
    frames: int = 1
    orientation: int = 1
    problem: str = ""
    complaint: str = ""
    used: Levels | None = None
    bands: int = 0
    band_names: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """1 for grey images, as many as there are bands, 3 for all others."""
        number, _, rest = self.mode.partition(" ")
        return int(number) if rest == "bands" else 1 if self.mode in _GREY_MODES else 3


def decode(
    path: Path,
    *,
    channels: int | None = None,
    short_side_px: int | None = None,
    max_pixels: int = MAX_PIXELS,
    levels: Levels = FULL,
) -> ImageU8:
    """Return the image in a file as (H, W, C) uint8, upright by its EXIF orientation.

    JPEG, PNG, WebP, GIF, BMP, TIFF and PBM, PGM, PPM, recognised by content; first frame or page. Transparent pixels
    lie on white at every depth; palettes, CMYK and YCbCr become RGB; 1-bit becomes 0 and 255; 16 bits are scaled to 8
    and rounded. 32-bit integer and floating-point images have no fixed range and are refused.

    Args:
        channels: 1 (grey, ITU-R 601), 3 (RGB), or None for what the file has.
        short_side_px: a JPEG may be decoded at 1/2, 1/4 or 1/8 size as long as its shorter side stays this long.
        max_pixels: larger images are refused before any of their pixels is decoded.
        levels: of 16 bits, those that become 0 and 255; by default the whole range.

    Raises:
        DataError: the file is unreadable, damaged or of a format that is not read; the message names it.
    """
    return decode_heard(
        read_bytes(path),
        name=str(path),
        channels=channels,
        short_side_px=short_side_px,
        max_pixels=max_pixels,
        levels=levels,
    )[0]


def decode_bytes(
    data: bytes,
    *,
    name: str,
    channels: int | None = None,
    short_side_px: int | None = None,
    max_pixels: int = MAX_PIXELS,
    levels: Levels = FULL,
) -> ImageU8:
    """Return the image in `data` like `decode`; `name` is for the message, its extension for the format rule."""
    return decode_heard(
        data, name=name, channels=channels, short_side_px=short_side_px, max_pixels=max_pixels, levels=levels
    )[0]


def decode_heard(
    data: bytes,
    *,
    name: str,
    channels: int | None = None,
    short_side_px: int | None = None,
    max_pixels: int = MAX_PIXELS,
    levels: Levels = FULL,
) -> tuple[ImageU8, str]:
    """Return the image in `data` like `decode_bytes`, and what speaks for damage ("" for nothing)."""
    pixels, complaint = decode_samples(
        data, 8, name=name, channels=channels, short_side_px=short_side_px, max_pixels=max_pixels, levels=levels
    )
    return pixels.astype(np.uint8, copy=False), complaint


def decode_samples(
    data: bytes,
    depth: int,
    *,
    name: str,
    channels: int | None = None,
    short_side_px: int | None = None,
    max_pixels: int = MAX_PIXELS,
    levels: Levels = FULL,
) -> tuple[Samples, str]:
    """Return the image in `data` like `decode_heard`: uint8, or uint16 with all its bits, by a depth of 8 or 16."""
    try:
        return _heard(data, name, channels, short_side_px, max_pixels, levels, depth)[:2]
    except Unusable as problem:
        raise DataError(str(problem), where=name, fix="replace or remove this file") from problem


def _heard(
    data: bytes, name: str, channels: int | None, short_side_px: int | None, max_pixels: int, levels: Levels, depth: int
) -> tuple[Samples, str, Levels | None]:
    """The pixels, what speaks for damage, and which levels of 16 bits are used."""
    try:
        pixels = flawless(data, channels, short_side_px, max_pixels)
        if pixels is not None:
            return in_depth(pixels, depth), silent_damage(data), None
        return _pixels(_open_whole(data, name, max_pixels), data, channels, short_side_px, levels, depth)
    except (Unusable, MemoryError):
        raise
    except Exception as problem:  # in a thread nobody would know which file it was
        raise Unusable(f"the decoder failed ({type(problem).__name__}: {reason_of(problem)})") from problem


def examine(
    data: bytes,
    *,
    name: str,
    channels: int | None = None,
    short_side_px: int | None = None,
    max_pixels: int = MAX_PIXELS,
    levels: Levels = FULL,
) -> tuple[Probe, ImageU8 | None]:
    """Return what a full decode says of a file's content, and the image (None when it cannot be used).

    The image is decoded as `decode_heard` does it, before anything else is read of the file: to count the frames of
    some damaged files changes what is read afterwards.
    """
    probe = Probe()
    try:
        probe = _describe(_open(io.BytesIO(data), name, max_pixels))
        pixels, complaint, used = _heard(data, name, channels, short_side_px, max_pixels, levels, 8)
        return replace(probe, complaint=complaint, used=used), pixels.astype(np.uint8, copy=False)
    except Unusable as problem:
        return replace(probe, problem=str(problem)), None


def header(path: Path) -> Probe:
    """Return what the first bytes of a file say, without decoding it."""
    try:
        _check_regular(path)
        with path.open("rb") as file:
            return _describe(_open(file, path.name, MAX_PIXELS))
    except OSError as problem:
        return Probe(problem=f"file cannot be read ({problem.strerror or problem})")
    except (Unusable, DataError) as problem:
        return Probe(problem=getattr(problem, "what", str(problem)))


def read_bytes(path: Path) -> bytes:
    """Return the content of an image file.

    Raises:
        DataError: it is not a regular file, cannot be read, or is larger than 1 GiB.
    """
    try:
        _check_regular(path)
        return path.read_bytes()
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise DataError(f"file cannot be read ({reason})", where=path, fix="check its permissions") from problem


def _check_regular(path: Path) -> None:
    if not path.is_file():  # also keeps pipes and devices from being opened: reading one may never end
        if not path.exists():
            raise DataError("file is missing", where=path, fix="check the path, or restore the file")
        what = "is a folder, not a file" if path.is_dir() else "not a regular file"
        raise DataError(what, where=path, fix="remove it")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise DataError("file is larger than 1 GiB", where=path, fix="replace or remove this file")


def _open_whole(data: bytes, name: str, max_pixels: int) -> Any:
    opened = _open(io.BytesIO(data), name, max_pixels)
    problem = broken(_format_name(opened), opened, data)
    if problem:
        raise Unusable(problem)
    return opened


def _open(file: BinaryIO, name: str, max_pixels: int) -> Any:
    _quieten()
    head = file.read(512)
    file.seek(0)
    found = sniff(head)
    _check_format(head, found, Path(name).suffix)
    try:
        opened = _READERS[found](file)
    except Unusable:
        raise
    except Exception as problem:  # Pillow's parsers raise whatever a hostile header leads them to
        raise Unusable(f"not a readable {found} file ({reason_of(problem)})") from problem
    num_pixels = opened.width * opened.height
    if num_pixels > max_pixels:
        size = f"{opened.width:,} x {opened.height:,} pixels"
        raise Unusable(f"image is too large: {size}, at most {max_pixels:,} pixels are read")
    return opened


def refusal(head: bytes, suffix: str) -> str:
    """Return why a file that begins so is not read: "" for one that is, else its format, or "no image"."""
    found = sniff(head)
    if found == decode_heif.NAME:
        return "" if decode_heif.can_read(head) else decode_heif.kind_of(head)
    if found in OTHER_IMAGES:
        return found
    try:
        _check_format(head, found, suffix)
    except Unusable:
        return f"{found} behind {suffix}" if found == "TIFF" else NO_IMAGE
    return ""


def _check_format(head: bytes, found: str, suffix: str) -> None:
    if not head:
        raise Unusable("file is empty")
    if found not in _READERS:
        if re.match(r"an? |XML|JSON", found):
            raise Unusable(f"not an image but {found}")
        raise Unusable(f"format not allowed: {found}" if found else "not an image: its content is of no known format")
    # TIFF is a family of containers with many codecs, and a text may begin like netpbm
    if found in {"TIFF", "netpbm"} and suffix and expected_format(f"x{suffix}") != found:
        raise Unusable(f"format not allowed: {found} behind {suffix}")


def _describe(opened: Any) -> Probe:
    try:
        frames = int(getattr(opened, "n_frames", 1))
    except Exception:  # a damaged later frame says nothing of the first, the one that is used
        frames = 1
    return Probe(
        format=_format_name(opened),
        mode=opened.mode,
        size_hw=(opened.height, opened.width),
        frames=frames,
        orientation=orientation(opened),
        bands=int(opened.tag_v2.get(SAMPLES, 1)) if opened.format == "TIFF" else 0,
        band_names=getattr(opened, "names", ()),
    )


def _pixels(
    opened: Any, data: bytes, channels: int | None, short_side_px: int | None, levels: Levels, depth: int
) -> tuple[Samples, str, Levels | None]:
    """The upright pixels, the complaint about them, and which levels of 16 bits are used."""
    if opened.mode not in _GREY_MODES | _COLOUR_MODES and not isinstance(opened, Bands):
        kind = {"I": "32-bit integer", "F": "floating-point"}.get(opened.mode, f"{opened.mode}-mode")
        raise Unusable(f"{kind} images have no fixed range: save it with 8 or 16 bits")
    wanted = channels or Probe(mode=opened.mode).channels
    stored, complaint = _listened(opened, data, short_side_px)
    try:
        raster = exact(opened, data, levels, wanted)
        if raster is not None:
            pixels, used = raster.at_depth(depth, wanted, levels), raster.used
        else:
            image = _loaded(opened, short_side_px) if stored is None else stored
            pixels, used = in_depth(_convert(image, wanted), depth), None
        # a TIFF is turned by Pillow as it loads, and its tag is gone by then
        turned = upright(pixels, orientation(opened))
    except (Unusable, MemoryError):  # that memory ran out says nothing of the file
        raise
    except Exception as problem:
        raise Unusable(f"damaged: {reason_of(problem)}") from problem
    return np.ascontiguousarray(turned), complaint, used


def _listened(opened: Any, data: bytes, short_side_px: int | None) -> tuple[Image.Image | None, str]:
    """The image of a JPEG as simplejpeg reads it, None where Pillow must, and the complaint about its pixels."""
    if opened.format != "JPEG":
        return None, ""
    pixels, complaint = listen(data, short_side_px)
    lost = missing_rows(data, complaint) if complaint else ""
    if lost:
        raise Unusable(f"damaged: {lost} ({complaint})")
    if pixels is None:
        return None, complaint or silent_damage(data)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), silent_damage(data)


def _loaded(opened: Image.Image, short_side_px: int | None) -> Image.Image:
    if short_side_px:
        opened.draft("", (short_side_px, short_side_px))
    opened.load()  # never verify(): it accepts half a JPEG
    if opened.format == "BMP" and opened.mode == "RGBA" and opened.getchannel("A").getextrema() == (0, 0):
        return opened.convert("RGB")  # its fourth byte means nothing
    return opened


def _convert(image: Image.Image, channels: int) -> ImageU8:
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"))
        image = Image.fromarray(on_white(rgba[..., :3], rgba[..., 3]))
    mode = "L" if channels == 1 else "RGB"
    pixels = _array(image if image.mode == mode else image.convert(mode))
    return pixels[..., None] if channels == 1 else pixels


def _array(image: Image.Image) -> ImageU8:
    """The pixels of an 8-bit image; of a large one strip by strip, since Pillow copies what it gives twice."""
    wide, high = image.size
    if wide * high <= STRIP_PIXELS:
        return np.asarray(image)
    pixels = np.empty((high, wide, *((3,) if image.mode == "RGB" else ())), np.uint8)
    step = max(1, STRIP_PIXELS // wide)
    for top in range(0, high, step):
        pixels[top : top + step] = np.asarray(image.crop((0, top, wide, min(high, top + step))))
    return pixels


def _format_name(image: Any) -> str:
    return {"WEBP": "WebP"}.get(image.format or "", image.format or "")


def _quieten() -> None:
    """Damaged metadata makes Pillow warn on stderr; what matters of it is said by the check."""
    if ("ignore", None, Warning, _PILLOW, 0) not in warnings.filters:
        warnings.filterwarnings("ignore", module=_PILLOW.pattern)


_PILLOW = re.compile(r"PIL\.")
