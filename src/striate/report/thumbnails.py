"""The thumbnails of a report: small JPEGs of the run folder as data URIs, without metadata, within a budget."""

import base64
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from striate.base.documents import read_json
from striate.base.errors import DamagedError, UserError
from striate.base.rundir import RunDir

Draw = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]
MAX_SIDE_PX = 192  # of an image that is shown as it is
MAX_IMAGES = 300
MAX_BYTES = 4_500_000  # base64 makes 6 MB of it; the page's cap is 8 MB
MAX_FILE_BYTES = 200_000


@dataclass(frozen=True)
class EmbeddedImage:
    """An image in the page: its data URI and size in pixels."""

    uri: Markup
    width: int
    height: int

    @property
    def is_tiny(self) -> bool:
        """Whether it must be enlarged so much that its pixels should stay sharp."""
        return max(self.width, self.height) <= 48


class ThumbnailStore:
    """Hands out thumbnails until the budget is spent; one that is shown twice counts twice."""

    def __init__(self, max_images: int = MAX_IMAGES, max_bytes: int = MAX_BYTES) -> None:
        self.max_images, self.max_bytes = max_images, max_bytes
        self.num_used, self.num_bytes, self.num_refused = 0, 0, 0
        self.num_reserved = 0  # kept back for what comes later on the page
        self._index: dict[RunDir, dict[str, str]] = {}

    def has(self, run: RunDir, split: str, id_: str) -> bool:
        """Return whether the run folder lists a thumbnail of this image."""
        return f"{split}/{id_}" in self._names(run)

    def take(self, run: RunDir, split: str, id_: str, draw: Draw | None = None) -> EmbeddedImage | None:
        """Return the thumbnail of an image; None when there is none or the budget is spent.

        Args:
            draw: makes what is shown of the thumbnail's pixels (H, W, 3).
        """
        name = self._names(run).get(f"{split}/{id_}")
        if name is None:
            return None
        if self._is_spent():
            return None
        content = _read(run, name)
        if content is None:
            return None
        if draw:
            content = _drawn(content, draw)
        return self._embedded(content, "jpeg", jpeg_size(content))

    def add(self, labels: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8]) -> EmbeddedImage | None:
        """Return a map (H, W) drawn in the colours (256, 3) of its values; None when the budget is spent."""
        if self._is_spent():
            return None
        content = _palette_png(labels, palette)
        return self._embedded(content, "png", (labels.shape[1], labels.shape[0]))

    def read(self, run: RunDir, split: str, id_: str) -> npt.NDArray[np.uint8] | None:
        """Return the pixels (H, W, 3) of a thumbnail, which is not shown by that; None when there is none."""
        from PIL import Image

        name = self._names(run).get(f"{split}/{id_}")
        content = None if name is None else _read(run, name)
        if content is None:
            return None
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB"))

    def take_file(self, run: RunDir, name: str) -> EmbeddedImage | None:
        """Return a JPEG among the thumbnails by its name; None when there is none or the budget is spent."""
        if not (run.pictures / name).is_file() or self._is_spent():
            return None
        content = _read(run, name)
        return None if content is None else self._embedded(content, "jpeg", jpeg_size(content))

    def add_image(self, pixels: npt.NDArray[np.uint8], max_px: int = MAX_SIDE_PX) -> EmbeddedImage | None:
        """Return an image (H, W) or (H, W, 3), at most `max_px` a side; None when the budget is spent."""
        from PIL import Image

        if self._is_spent():
            return None
        image, content = Image.fromarray(pixels), io.BytesIO()
        image.thumbnail((max_px, max_px))
        image.save(content, "PNG")
        return self._embedded(content.getvalue(), "png", image.size)

    def _is_spent(self) -> bool:
        is_spent = self.num_used >= self.max_images - self.num_reserved or self.num_bytes >= self.max_bytes
        self.num_refused += is_spent
        return is_spent

    def _embedded(self, content: bytes, kind: str, size: tuple[int, int]) -> EmbeddedImage:
        self.num_used += 1
        self.num_bytes += len(content)
        return EmbeddedImage(_data_uri(content, kind), *size)

    def _names(self, run: RunDir) -> dict[str, str]:
        if run not in self._index:
            try:
                index: Any = read_json(run.checked("pictures/index.json"), "thumbnail index", dict)
            except DamagedError:
                raise
            except UserError:
                index = {}
            self._index[run] = index
        return self._index[run]


def _read(run: RunDir, name: object) -> bytes | None:
    """Return a thumbnail's bytes if it is a plain file name inside the folder and a JPEG of sane size."""
    if not isinstance(name, str) or name in {"", ".", ".."} or any(sign in name for sign in "/\\:\0"):
        return None
    path = run.pictures / name
    try:
        if path.is_symlink() or path.stat().st_size > MAX_FILE_BYTES:
            return None
        content = without_metadata(run.checked(f"pictures/{name}").read_bytes())
        jpeg_size(content)  # raises when there is no frame to show
        return content
    except (OSError, ValueError):
        return None


def _drawn(jpeg: bytes, draw: Draw) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(jpeg)) as image:
        pixels = draw(np.asarray(image.convert("RGB")))
    buffer, drawn = io.BytesIO(), Image.fromarray(np.asarray(pixels, dtype=np.uint8))
    drawn.save(buffer, "JPEG", quality=90, subsampling=0)  # a single pixel keeps its colour
    return buffer.getvalue()


def _palette_png(labels: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8]) -> bytes:
    from PIL import Image

    image, buffer = Image.fromarray(labels, "P"), io.BytesIO()
    image.putpalette(palette[: int(labels.max(initial=0)) + 1].tobytes())
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _data_uri(content: bytes, kind: str) -> Markup:
    return Markup(f"data:image/{kind};base64," + base64.b64encode(content).decode("ascii"))


def without_metadata(jpeg: bytes) -> bytes:
    """Return a JPEG without EXIF, comments and other application data (the Adobe colour marker stays).

    Raises:
        ValueError: these bytes are not a JPEG.
    """
    kept = [b"\xff\xd8"]
    for marker, segment in _segments(jpeg):
        is_metadata = marker == 0xFE or (0xE1 <= marker <= 0xEF and marker != 0xEE)
        if not is_metadata:
            kept.append(segment)
    return b"".join(kept)


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """Return (width, height) in pixels from the frame header.

    Raises:
        ValueError: these bytes are not a JPEG.
    """
    for marker, segment in _segments(jpeg):
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC} and len(segment) >= 9:
            return int.from_bytes(segment[7:9], "big"), int.from_bytes(segment[5:7], "big")
    raise ValueError("a JPEG without a frame")


def _segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, bytes) of each segment; the scan and all after it come as one."""
    if jpeg[:3] != b"\xff\xd8\xff":
        raise ValueError("not a JPEG")
    position = 2
    while position + 4 <= len(jpeg):
        marker = jpeg[position + 1]
        if jpeg[position] != 0xFF:
            raise ValueError("not a JPEG")
        if marker == 0xDA:
            end = jpeg.rfind(b"\xff\xd9")
            yield marker, jpeg[position : end + 2 if end > position else None]
            return
        length = int.from_bytes(jpeg[position + 2 : position + 4], "big")
        if length < 2:
            raise ValueError("not a JPEG")
        yield marker, jpeg[position : position + 2 + length]
        position += 2 + length
    raise ValueError("a JPEG that is cut short")
