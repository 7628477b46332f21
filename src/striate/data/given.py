"""Images that a program gives: files, arrays, tensors and Pillow images come in by one door."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from striate.base.errors import DataError

from .bands import in_depth
from .raster import Samples
from .sources.arrays import to_uint8

if TYPE_CHECKING:
    import torch

    Given = Path | str | npt.NDArray[Any] | torch.Tensor | Image.Image

PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}
KINDS = "a path, an array (H, W, C), a tensor (C, H, W) or a Pillow image"


def images_of(given: "Given | Iterable[Given]") -> "Iterable[Given]":
    """Return the images one by one: one image is a list of one, an array or tensor of four dimensions a batch.

    Raises:
        DataError: it is neither an image nor a sequence of them.

    Example:
        >>> len(list(images_of(np.zeros((16, 16, 3))))), len(list(images_of(np.zeros((5, 16, 16, 3)))))
        (1, 5)
    """
    if isinstance(given, str | Path | Image.Image) or getattr(given, "ndim", 0) in {2, 3}:
        return [given]  # type: ignore[list-item]
    if not isinstance(given, Iterable) or getattr(given, "ndim", 1) == 0:
        raise DataError(f"{type(given).__name__} is no image", where="images", fix=f"give {KINDS}, or a list")
    return given


def png_of(image: Image.Image, name: str) -> bytes:
    """Return a Pillow image as the content of a PNG file, so that it is read by the rules for files; nothing is lost.

    Raises:
        DataError: its mode has no fixed range, or the file it comes from cannot be read.
    """
    if image.mode in {"I", "F"}:
        what = f"a Pillow image of mode {image.mode} has no fixed range"
        raise DataError(what, where=name, fix="convert it to mode RGB or L")
    content = io.BytesIO()
    try:
        shown = image if image.mode in PNG_MODES else image.convert("RGB")
        shown.save(content, "PNG", compress_level=0, exif=image.getexif())
    except (OSError, ValueError, SyntaxError) as problem:  # what Pillow raises of a broken file
        raise DataError(f"cannot be read ({str(problem)[:80]})", where=name, fix="replace this image") from problem
    return content.getvalue()


def pixels_of(given: "npt.NDArray[Any] | torch.Tensor", name: str, channels: int = 3, depth: int = 8) -> Samples:
    """Return an array or tensor as (H, W, C) uint8, or uint16 for a depth of 16, as a dataset is read.

    Arrays are (H, W) or (H, W, C) with C = 1, 3 or `channels`, of uint8, uint16, bool or numbers in 0..1; tensors may
    have their channels first; `name` is for messages.

    Raises:
        DataError: it is no image, or its values have no known range; the message says what came.
    """
    known = {1, 3, channels}
    if hasattr(given, "detach"):
        pixels = given.detach().cpu().numpy()
        if pixels.ndim == 3 and pixels.shape[0] in known and pixels.shape[2] not in known:
            pixels = pixels.transpose(1, 2, 0)
    elif isinstance(given, np.ndarray):
        pixels = given
    else:
        raise DataError(f"{type(given).__name__} is no image", where=name, fix=f"give {KINDS}")
    shape = "x".join(map(str, pixels.shape))
    if pixels.ndim == 3 and pixels.shape[2] == 4 and channels != 4:
        raise DataError(f"an array of 4 channels ({shape})", where=name, fix="leave its alpha out: image[..., :3]")
    if pixels.ndim == 3 and pixels.shape[0] in known and pixels.shape[2] not in known:
        raise DataError(f"an array with its channels first ({shape})", where=name, fix="image.transpose(1, 2, 0)")
    if pixels.ndim not in {2, 3} or (pixels.ndim == 3 and pixels.shape[2] not in known) or not pixels.size:
        raise DataError(
            f"an array of shape {shape} is no image", where=name, fix=f"give (H, W), (H, W, 1) or (H, W, {channels})"
        )
    whole = pixels.reshape(1, *pixels.shape[:2], -1)
    if depth == 16 and pixels.dtype == np.uint16:
        return np.asarray(whole[0].astype(np.uint16))
    return in_depth(to_uint8(whole, name)[0], depth)
