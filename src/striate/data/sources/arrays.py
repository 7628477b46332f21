"""Arrays: `.npz` files without pickle, and arrays of a program."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError

from ..levels import FULL, Levels, to_eight
from ..sample import SPLITS, Dataset, Target
from .images import ArrayImages
from .names import class_list

Array = npt.NDArray[np.generic]
# How the common .npz files name their images and labels; {} is the split, absent where there is one pool.
KEYS = (("x_{}", "y_{}"), ("{}_images", "{}_labels"), ("images_{}", "labels_{}"), ("X_{}", "y_{}"), ("X{}", "y{}"))
POOL_KEYS = (("images", "labels"), ("x", "y"), ("X", "y"), ("data", "target"))
MAX_BYTES = 16 << 30


def read(path: Path, where: str, levels: Levels | None = FULL) -> Dataset:
    """Return the dataset of an .npz file: `x_train`, `y_train`, `x_test`, `y_test`, or `images`, `labels`, ...

    Images are (N, H, W), (N, H, W, C) or (N, C, H, W), C = 1 or 3, uint8, uint16 or numbers in 0..1. Labels are whole
    numbers (N,) (a class each), 0/1 (N, K) (several labels an image), or floats (N,) or (N, D) (numbers).
    `classes` may hold the class names.

    Args:
        levels: of uint16, those that become 0 and 255; None for the range that the training images use.

    Raises:
        DataError: the file is no .npz, holds Python objects, or its arrays do not fit.
    """
    arrays = _load(path)
    classes = [str(name) for name in arrays["classes"]] if "classes" in arrays else None
    parts = _parts(path, arrays)
    levels = levels or _range([next(iter(parts.values()))[0]]) or FULL
    images = np.concatenate([to_uint8(pixels, path, levels) for pixels, _ in parts.values()])
    labels = np.concatenate([np.asarray(values) for _, values in parts.values()])
    splits, at = {}, 0
    for name, (pixels, _) in parts.items():
        splits[name] = np.arange(at, at + len(pixels), dtype=np.intp)
        at += len(pixels)
    dataset = from_arrays(images, labels, classes=classes, name=path.stem, where=where)
    used = _range([pixels for pixels, _ in parts.values()])
    dataset = replace(dataset, images=ArrayImages(images, levels, used))
    return dataset if "" in splits else dataset.with_splits({key: splits[key] for key in SPLITS if key in splits})


def from_arrays(
    images: Array,
    labels: Array,
    *,
    classes: Sequence[str] | None = None,
    name: str = "arrays",
    where: str = "arrays",
) -> Dataset:
    """Return a dataset of arrays, without splits; shapes as in `read`.

    Raises:
        DataError: shape, type, range or length do not fit.

    Example:
        >>> from_arrays(np.zeros((4, 8, 8), np.uint8), np.array([0, 1, 1, 0])).classes
        ('0', '1')
    """
    pixels = to_uint8(images, where)
    target = _target(np.asarray(labels), classes, where)
    if len(target.values) != len(pixels):
        what = f"{len(pixels):,} images but {len(target.values):,} labels"
        raise DataError(what, where=where, fix="give one label an image")
    return Dataset(
        name=name,
        where=where,
        images=ArrayImages(pixels),
        ids=tuple(str(index) for index in range(len(pixels))),
        targets={"value" if target.kind == "value" else "label": target},
        splits={},
        channels=pixels.shape[3],
        notes=("layout: arrays in memory",),
    )


def to_uint8(images: Array, where: object, levels: Levels = FULL) -> npt.NDArray[np.uint8]:
    """Return images as (N, H, W, C) uint8; numbers in 0..1 are scaled by 255.

    Sixteen bits become eight as in files: `levels` become 0 and 255.

    Raises:
        DataError: the shape has no meaning, or the range is another.
    """
    try:
        pixels = np.asarray(images)
    except (ValueError, TypeError) as problem:  # a list of arrays that differ in size
        raise DataError("images of different sizes", where=where, fix="give one array (N, H, W, C)") from problem
    if pixels.dtype.kind not in "buif":
        raise DataError(f"images of type {pixels.dtype}", where=where, fix="use uint8, uint16, or numbers from 0 to 1")
    if pixels.ndim == 4 and pixels.shape[3] not in {1, 3} and pixels.shape[1] in {1, 3}:
        pixels = pixels.transpose(0, 2, 3, 1)
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    if pixels.ndim != 4 or pixels.shape[3] not in {1, 3} or 0 in pixels.shape:
        what = f"images of shape {pixels.shape}"
        raise DataError(what, where=where, fix="use (N, H, W) or (N, H, W, C) with 1 or 3 channels")
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels, dtype=np.uint8)
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2 and pixels.max() > 1:
        if pixels.max() <= 255 and levels == FULL:  # all of them would be black
            fix = "save them as uint8, or use --levels auto"
            raise DataError("images of type uint16, none above 255", where=where, fix=fix)
        return np.ascontiguousarray(to_eight(pixels.astype(np.uint16), levels))
    numbers = pixels.astype(np.float32)
    if not (np.isfinite(numbers).all() and numbers.min() >= 0 and numbers.max() <= 1):
        what = f"images of type {pixels.dtype}, range {numbers.min():g} to {numbers.max():g}"
        raise DataError(what, where=where, fix="use uint8, uint16, or numbers from 0 to 1")
    return np.rint(numbers * 255).astype(np.uint8)


def _range(arrays: Sequence[Array]) -> Levels | None:
    """The lowest and highest level of uint16 images; None when they are of another type."""
    deep = [pixels for pixels in arrays if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2 and pixels.size]
    if not deep:
        return None
    return int(min(pixels.min() for pixels in deep)), int(max(pixels.max() for pixels in deep))


def _target(labels: Array, classes: Sequence[str] | None, where: object) -> Target:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind == "f":
        values = labels.astype(np.float32).reshape(len(labels), -1)
        if not np.isfinite(values).all():
            raise DataError("numbers to learn are not finite", where=where, fix="remove NaN and infinity")
        return Target("value", values, tuple(f"value{index}" for index in range(values.shape[1])))
    if labels.dtype.kind == "U":
        found = class_list((str(name) for name in labels), where)
        index = {name: position for position, name in enumerate(found)}
        return Target("label", np.array([index[str(name)] for name in labels], dtype=np.int64), found)
    if labels.dtype.kind not in "iub" or labels.ndim not in {1, 2} or not labels.size or int(labels.min()) < 0:
        what = f"labels of type {labels.dtype} and shape {labels.shape}"
        raise DataError(what, where=where, fix="use whole numbers from 0, 0/1 columns, or floats")
    kind = "label" if labels.ndim == 1 else "tags"
    top = int(labels.max())
    count = labels.shape[1] if kind == "tags" else top + 1
    if kind == "tags" and top > 1:
        raise DataError(f"label columns hold {top}", where=where, fix="use 0 and 1, or one number an image")
    if classes is not None and len(classes) < count:
        raise DataError(f"{len(classes)} class names for {count} classes", where=where, fix="name every class")
    names = tuple(classes) if classes is not None else tuple(str(index) for index in range(count))
    return Target(kind, labels.astype(np.int64 if kind == "label" else np.uint8), names)


def _load(path: Path) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(path) as archive:
            num_bytes = sum(member.file_size for member in archive.infolist())
        if num_bytes > MAX_BYTES:
            raise DataError(f"arrays of {num_bytes:,} bytes", where=path, fix="use at most 16 GiB")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as problem:
        reason = "it holds Python objects" if "allow_pickle" in str(problem) else str(problem).split("\n")[0]
        fix = "save plain arrays with numpy.savez"
        raise DataError(f"not a readable .npz file ({reason})", where=path, fix=fix) from problem


def _parts(path: Path, arrays: Mapping[str, Array]) -> dict[str, tuple[Array, Array]]:
    """Return images and labels by split; "" when the file has one pool."""
    for image_key, label_key in KEYS:
        found = {
            split: (arrays[image_key.format(split)], arrays[label_key.format(split)])
            for split in SPLITS
            if image_key.format(split) in arrays and label_key.format(split) in arrays
        }
        if "train" in found:
            return found
    for image_key, label_key in POOL_KEYS:
        if image_key in arrays and label_key in arrays:
            return {"": (arrays[image_key], arrays[label_key])}
    have = ", ".join(list(arrays)[:8])
    raise DataError(f"no images and labels among {have}", where=path, fix="name the arrays images and labels")
