"""Datasets of what a program holds: arrays, a table such as a data frame, or a PyTorch dataset."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError, SettingsError

from .geometry import coloured
from .given import images_of, png_of
from .open import SHARES, checked, in_splits
from .sample import SPLITS, Dataset, ImageU8
from .sources.array_labels import refuse_unlike, refuse_untrained, target_of
from .sources.arrays import from_arrays as pool_of
from .sources.arrays import to_uint8
from .sources.cells import Table
from .sources.table import of_cells
from .target_choice import first_target

Array = npt.NDArray[Any]
Pair = tuple[Any, Any]  # images and their labels


def from_arrays(
    images: Any,
    labels: Any,
    *,
    val: Pair | None = None,
    test: Pair | None = None,
    classes: Sequence[str] | None = None,
    task: str | None = None,
    split: Sequence[float] = SHARES,
    seed: int = 0,
    name: str = "arrays",
) -> Dataset:
    """Return a dataset of arrays in memory.

    Args:
        images: (N, H, W), (N, H, W, C) or (N, C, H, W), of uint8, uint16, or numbers in 0..1; arrays or tensors.
        labels: (N,) text or whole numbers (classes), (N, K) of 0 and 1 (tags, or one-hot classes), floats (numbers).
        val, test: pairs (images, labels) of splits of their own; what is not given is taken from `images`.
        classes: their names, in the order of the numbers.
        task: "regress" where whole numbers are numbers; "tag" where each row happens to have one 1.
        split: shares of train, val and test where they are made here, stratified; `seed` is their seed.

    Raises:
        DataError: shapes, types or lengths do not fit.
        SettingsError: `val` or `test` is no pair.

    Example:
        >>> pixels = np.zeros((40, 8, 8), np.uint8)
        >>> from_arrays(pixels, ["cat", "dog"] * 20)
        Dataset('arrays': 40 images, 2 classes; train 28, val 6, test 6)
    """
    parts = {"train": (images, labels), "val": val, "test": test}
    for key, pair in parts.items():
        if pair is not None and not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise SettingsError(f"{type(pair).__name__} is no pair", where=key, fix=f"give {key}=(images, labels)")
    pairs = {key: tuple(map(as_array, pair)) for key, pair in parts.items() if pair is not None}
    for which, what in enumerate(("images", "labels")):
        refuse_unlike({f"{what} of {key}": pair[which] for key, pair in pairs.items()}, name)
    whole = [np.concatenate([pair[which] for pair in pairs.values()]) for which in (0, 1)]
    dataset = pool_of(whole[0], whole[1], classes=classes, name=name, where="", task=task)
    if len(pairs) > 1:
        ends = np.cumsum([len(pair[1]) for pair in pairs.values()])
        rows = zip(pairs, np.split(np.arange(len(dataset), dtype=np.intp), ends[:-1]), strict=True)
        dataset = dataset.with_splits(dict(rows))
        refuse_untrained(dataset.target(), dataset.splits, name)
    return checked(in_splits(_for_task(dataset, task), split, seed))


def from_table(
    table: Any,
    *,
    root: str | Path = ".",
    target: str | None = None,
    task: str | None = None,
    separator: str | None = None,
    blank: str | None = None,
    split_column: str | None = None,
    split: Sequence[float] = SHARES,
    seed: int = 0,
    name: str = "table",
) -> Dataset:
    """Return a dataset of a table in memory, by the rules for CSV files: a column of files, one of labels or numbers.

    Args:
        table: a data frame of pandas or polars, a mapping of columns, or a list of rows (mappings).
        root: the folder that the files' names are relative to.

    The other arguments are those of `open`.

    Raises:
        DataError: there is no column of files, or a cell does not fit; the message has the row, the first is 1.
    """
    columns = {str(key): [_cell(cell) for cell in cells] for key, cells in _columns(table).items()}
    num = {len(cells) for cells in columns.values()}
    if len(num) != 1 or not max(num):
        raise DataError("a table without rows, or of columns of different lengths", where=name, fix="give it rows")
    cells = Table(Path(name), columns, list(range(1, max(num) + 1)))
    dataset = of_cells(cells, "", Path(root), target, task, separator, blank, split_column)
    dataset = first_target(replace(dataset, name=name), target, task)
    return checked(in_splits(_for_task(dataset, task), split, seed))


def from_dataset(
    items: Any,
    *,
    val: Any = None,
    test: Any = None,
    classes: Sequence[str] | None = None,
    task: str | None = None,
    split: Sequence[float] = SHARES,
    seed: int = 0,
    name: str = "dataset",
) -> Dataset:
    """Return a dataset of a PyTorch dataset: anything with a length whose items are (image, label).

    Images are Pillow images, arrays (H, W, C) or tensors (C, H, W), of any sizes; they are read when they are needed,
    so an item must be the same each time: leave random transforms to the recipe. Labels are read once, at the start.

    Args:
        classes: their names; by default those of the dataset's `classes`, as torchvision's have.

    The other arguments are those of `from_arrays`.

    Raises:
        DataError: an item is no pair, or its image cannot be used.
    """
    parts = {key: part for key, part in zip(SPLITS, (items, val, test), strict=True) if part is not None}
    labels = [_labels(part) for part in parts.values()]
    names = classes if classes is not None else getattr(items, "classes", None)
    target, _ = target_of(np.asarray([one for part in labels for one in part]), names, task, name)
    places = [(key, index) for key, part in parts.items() for index in range(len(part))]
    ids = tuple(f"{key}/{index}" if len(parts) > 1 else str(index) for key, index in places)
    images = ItemImages(tuple((parts[key], index) for key, index in places))
    channels = max(images.read(index).shape[2] for index in range(0, len(images), max(1, len(images) // 16)))
    images, kind = replace(images, channels=channels), "label" if target.classes else "value"
    note = f"layout: {type(items).__name__} in memory"
    dataset = Dataset(name, "", images, ids, {kind: target}, {}, channels, notes=(note,))
    if len(parts) > 1:
        starts = np.cumsum([0, *map(len, labels)])
        splits = {key: np.arange(*starts[k : k + 2], dtype=np.intp) for k, key in enumerate(parts)}
        dataset = dataset.with_splits(splits)
        refuse_untrained(target, splits, name)
    return checked(in_splits(_for_task(dataset, task), split, seed))


@dataclass(frozen=True, repr=False)
class ItemImages:
    """Images that are items of datasets: `places` are datasets and indices; read one at a time, as many may not be."""

    places: tuple[tuple[Any, int], ...]
    channels: int | None = None
    lock: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "lock", self.lock or Lock())

    def __len__(self) -> int:
        return len(self.places)

    def read(self, index: int, short_side_px: int | None = None) -> ImageU8:
        """Return image `index` as (H, W, C) uint8, at its full size."""
        items, place = self.places[index]
        with self.lock:
            image = _pair(items, place)[0]
        pixels = _pixels(image, f"item {place}")
        return pixels if self.channels is None else coloured(pixels, self.channels)

    def path(self, index: int) -> None:
        """Return None: there is no file that is known."""

    def stamp(self, index: int) -> str:
        """Return a hash of the pixels."""
        return hashlib.blake2b(self.read(index).tobytes(), digest_size=16).hexdigest()

    def digest(self, index: int, max_bytes: int) -> str:
        """Return a hash of the pixels, of all of them."""
        return self.stamp(index)

    def num_bytes(self) -> int:
        """Return about the size of all images, from that of the first."""
        return len(self) * self.read(0).nbytes if len(self) else 0

    def in_channels(self, channels: int) -> "ItemImages":
        """Return the same images in 1 (grey) or 3 (RGB) channels, or the first of more."""
        return replace(self, channels=channels)

    def take(self, indices: "Sequence[int] | npt.NDArray[np.intp]") -> "ItemImages":
        """Return some of the images, in the order of `indices`."""
        return replace(self, places=tuple(self.places[int(index)] for index in indices))


def _for_task(dataset: Dataset, task: str | None) -> Dataset:
    """The dataset, opened for a task: what runs take where none else is named."""
    return replace(dataset, options={"task": task}) if task else dataset


def as_array(values: Any) -> Array:
    """Return an array of an array, a tensor, a series of a data frame or a list; labels may be text.

    Raises:
        DataError: its rows differ in length.
    """
    try:
        return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    except ValueError as problem:
        raise DataError(
            "rows of different sizes", where="arrays", fix="give one array, or use from_dataset"
        ) from problem


def _pixels(image: Any, name: str) -> ImageU8:
    from .decode import decode_bytes
    from .given import pixels_of

    (one,) = images_of(image)
    if hasattr(one, "getexif"):
        return decode_bytes(png_of(one, name), name=name)  # type: ignore[arg-type]
    return np.asarray(to_uint8(pixels_of(one, name)[None], name)[0])  # type: ignore[arg-type]


def _pair(items: Any, index: int) -> Pair:
    item = items[index]
    if not isinstance(item, Sequence) or isinstance(item, str) or len(item) < 2:
        raise DataError(f"an item of type {type(item).__name__}", where=f"item {index}", fix="return (image, label)")
    return item[0], item[1]


def _labels(items: Any) -> list[Any]:
    """The labels of all items, from the list that torchvision's datasets keep where it is there."""
    if not hasattr(items, "__len__") or not hasattr(items, "__getitem__"):
        fix = "give a dataset with a length and items, not an iterator or a DataLoader"
        raise DataError(f"{type(items).__name__} has no items", where="from_dataset", fix=fix)
    known = getattr(items, "targets", None)
    if known is not None and len(known) == len(items):
        return list(as_array(known).tolist())
    return [as_array(_pair(items, index)[1]).tolist() for index in range(len(items))]


def _columns(table: Any) -> Mapping[Any, Sequence[Any]]:
    """The columns of a data frame, a mapping or a list of rows."""
    if isinstance(table, Mapping):
        return table
    if isinstance(table, str | Path):
        raise SettingsError("a path is no table in memory", where="from_table", fix=f"use st.open({str(table)!r})")
    if hasattr(table, "columns") and hasattr(table, "__getitem__"):  # pandas, polars, pyarrow
        return {name: list(table[name]) for name in getattr(table, "column_names", table.columns)}
    rows = list(table)
    if rows and all(isinstance(row, Mapping) for row in rows):
        return {name: [row.get(name) for row in rows] for name in rows[0]}
    raise SettingsError(f"{type(table).__name__} is no table", where="from_table", fix="give a data frame or rows")


def _cell(value: Any) -> str:
    """A cell as a CSV file would have it: nothing where a number is missing, whole numbers without a point."""
    if value is None or value != value or str(value) == "<NA>":
        return ""
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float | np.floating) and math.isfinite(value):
        return repr(float(value))
    return str(value).strip()
