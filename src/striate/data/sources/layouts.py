"""Which source reads a file or a folder: the first that knows it by its suffix or by what lies in it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from striate.base.errors import DataError

from ..levels import levels_asked
from ..sample import Dataset
from ..target import Boxes, Points
from . import (
    arrays,
    box_tables,
    cifar,
    cub,
    folder,
    idx,
    pets,
    point_folders,
    series,
    table,
    voc_masks,
    volumes,
    yolo,
)
from .walk import Walk

CELLS = ("target", "task", "separator", "blank", "split_column")  # options that tables are read by
Known = tuple[str, ...] | None


def read_file(path: Path, where: str, options: Mapping[str, Any], known: Known) -> Dataset:
    """Return the dataset of one file.

    Args:
        options: of `open_dataset`, `root` as a path.
        known: the classes of a run that is to be evaluated on it.

    Raises:
        DataError: it is none, or its source cannot read it.
    """
    suffix = path.suffix.lower()
    if series.is_series(path):
        return series.read(path, where, known)
    if suffix == ".npz":
        return arrays.read(path, where, levels_asked(options.get("levels")), options.get("task"), known)
    if suffix in {".csv", ".tsv"}:
        if _may_be_boxed(options) and box_tables.holds_boxes(path, is_asked=is_boxed(options)):
            return box_tables.read_table(path, where, options.get("root"))
        cells = {name: options.get(name) for name in CELLS}
        return table.read(path, where, root=options.get("root"), known=known, **cells)
    if suffix in {".yaml", ".yml"}:
        return yolo.read_listed(path, where)
    fix = "name a folder, a .csv, .tsv, .npz, .ts or .yaml file, or a public name"
    raise DataError("not a dataset", where=where, fix=fix)


def read_folder(path: Path, where: str, options: Mapping[str, Any], known: Known) -> Dataset:
    """Return the dataset of a folder; see `read_file`.

    Raises:
        DataError: nothing readable is there, or its source cannot read it.
    """
    ignore, boxed = options.get("ignore"), is_boxed(options)
    sources: Sequence[tuple[Callable[[Path], bool], Callable[[], Dataset]]] = (
        (lambda root: is_pointed(options) and not cub.matches(root), lambda: point_folders.read(Walk(path), where)),
        (pets.matches, lambda: pets.read(path, where, ignore)),
        (lambda root: voc_masks.matches(root) and not boxed, lambda: voc_masks.read(path, where, ignore)),
        (cifar.matches, lambda: cifar.read(path, where, known)),
        (idx.matches, lambda: idx.read(path, where, known)),
        (series.matches, lambda: series.read(path, where, known)),
        (volumes.matches, lambda: volumes.read(path, where, known)),
        (cub.matches, lambda: cub.read(path, where, known)),
    )
    for matches, read in sources:
        if matches(path):
            return read()
    if options.get("is_alone"):
        return folder.read_images(path, where)
    allow_empty = bool(options.get("allow_empty"))
    return folder.read(path, where, allow_empty=allow_empty, known=known, ignore=ignore, is_boxed=boxed)


def is_boxed(options: Mapping[str, Any]) -> bool:
    """Return whether boxes are asked for, where masks or numbers may be meant too."""
    return options.get("task") in Boxes.tasks or options.get("target") == "box"


def is_pointed(options: Mapping[str, Any]) -> bool:
    """Return whether points are asked for."""
    return options.get("task") in Points.tasks or options.get("target") == Points.kind


def _may_be_boxed(options: Mapping[str, Any]) -> bool:
    return options.get("target") in {None, "box"} and options.get("task") in {None, *Boxes.tasks}
