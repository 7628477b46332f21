"""Series in an `.npz` file: arrays `series` and `labels`, or `series_train`, `labels_train`, `series_test`, ...

An array holds series of one dimension as (N, L), of several as (N, L, D). A series that ends in `nan` in all its
dimensions is a shorter one.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError

from . import archive
from .array_labels import texts
from .names import SPLIT_NAMES
from .series_images import Cases

SUFFIX = ".npz"
_PAIRS = {"": ("series", "labels")} | {word: (f"series_{word}", f"labels_{word}") for word in SPLIT_NAMES}
_NAMES = frozenset(name for pair in _PAIRS.values() for name in pair)


def is_series_archive(path: Path) -> bool:
    """Return whether a file is an `.npz` with an array of series, by their names."""
    is_archive = path.suffix.lower() == SUFFIX and path.is_file()
    return is_archive and any(series in archive.names_in(path) for series, _ in _PAIRS.values())


def read_archive(path: Path, *, needs_class: bool = True) -> dict[str, Cases]:
    """Return the cases of a file by split; "" where it has one array of series.

    Args:
        needs_class: whether series without labels are refused; else the labels of their cases are "".

    Raises:
        DataError: it cannot be read, or an array does not fit; the message names the array.
    """
    arrays, _ = archive.load(path, _NAMES | {"classes"})
    names = tuple(texts(arrays["classes"], path)) if "classes" in arrays else ()
    parts: dict[str, Cases] = {}
    for word, (series, labels) in _PAIRS.items():
        if series not in arrays:
            continue
        split = SPLIT_NAMES.get(word, word)
        if split in parts or (split and "" in parts):
            what = f"array {series!r}, whose split is there already"
            raise DataError(what, where=path, fix="use `series` alone, or one array for each split")
        if labels not in arrays and needs_class:
            raise DataError(f"{series} without {labels}", where=path, fix=f"add an array {labels}, a class each")
        values = _series(arrays[series], f"{path}:{series}")
        classes = _classes(arrays[labels], names, f"{path}:{labels}") if labels in arrays else ("",) * len(values)
        if len(classes) != len(values):
            what = f"{len(values):,} series but {len(classes):,} labels"
            raise DataError(what, where=f"{path}:{series}", fix="give one label a series, in the same order")
        parts[split] = Cases(values, classes, names)
    return parts


def _series(array: archive.Array, where: str) -> tuple[npt.NDArray[np.float32], ...]:
    """The values (L, D) of each series of an array."""
    if array.dtype.kind not in "buif" or array.ndim not in (2, 3) or not array.size:
        what = f"series of type {array.dtype} and shape {array.shape}"
        raise DataError(what, where=where, fix="give numbers (N, L), or (N, L, D) with D dimensions")
    with np.errstate(over="ignore"):  # what float32 does not hold is refused below
        values: npt.NDArray[np.float32] = array.reshape(len(array), array.shape[1], -1).astype(np.float32)
    is_gap = np.logical_and.reduce(np.isnan(values), axis=2)
    lengths = values.shape[1] - is_gap[:, ::-1].argmin(1)
    lengths[np.logical_and.reduce(is_gap, axis=1)] = 0
    found = tuple(one[:length] for one, length in zip(values, lengths, strict=True))
    for index, one in enumerate(found):
        if len(one) < 2 or not np.isfinite(one).all():
            what = "fewer than two samples" if len(one) < 2 else "a sample that is no number (or too large for 32 bits)"
            raise DataError(f"{what} in series {index}", where=where, fix="fill it in, or leave the series out")
    return found


def _classes(array: archive.Array, names: tuple[str, ...], where: str) -> tuple[str, ...]:
    """The class of each series: its text, or its number, or what `names` call that number."""
    if array.ndim != 1 or array.dtype.kind not in "USbiuf":
        what = f"labels of type {array.dtype} and shape {array.shape}"
        raise DataError(what, where=where, fix="give a class for each series, as text or as a whole number")
    if array.dtype.kind in "US":
        return tuple(texts(array, where))
    numbers = array.astype(np.float64)
    is_odd = ~np.isfinite(numbers) | (numbers != np.rint(numbers))
    if names:
        is_odd |= (numbers < 0) | (numbers >= len(names))
    if is_odd.any():
        odd = numbers[is_odd][0]
        what = f"label {odd:g} is no class" + (f" of {len(names)} (the first is 0)" if names else "")
        raise DataError(what, where=where, fix="give a class for each series, as text or as a whole number")
    return tuple(names[int(one)] if names else str(int(one)) for one in numbers)
