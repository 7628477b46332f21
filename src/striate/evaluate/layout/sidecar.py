"""Files beside predictions.csv for what a row cannot hold: `predictions/SPLIT/NUMBER.png`, `predictions/SPLIT.npz`.

Of maps of classes the true ones lie there too, as `NUMBER-truth.png`, so that a report needs no dataset: at 128 px they
take half a kilobyte each. Those of volumes are `.npz` files, of 3 kB at 48 x 64 x 48.
"""

import hashlib
import io
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from striate.base.errors import ModelError
from striate.base.files import write_bytes, write_files
from striate.base.sums import checked

FOLDER = "predictions"
OFFSETS = "offsets"  # of the images in an array of objects; no array of objects is called so
MAX_COLOURS = 4  # of an image (H, W, C) of whole numbers
AGAIN = "restore it from a copy, or evaluate the run again"
Array = npt.NDArray[Any]


class Sidecar:
    """The files of one split, written batch by batch while it is evaluated; those of an earlier evaluation are gone.

    Args:
        folder: of predictions.csv.
    """

    def __init__(self, folder: Path, split: str) -> None:
        self.folder, self.split, self.num_images, self.num_bytes = folder, split, 0, 0
        self.objects: list[Mapping[str, Array]] = []
        shutil.rmtree(folder / FOLDER / split, ignore_errors=True)
        (folder / FOLDER / f"{split}.npz").unlink(missing_ok=True)

    def add_maps(self, maps: Array, truth: Array | None = None) -> list[str]:
        """Write the maps (N, ...) of a batch, and return their names, relative to the folder.

        Args:
            truth: the true ones, written beside where they are maps of classes.

        Raises:
            ResourceError: the disk is full or the folder cannot be written.
        """
        names, files = [], {}
        for number, values in enumerate(maps, self.num_images):
            suffix, content = _encoded(values)
            names.append(f"{FOLDER}/{self.split}/{number:06d}.{suffix}")
            files[self.folder / names[-1]] = content
        for name, values in zip(names, () if truth is None else truth, strict=truth is not None):
            if _is_classes(np.asarray(values)):
                files[self.folder / true_name(name)] = _encoded(np.asarray(values))[1]
        self.num_images += len(maps)
        self.num_bytes += sum(map(len, files.values()))
        write_files(files)
        return names

    def add_objects(self, objects: Sequence[Mapping[str, Array]]) -> None:
        """Keep the objects of a batch, for each image arrays whose first dimension is the object."""
        self.objects += objects

    def close(self) -> None:
        """Write the objects of all images as one file: their arrays one after the other, and where each image begins.

        Raises:
            ResourceError: the disk is full or the folder cannot be written.
        """
        if not self.objects:
            return
        counts = [len(next(iter(one.values()))) for one in self.objects]
        arrays = {name: np.concatenate([one[name] for one in self.objects]) for name in self.objects[0]}
        content = _npz({**arrays, OFFSETS: np.cumsum([0, *counts])})
        write_bytes(self.folder / FOLDER / f"{self.split}.npz", content)


def true_name(name: str) -> str:
    """Return the name of the true map that lies beside a predicted one.

    Example:
        >>> true_name("predictions/test/000007.png")
        'predictions/test/000007-truth.png'
    """
    stem, _, suffix = name.rpartition(".")
    return f"{stem}-truth.{suffix}"


def read_map(folder: Path, name: str) -> Array:
    """Return a map that a sidecar wrote under this name.

    Raises:
        DamagedError: the file was damaged or is missing.
        ModelError: it cannot be read, or the name leads out of the folder.
    """
    path = _inside(folder, name)
    try:
        if path.suffix == ".npz":
            return _arrays(path)["values"]
        with Image.open(path) as image:
            return np.array(image)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, Image.DecompressionBombError) as problem:
        raise ModelError(f"a map of a prediction cannot be read ({problem})", where=path, fix=AGAIN) from problem


def read_objects(folder: Path, split: str) -> list[dict[str, Array]]:
    """Return the objects of each image of a split, as they were added.

    Raises:
        DamagedError: the file was damaged or is missing.
        ModelError: it cannot be read.
    """
    path = _inside(folder, f"{FOLDER}/{split}.npz")
    try:
        arrays = _arrays(path)
        offsets = arrays.pop(OFFSETS)
        if offsets[0] != 0 or (np.diff(offsets) < 0).any() or any(len(one) != offsets[-1] for one in arrays.values()):
            raise ValueError("its counts do not fit")
    except (OSError, EOFError, ValueError, KeyError, IndexError, zipfile.BadZipFile) as problem:
        raise ModelError(f"predicted objects cannot be read ({problem})", where=path, fix=AGAIN) from problem
    return [{name: values[start:end] for name, values in arrays.items()} for start, end in pairwise(offsets)]


def digest(values: Any) -> str:
    """Return a short hash of an array, or of a mapping of arrays: equal where, and only where, they are equal."""
    known = hashlib.sha256()
    for name, array in sorted(values.items()) if isinstance(values, Mapping) else [("", values)]:
        array = np.ascontiguousarray(array)
        known.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        known.update(array.data)
    return known.hexdigest()[:16]


def _inside(folder: Path, name: str) -> Path:
    parts = Path(name).parts
    if len(parts) < 2 or parts[0] != FOLDER or ".." in parts:
        raise ModelError("a prediction names a file of another folder", where=folder / "predictions.csv", fix=AGAIN)
    return checked(folder, name)


def _encoded(values: Array) -> tuple[str, bytes]:
    """A map of classes as a grey PNG of 8 or 16 bits, RGB as one in colour; anything else as numbers of its type."""
    if values.dtype == np.uint8 and values.ndim == 3 and values.shape[2] == 3:
        return "png", _png(values)
    if not _is_classes(values) or values.ndim == 3:
        return "npz", _npz({"values": values})
    return "png", _png(values.astype(np.uint8 if values.max() < 256 else np.uint16))


def _png(values: Array) -> bytes:
    content = io.BytesIO()
    Image.fromarray(values).save(content, "PNG")
    return content.getvalue()


def _is_classes(values: Array) -> bool:
    is_map = values.ndim == 2 or (values.ndim == 3 and values.shape[2] > MAX_COLOURS)  # (D, H, W)
    is_index = np.issubdtype(values.dtype, np.integer) and is_map and values.size > 0
    return is_index and bool(values.min() >= 0 and values.max() <= 65535)


def _npz(arrays: Mapping[str, Array]) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    return content.getvalue()


def _arrays(path: Path) -> dict[str, Array]:
    with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
        return dict(file)
