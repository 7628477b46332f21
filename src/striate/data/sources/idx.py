"""IDX files, the format of MNIST: a magic number, the sizes, then the bytes; gzipped or not."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError

from ..sample import Dataset
from .array_labels import of_ids, refuse_untrained
from .images import ArrayImages
from .names import folder_name

MAX_BYTES = 8 << 30
_PARTS = {"train": "train", "test": "t10k"}
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_KNOWN_LABELS = {0x2ED6E46A: FASHION, 0x242BC73F: FASHION}  # of its train and its t10k labels


def matches(root: Path) -> bool:
    """Return whether a folder holds the images of an IDX set."""
    return any(_find(root, prefix, "images") is not None for prefix in _PARTS.values())


def read(root: Path, where: str, known: tuple[str, ...] | None = None) -> Dataset:
    """Return the dataset of a folder with `train-images...`, `train-labels...` and, if there, `t10k-...` files.

    Class names are the label numbers; those of Fashion-MNIST are known by the content of its label file.

    Args:
        known: the classes of a run that is to be evaluated on these images: `t10k-...` files alone will do.

    Raises:
        DataError: a file is missing, damaged, or does not fit the others.
    """
    images: list[npt.NDArray[np.uint8]] = []
    labels, splits, at = [], {}, 0
    for split, prefix in _PARTS.items():
        if (split == "test" or known is not None) and _find(root, prefix, "images") is None:
            continue
        pixels, classes = _pair(root, prefix)
        if images and pixels.shape[1:] != images[0].shape[1:]:
            sizes = [f"{shape[2]} x {shape[1]} pixels" for shape in (images[0].shape, pixels.shape)]
            what = f"images of {sizes[1]}, but those of {_find(root, 'train', 'images').name} have {sizes[0]}"  # type: ignore[union-attr]
            raise DataError(what, where=_find(root, prefix, "images"), fix="use the files of one set")
        images.append(pixels)
        labels.append(classes)
        splits[split] = np.arange(at, at + len(pixels), dtype=np.intp)
        at += len(pixels)
    values = np.concatenate(labels)
    names = _KNOWN_LABELS.get(zlib.crc32(labels[0].astype(np.uint8).tobytes()))
    target = of_ids(values, root, names)
    if known is None:
        refuse_untrained(target, splits, root)
    return Dataset(
        name=folder_name(root),
        where=where,
        images=ArrayImages(np.concatenate(images)[..., None]),
        ids=tuple(str(index) for index in range(at)),
        targets={"label": target},
        splits=splits if "test" in splits else {},
        channels=1,
        notes=("class names are those of Fashion-MNIST, known by its label file",) if names else (),
    )


def read_file(path: Path) -> npt.NDArray[np.generic]:
    """Return the array in one IDX file.

    Raises:
        DataError: it is not IDX, is cut short, or holds more than 8 GiB.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _TYPES:
                raise DataError("not an IDX file", where=path, fix="download it again")
            shape = tuple(int.from_bytes(file.read(4), "big") for _ in range(head[3]))
            dtype = np.dtype(_TYPES[head[2]])
            num_bytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
            if num_bytes > MAX_BYTES:
                raise DataError(f"IDX file claims {num_bytes:,} bytes", where=path, fix="download it again")
            data = file.read(num_bytes)  # never more: a small gzip file can hold terabytes of zeros
    except (OSError, EOFError, zlib.error) as problem:
        raise DataError(f"IDX file cannot be read ({problem})", where=path, fix="download it again") from problem
    if len(data) < num_bytes:
        raise DataError("IDX file is truncated", where=path, fix="download it again")
    return np.frombuffer(data, dtype).reshape(shape)


def _pair(root: Path, prefix: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    paths = [_find(root, prefix, kind) for kind in ("images", "labels")]
    if paths[0] is None or paths[1] is None:
        kind = "labels" if paths[1] is None else "images"
        raise DataError(f"no {prefix}-{kind} file beside the others", where=root, fix="download it as well")
    pixels, classes = read_file(paths[0]), read_file(paths[1])
    if 0 in pixels.shape:
        raise DataError(f"IDX images of shape {pixels.shape}", where=paths[0], fix="download it again")
    if classes.dtype.kind not in "iu":
        raise DataError(f"IDX labels are of type {classes.dtype}", where=paths[1], fix="use whole numbers")
    if pixels.ndim != 3 or pixels.dtype != np.uint8:
        raise DataError("IDX images are not (N, H, W) bytes", where=paths[0], fix="use the image file of the set")
    if classes.shape != (len(pixels),):
        what = f"{len(pixels):,} images but labels of shape {classes.shape}"
        raise DataError(what, where=paths[1], fix="use the label file of the same set")
    return np.ascontiguousarray(pixels), classes.astype(np.int64)


def _find(root: Path, prefix: str, kind: str) -> Path | None:
    number = 3 if kind == "images" else 1
    for stem in (f"{prefix}-{kind}-idx{number}-ubyte", f"{prefix}-{kind}.idx{number}-ubyte"):
        for name in (stem, f"{stem}.gz"):
            if (root / name).is_file():
                return root / name
    return None
