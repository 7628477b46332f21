"""The images that the page offers: those of a run, drawn patterns, and what was dropped on it; by id, never by path."""

import hashlib
import io
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image

from striate.base.documents import read_json
from striate.base.errors import DataError, UserError
from striate.base.files import new_file
from striate.base.rundir import RunDir
from striate.predict.upload import checked
from striate.web.guard import NotKnown

MAX_UPLOADS = 64
MAX_PIXELS = 50_000_000
THUMBNAIL_PX = 96
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}


def id_of(*words: str) -> str:
    """Return an id that is the same in every session.

    Example:
        >>> id_of("test", "cats/1.jpg") == id_of("test", "cats/1.jpg")
        True
    """
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Entry:
    """An image: its id, how it is called, where it belongs, and its file."""

    id: str
    title: str
    group: str
    path: Path
    image_id: str = ""  # in the run's tables
    is_copy: bool = False  # the small JPEG that the run keeps, since the dataset's own file is not here

    def content(self) -> bytes:
        """Return the bytes of its file.

        Raises:
            DataError: the file has gone.
        """
        try:
            return self.path.read_bytes()
        except OSError as problem:
            fix = "choose another image, or drop it on the page again"
            raise DataError("the file of this image has gone", where=self.title, fix=fix) from problem

    def to_json(self) -> dict[str, Any]:
        """Return what the page knows of it."""
        return {
            "id": self.id,
            "title": self.title,
            "group": self.group,
            "image_id": self.image_id,
            "is_copy": self.is_copy,
        }


class Shelf:
    """All images by id."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="striate-explore-")
        self._lock = Lock()
        self._entries: dict[str, Entry] = {}
        self._uploads: OrderedDict[str, Entry] = OrderedDict()
        self._thumbnails: OrderedDict[str, bytes] = OrderedDict()
        self.patterns = [self._pattern(name, pixels) for name, pixels in _patterns()]

    def close(self) -> None:
        """Remove what was dropped on the page."""
        self._folder.cleanup()

    def of_run(self, run: RunDir) -> list[Entry]:
        """Return the images of a run: those it keeps small, from the dataset itself where that is still there."""
        try:
            index = read_json(run.checked("pictures/index.json"), "thumbnail index", dict)
            data = run.info()["dataset"]
        except UserError:
            return []
        root, has_copies = (
            data.get("path"),
            data.get("form", "image") == "image",
        )  # of others the dataset itself is read
        found = [entry for key, name in index.items() if (entry := _of_run(run, str(key), name, root))]
        if not has_copies:
            found = [replace(entry, is_copy=False) for entry in found]
        with self._lock:
            self._entries.update((entry.id, entry) for entry in found)
        return found

    @property
    def uploads(self) -> list[Entry]:
        """What was dropped on the page, the newest first."""
        with self._lock:
            return [*self._uploads.values()][::-1]

    def add(self, content: bytes, title: str) -> Entry:
        """Keep an image that was dropped on the page.

        Raises:
            DataError: it cannot be read.
        """
        checked(content, name=title, max_pixels=MAX_PIXELS)
        suffix = Path(title).suffix.lower()
        id_ = "u" + hashlib.sha256(content).hexdigest()[:11]
        path = Path(self._folder.name) / f"{id_}{suffix if suffix in SUFFIXES else ''}"
        with self._lock:
            if not path.exists():
                new_file(path, content)
            entry = self._uploads[id_] = Entry(id_, title[:120], "yours", path)
            while len(self._uploads) > MAX_UPLOADS:
                _, old = self._uploads.popitem(last=False)
                old.path.unlink(missing_ok=True)
        return entry

    def find(self, id_: str) -> Entry:
        """Return an image by id.

        Raises:
            NotKnown: there is none.
        """
        with self._lock:
            entry = self._entries.get(id_) or self._uploads.get(id_)
        if entry is None:
            raise NotKnown("no such image here", fix="choose another image, or drop it on the page again")
        return entry

    def thumbnail(self, id_: str, side_px: int = THUMBNAIL_PX) -> bytes:
        """Return a small PNG of an image, without the file's metadata."""
        key = f"{id_}/{side_px}"
        if key not in self._thumbnails:
            entry = self.find(id_)
            pixels = checked(entry.content(), name=entry.title, max_pixels=MAX_PIXELS, short_side_px=side_px)
            image, content = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), io.BytesIO()
            image.thumbnail((side_px, side_px))
            image.save(content, "PNG")
            self._thumbnails[key] = content.getvalue()
            while len(self._thumbnails) > 512:
                self._thumbnails.popitem(last=False)
        return self._thumbnails[key]

    def _pattern(self, name: str, pixels: "np.ndarray[Any, np.dtype[np.uint8]]") -> Entry:
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "PNG")
        path = Path(self._folder.name) / f"{name}.png"
        new_file(path, content.getvalue())
        entry = self._entries[name] = Entry(name, name, "patterns", path)
        return entry


def _of_run(run: RunDir, key: str, name: object, root: str | None) -> Entry | None:
    """The image `split/id` of a run; None where its file is not a plain one in the folder."""
    if not isinstance(name, str) or name in {"", ".", ".."} or any(sign in name for sign in "/\\:\0"):
        return None
    split, _, id_ = key.partition("/")
    own = _inside(root, id_)
    path = own or run.pictures / name
    entry = Entry(id_of(split, id_), id_, split, path, id_, is_copy=own is None)
    return entry if path.is_file() and not path.is_symlink() else None


def _inside(root: str | None, id_: str) -> Path | None:
    """The dataset's own file of an id, where it is there and below the dataset's folder."""
    if not root or not id_ or "\0" in id_:
        return None
    folder = Path(root).resolve()
    path = (folder / id_).resolve()
    return path if path.is_file() and path.is_relative_to(folder) and path.suffix.lower() in SUFFIXES else None


def _patterns() -> "Iterator[tuple[str, np.ndarray[Any, np.dtype[np.uint8]]]]":
    """Images that need no dataset: (name, pixels (128, 128, 3))."""
    side = 128
    y, x = np.mgrid[:side, :side].astype(np.float64)
    far = np.hypot(y - 63.5, x - 63.5)
    angle = np.arctan2(y - 63.5, x - 63.5)
    yield "rings", _levels(np.stack([np.sin(far / 4), np.sin(far / 4 + 1), np.sin(far / 4 + 2)], -1))
    yield "spokes", _levels(np.stack([np.sin(12 * angle)] * 3, -1))
    yield "stripes", _levels(np.stack([np.sin((x + 2 * y) / 5), np.sin((2 * x - y) / 7), np.cos(x / 9)], -1))
    yield "squares", _levels(np.stack([np.sign(np.sin(x / 8) * np.sin(y / 8))] * 3, -1))
    yield "gradient", _levels(np.stack([x / 64 - 1, y / 64 - 1, 1 - (x + y) / 128], -1))
    yield "dot", _levels(np.stack([np.where(far < 2, 1.0, -1.0)] * 3, -1))
    yield "noise", np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)


def _levels(values: "np.ndarray[Any, np.dtype[np.float64]]") -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """-1..1 as levels."""
    return np.rint((values + 1) * 127.5).clip(0, 255).astype(np.uint8)
