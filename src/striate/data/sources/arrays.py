"""Arrays: `.npz` files without pickle, and arrays of a program."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.text import plural, shown

from ..bands import MAX_BANDS, channels_text
from ..levels import FULL, Levels, to_eight
from ..sample import SPLITS, Dataset, Reading
from . import archive
from .array_labels import refuse_unlike, refuse_untrained, target_of, texts
from .images import ArrayImages
from .names import SPLIT_NAMES

Array = npt.NDArray[np.generic]
# How the common .npz files name their images and labels; {} is the split, absent where there is one pool.
KEYS = (("x_{}", "y_{}"), ("{}_images", "{}_labels"), ("images_{}", "labels_{}"), ("X_{}", "y_{}"), ("X{}", "y{}"),
        ("{}_x", "{}_y"), ("{}_X", "{}_y"))  # fmt: skip
POOL_KEYS = (("images", "labels"), ("x", "y"), ("X", "y"), ("data", "target"))


def read(
    path: Path,
    where: str,
    levels: Levels | None = FULL,
    task: str | None = None,
    known: tuple[str, ...] | None = None,
) -> Dataset:
    """Return the dataset of an .npz file: `x_train`, `y_train`, `x_test`, `y_test`, or `images`, `labels`, ...

    Images are (N, H, W), (N, H, W, C) or (N, C, H, W), uint8, uint16 or numbers in 0..1; `bands` may hold the channels'
    names. Labels are whole numbers (N,) (a class each), 0/1 (N, K) (classes where every row has one 1, else tags), or
    floats (numbers); with task "regress" all are numbers. `classes` may hold the class names.

    Args:
        levels: of uint16, those that become 0 and 255; None for the range that the training images use.
        known: the classes of a run that is to be evaluated on the file, which needs no training images then.

    Raises:
        DataError: the file is no .npz, holds Python objects, or its arrays do not fit.
    """
    arrays, others = archive.load(path, _known_names())
    if not arrays:
        raise _no_pair(path, others)
    classes = texts(arrays["classes"], path) if "classes" in arrays else None
    pairs = _parts(path, arrays, needs_train=known is None)
    parts = {split: (arrays[images], arrays[labels]) for split, (images, labels) in pairs.items()}
    levels = levels or _range([next(iter(parts.values()))[0]]) or FULL
    images = np.concatenate([to_uint8(pixels, path, levels) for pixels, _ in parts.values()])
    labels = np.concatenate([np.asarray(values) for _, values in parts.values()])
    splits, at = {}, 0
    for name, (pixels, _) in parts.items():
        splits[name] = np.arange(at, at + len(pixels), dtype=np.intp)
        at += len(pixels)
    dataset = from_arrays(images, labels, classes=classes, name=path.stem, where=where, task=task)
    if known is None:
        refuse_untrained(dataset.target(), splits, path)
    used = _range([pixels for pixels, _ in parts.values()])
    taken = {name for pair in pairs.values() for name in pair} | {"classes", "bands"}
    readings = (*dataset.readings, *_unused([*(name for name in arrays if name not in taken), *others]))
    deep, bands = _deep([pixels for pixels, _ in parts.values()]), _bands(arrays, dataset.channels, path)
    notes = (*dataset.notes, f"read as {channels_text(dataset.channels, bands)}")
    dataset = replace(
        dataset, images=ArrayImages(images, levels, used, deep), readings=readings, bands=bands, notes=notes
    )
    return dataset if "" in splits else dataset.with_splits({key: splits[key] for key in SPLITS if key in splits})


def from_arrays(
    images: Array,
    labels: Array,
    *,
    classes: Sequence[str] | None = None,
    name: str = "arrays",
    where: str = "arrays",
    task: str | None = None,
) -> Dataset:
    """Return a dataset of arrays, without splits; shapes as in `read`.

    Raises:
        DataError: shape, type, range or length do not fit.

    Example:
        >>> from_arrays(np.zeros((4, 8, 8), np.uint8), np.array([0, 1, 1, 0])).classes
        ('0', '1')
    """
    pixels = to_uint8(images, where)
    target, said = target_of(np.asarray(labels), classes, task, where)
    if len(target) != len(pixels):
        what = f"{len(pixels):,} images but {len(target):,} labels"
        raise DataError(what, where=where, fix="give one label an image")
    return Dataset(
        name=name,
        where=where,
        images=ArrayImages(pixels, deep=_deep([np.asarray(images)])),
        ids=tuple(str(index) for index in range(len(pixels))),
        targets={"label" if target.classes else "value": target},
        splits={},
        channels=pixels.shape[3],
        notes=("layout: arrays in memory",),
        readings=(Reading(said),) if said else (),
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
    pixels = channels_last(pixels[..., None] if pixels.ndim == 3 else pixels)
    if pixels.ndim != 4 or 0 in pixels.shape or pixels.shape[3] > MAX_BANDS:
        what, fix = (
            f"images of shape {pixels.shape}",
            f"use (N, H, W) or (N, H, W, C) with at most {MAX_BANDS} channels",
        )
        fix += "; an array of series is called series" if pixels.ndim == 2 else ""
        raise DataError(what, where=where, fix=fix)
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels, dtype=np.uint8)
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2 and pixels.max() > 1:
        if pixels.max() <= 255 and levels == FULL:  # all of them would be black
            what = "images of type uint16, none above 255"
            raise DataError(what, where=where, fix="save them as uint8", option="--levels auto")
        return np.ascontiguousarray(to_eight(pixels.astype(np.uint16), levels))
    numbers = pixels.astype(np.float32)
    if not (np.isfinite(numbers).all() and numbers.min() >= 0 and numbers.max() <= 1):
        what = f"images of type {pixels.dtype}, range {numbers.min():g} to {numbers.max():g}"
        raise DataError(what, where=where, fix="use uint8, uint16, or numbers from 0 to 1")
    return np.rint(numbers * 255).astype(np.uint8)


def channels_last(pixels: Array) -> Array:
    """Return images (N, H, W, C) or (N, C, H, W) as (N, H, W, C).

    Three and one are channels where they are last, else where they are first; of other numbers the least is.
    """
    if pixels.ndim != 4 or pixels.shape[3] in {1, 3}:
        return pixels
    is_first = pixels.shape[1] in {1, 3} or pixels.shape[1] < min(pixels.shape[2:])
    return pixels.transpose(0, 2, 3, 1) if is_first else pixels


def _deep(arrays: Sequence[Array]) -> npt.NDArray[np.uint16] | None:
    """The samples (N, H, W, C) of images with more than 8 bits, None of others; numbers in 0..1 are scaled by 65535."""
    is_float = all(pixels.dtype.kind == "f" for pixels in arrays)
    if not is_float and _range(arrays) is None:
        return None
    whole = np.concatenate([channels_last(pixels[..., None] if pixels.ndim == 3 else pixels) for pixels in arrays])
    return np.ascontiguousarray(np.rint(whole * 65535) if is_float else whole, dtype=np.uint16)


def _bands(arrays: Mapping[str, Array], channels: int, where: object) -> tuple[str, ...]:
    names = tuple(texts(arrays["bands"], where)) if "bands" in arrays else ()
    if names and len(names) != channels:
        raise DataError(
            f"{len(names)} names of bands for {channels} channels", where=where, fix="name each channel once"
        )
    return names


def _range(arrays: Sequence[Array]) -> Levels | None:
    """The lowest and highest level of uint16 images; None when they are of another type."""
    deep = [pixels for pixels in arrays if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2 and pixels.size]
    if not deep:
        return None
    return int(min(pixels.min() for pixels in deep)), int(max(pixels.max() for pixels in deep))


def _unused(names: Sequence[str]) -> Iterator[Reading]:
    if names:
        listed = ", ".join(shown(name, 30) for name in names[:4]) + (", ..." if len(names) > 4 else "")
        text = f"{plural(len(names), 'array')} not used: {listed}"
        yield Reading(text, is_doubtful=True, fix="rename to x_val, y_val, x_test, ... or classes, or remove")


def _known_names() -> set[str]:
    pairs = [key.format(split) for pair in KEYS for key in pair for split in SPLIT_NAMES]
    return {"classes", "bands", *pairs, *(key for pair in POOL_KEYS for key in pair)}


def _parts(path: Path, arrays: Mapping[str, Array], needs_train: bool) -> dict[str, tuple[str, str]]:
    """Return the names of images and labels by split; "" when the file has one pool.

    Raises:
        DataError: there are none, or those of the splits do not fit each other; the message names the arrays.
    """
    split = [_pairs(path, arrays, image_key, label_key) for image_key, label_key in KEYS]
    pools = [{"": pair} for pair in POOL_KEYS if set(pair) <= set(arrays)]
    trained = [found for found in split if "train" in found]
    found = next(iter([*trained, *pools, *filter(None, split)]), {})
    if not found:
        raise _no_pair(path, list(arrays))
    if needs_train and not {"train", ""} & set(found):
        what = f"no training images beside {next(iter(found.values()))[0]}"
        raise DataError(what, where=path, fix="add x_train and y_train, or evaluate a run on the file")
    for images, labels in found.values():
        if not arrays[images].ndim or not arrays[labels].ndim or len(arrays[images]) != len(arrays[labels]):
            what = f"{images} is {arrays[images].shape}, but {labels} is {arrays[labels].shape}"
            raise DataError(what, where=path, fix="give one label an image, in the same order")
        if not len(arrays[images]):
            raise DataError(f"{images} is empty", where=path, fix="add images to it, or remove it and its labels")
    for kind in (0, 1):
        refuse_unlike({pair[kind]: arrays[pair[kind]] for pair in found.values()}, path)
    return found


def _pairs(path: Path, arrays: Mapping[str, Array], image_key: str, label_key: str) -> dict[str, tuple[str, str]]:
    """Return the names of images and labels by split that are written in one way.

    Raises:
        DataError: one is there without the other, or a split is there twice, as `x_val` and `x_valid`.
    """
    found: dict[str, tuple[str, str]] = {}
    for word, split in SPLIT_NAMES.items():
        pair = image_key.format(word), label_key.format(word)
        have = [name for name in pair if name in arrays]
        if len(have) == 1 and image_key.format("train") in arrays:
            missing = next(name for name in pair if name not in arrays)
            raise DataError(f"{have[0]} without {missing}", where=path, fix=f"add {missing}, or remove {have[0]}")
        if len(have) == 2 and split in found:
            what = f"{found[split][0]} and {pair[0]} are both a {split} split"
            raise DataError(what, where=path, fix="keep one of them")
        if len(have) == 2:
            found[split] = pair
    return found


def _no_pair(path: Path, names: Sequence[str]) -> DataError:
    have = ", ".join(shown(name, 30) for name in names[:8])
    what = f"no images and labels among {have}" if have else "no arrays"
    return DataError(what, where=path, fix="name the arrays images and labels, or series and labels")
