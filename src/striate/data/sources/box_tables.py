"""Boxes in CSV and TSV tables: a line a box, `path,xmin,ymin,xmax,ymax,label[,split]`; no sides mean no box.

Sides are pixels from the outer corner: a box of the first pixel is 0,0,1,1.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from striate.base.errors import DataError
from striate.base.text import plural, shown

from ..sample import SPLITS, Dataset, Reading
from .boxed import Boxed, Collection, SideXYXY, Thing, dataset_of
from .cells import Table, read_cells
from .kinds import is_missing, number
from .mask_pairs import split_of
from .table_files import find_file, path_column
from .table_splits import find_split, splits_of
from .walk import Reason, Walk

LABELS = ("label", "class", "category", "class_name", "labelname", "object", "target", "name")
SURE = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"),
    ("bbox_xmin", "bbox_ymin", "bbox_xmax", "bbox_ymax"),
)
CORNERS = (*SURE, ("x1", "y1", "x2", "y2"), ("x0", "y0", "x1", "y1"), ("left", "top", "right", "bottom"))
SIDES = (("bbox_x", "bbox_y", "bbox_width", "bbox_height"), ("bbox_x", "bbox_y", "bbox_w", "bbox_h"),
         ("x", "y", "width", "height"), ("x", "y", "w", "h"))  # fmt: skip
UNLISTED = Reason("image that is not listed", "images that are not listed")
FIX = "write four numbers in pixels, or leave all four empty: no box"


def columns_of(names: Iterable[str]) -> tuple[list[str], bool] | None:
    """Return the four columns of boxes, and whether the last two are sides rather than corners; None without any.

    Example:
        >>> columns_of(["path", "label", "XMin", "YMin", "XMax", "YMax"])
        (['XMin', 'YMin', 'XMax', 'YMax'], False)
    """
    known = {name.lower(): name for name in names}
    for group, is_size in ((CORNERS, False), (SIDES, True)):
        for four in group:
            if set(four) <= known.keys():
                return [known[name] for name in four], is_size
    return None


def holds_boxes(path: Path, *, is_asked: bool = False) -> bool:
    """Return whether the first line of a table names four columns of boxes, as nothing else is named.

    Args:
        is_asked: boxes are asked for, so that `x,y,w,h` or `x1,y1,x2,y2` are some too.
    """
    try:
        with path.open("rb") as file:
            line = file.read(1 << 16).decode("utf-8-sig", "replace").partition("\n")[0]
    except OSError:
        return False  # it is refused where it is read
    names = [name.strip().strip("\"'").lower() for name in re.split(r"[,;\t|]", line)]
    found = columns_of(names)
    return found is not None and (is_asked or tuple(found[0]) in SURE or found[0][0].startswith("bbox"))


def read_table(path: Path, where: str, root: Path | None) -> Dataset:
    """Return the dataset of a table of boxes.

    Args:
        root: of its paths; by default the table's folder.

    Raises:
        DataError: the message has the line: a file that is missing, a side that is no number, no class.
    """
    table = read_cells(path)
    base = root or path.parent
    return dataset_of(Walk(base), where, Collection(_images(table, base), "a table", "line {}", _readings(table)))


def read(walk: Walk, like: str) -> Collection:
    """Return the images of all tables of boxes in a folder; paths are relative to their table or to the folder.

    Raises:
        DataError: see `read_table`.
    """
    images: list[Boxed] = []
    readings: list[Reading] = []
    for name in (name for name in walk.others() if PurePosixPath(name).suffix.lower() in {".csv", ".tsv"}):
        if not holds_boxes(walk.root / name):
            continue
        table = read_cells(walk.root / name)
        walk.use(name)
        folder = PurePosixPath(name).parent.as_posix()
        for image in _images(table, (walk.root / name).parent):
            own = image.name if folder == "." else f"{folder}/{image.name}"
            images.append(Boxed(own, image.split or split_of(own), image.things))
        readings += _readings(table)
    listed = {image.name for image in images}
    if missing := [name for some in walk.tree().values() for name in some if name not in listed]:
        walk.leave_out(UNLISTED, *missing)
    return Collection(images, "a table", "line {}", tuple(dict.fromkeys(readings)))


def _images(table: Table, base: Path) -> list[Boxed]:
    """The images of a table in the order in which they first occur."""
    columns, is_size = columns_of(table.columns) or ([], False)
    files = path_column(table)
    label = table.column([name for name in LABELS if name != files.lower()])
    if label is None:
        raise DataError("boxes without a column of classes", where=f"{table.path}:1", fix="name it `label`")
    split_at = _split_of_rows(table)
    found: dict[str, tuple[str | None, list[Thing]]] = {}
    for row, cell in enumerate(table.columns[files]):
        name = find_file(table, row, cell, str(base))[0]
        split, things = found.setdefault(name, (split_at[row], []))
        if split != split_at[row]:
            raise table.error(row, f"image {shown(name, 60)!r} is in {split} and in {split_at[row]}", "keep it in one")
        box = _box(table, row, columns, is_size)
        if box is None:
            continue
        if is_missing(table.columns[label][row]):
            raise table.error(row, "a box without a class", "write its class")
        things.append(Thing(table.columns[label][row], box, number=table.lines[row]))
    return [Boxed(name, split, tuple(things)) for name, (split, things) in found.items()]


def _box(table: Table, row: int, columns: Sequence[str], is_size: bool) -> SideXYXY | None:
    cells = [table.columns[name][row] for name in columns]
    if all(map(is_missing, cells)):
        return None
    values = [number(cell) for cell in cells]
    odd = next((name for name, value in zip(columns, values, strict=True) if value is None), None)
    if odd is not None:
        raise table.error(row, f"{odd} is {shown(table.columns[odd][row], 20)!r}, no number", FIX)
    left, top, right, bottom = (value or 0.0 for value in values)
    return (left, top, left + right, top + bottom) if is_size else (left, top, right, bottom)


def _split_of_rows(table: Table) -> list[str | None]:
    found: list[str | None] = [None] * len(table)
    for split, rows in splits_of(table, find_split(table, None)).items():
        for row in rows:
            found[int(row)] = split if split in SPLITS else None
    return found


def _readings(table: Table) -> tuple[Reading, ...]:
    columns, is_size = columns_of(table.columns) or ([], False)
    text = f"boxes by {', '.join(columns)} ({'corner and size' if is_size else 'two corners'} in pixels)"
    numbers = [value for name in columns for cell in table.columns[name] if (value := number(cell)) is not None]
    if numbers and max(numbers) <= 1:
        what = f"the sides of all boxes are at most 1: shares, not pixels ({plural(len(numbers) // 4, 'box', 'boxes')})"
        raise DataError(what, where=table.path, fix="multiply them by the width and the height of their image")
    return (Reading(text),)
