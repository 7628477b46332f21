"""CSV and TSV tables: one picture a line, with its label, labels or numbers, and if wanted its split and group."""

import csv
import io
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.base.choose import choose
from striate.base.errors import DataError
from striate.base.text import plural, shown

from ..channels import sampled_channels
from ..format import EXTENSIONS
from ..sample import SPLITS, Dataset, Target
from .images import FileImages
from .names import SPLIT_NAMES, class_list

PATH_NAMES = ("path", "file", "filename", "file_name", "image", "image_path", "img")
LABEL_NAMES = ("label", "labels", "class", "category", "target", "tags")
DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class _Table:
    """The cells of a table by column, and the line each row ends on."""

    path: Path
    columns: dict[str, list[str]]
    lines: list[int]

    def error(self, row: int, what: str, fix: str) -> DataError:
        return DataError(what, where=f"{self.path}:{self.lines[row]}", fix=fix)


def read(
    path: Path,
    where: str,
    *,
    root: Path | None = None,
    target: str | None = None,
    task: str | None = None,
    separator: str | None = None,
) -> Dataset:
    """Return the dataset of a table with a header line, such as `path,label[,split][,group]`.

    Paths are relative to `root`, by default the table's folder. Labels are text: `010` and `10` are two classes.
    Several labels an image: `separator` divides the label cell, or there is one 0/1 column a class and no label
    column. Numbers: any further column of numbers is a target of its own, the label column too with task "regress";
    `target="x,y"` joins columns; a column whose name ends in `deg` holds angles.

    Raises:
        DataError: the message has the line: a file that is missing or named twice, an empty label, a cell too many.
    """
    table = _read_cells(path)
    base = root if root is not None else path.parent
    names = _names(table, _column(table, PATH_NAMES) or _no_path_column(table), base)
    targets = _targets(table, target, task, separator)
    splits = _splits(table)
    _check_train_classes(table, targets, splits)
    label = next(iter(targets.values()))
    kinds = label.values.tolist() if label.kind == "label" else None
    channels, said = sampled_channels(base, names, kinds)
    empty = int((~label.values.any(axis=1)).sum()) if label.kind == "tags" else 0
    notes = [f"layout: table with the columns {', '.join(shown(name, 30) for name in table.columns)}", said]
    if empty:
        notes.append(f"{plural(empty, 'image')} without any label")
    groups = _column(table, ("group",))
    return Dataset(
        name=path.stem,
        where=where,
        images=FileImages(base, tuple(names), channels),
        ids=tuple(names),
        targets=targets,
        splits=splits,
        channels=channels,
        groups=tuple(table.columns[groups]) if groups else None,
        notes=tuple(notes),
    )


def _read_cells(path: Path) -> _Table:
    text = _read_text(path)
    first = text.split("\n", 1)[0]
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(DELIMITERS, key=first.count)
    rows: list[list[str]] = []
    lines: list[int] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append([cell.strip() for cell in row])
                lines.append(reader.line_num)
    except csv.Error as problem:
        where = f"{path}:{reader.line_num}"
        raise DataError(f"not a table line ({problem})", where=where, fix="mend the quotes of this line") from problem
    _check_shape(path, header, rows, lines)
    return _Table(path, {name: [row[at] for row in rows] for at, name in enumerate(header)}, lines)


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as problem:
        raise DataError(f"table cannot be read ({problem.strerror})", where=path, fix="check the path") from problem
    except UnicodeDecodeError as problem:
        line = data[: problem.start].count(b"\n") + 1
        raise DataError("table is not UTF-8 text", where=f"{path}:{line}", fix="save it as UTF-8") from problem


def _check_shape(path: Path, header: list[str], rows: list[list[str]], lines: list[int]) -> None:
    if any(name.lower().endswith(EXTENSIONS) for name in header):
        raise DataError("table has no header line", where=f"{path}:1", fix="add a first line such as path,label")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None or not all(header):
        what = f"column {twice!r} is there twice" if twice else "a column has no name"
        raise DataError(what, where=f"{path}:1", fix="give every column its own name")
    if not rows:
        raise DataError("table has no rows", where=path, fix="add a line for each picture")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(header):
            what = f"{plural(len(row), 'cell')} in this line, {len(header)} in the header"
            raise DataError(what, where=f"{path}:{line}", fix="put cells that hold the delimiter into quotes")


def _column(table: _Table, names: tuple[str, ...]) -> str | None:
    known = {name.lower(): name for name in table.columns}
    return next((known[name] for name in names if name in known), None)


def _no_path_column(table: _Table) -> str:
    have = ", ".join(shown(name, 30) for name in table.columns)
    raise DataError(f"no path column among {have}", where=f"{table.path}:1", fix="name the column of files `path`")


def _names(table: _Table, column: str, base: Path) -> list[str]:
    """Return the files as paths relative to the root."""
    names: list[str] = []
    first_row: dict[str, int] = {}
    for row, cell in enumerate(table.columns[column]):
        joined = os.path.normpath(os.path.join(base, cell.replace("\\", "/") if os.sep == "/" else cell))  # noqa: PTH118
        name = os.path.relpath(joined, base).replace(os.sep, "/")
        if not cell or name == "." or name.startswith("../"):
            what = f"path {shown(cell, 60)!r} leads out of {shown(base, 60)}" if cell else "path is empty"
            raise table.error(row, what, "use --root with a folder that holds all pictures")
        if not os.path.isfile(joined):  # noqa: PTH113
            raise table.error(row, f"picture {shown(name, 80)!r} is missing", "mend the path, or use --root FOLDER")
        if first_row.setdefault(name, row) != row:
            what = f"picture {shown(name, 80)!r} is also in line {table.lines[first_row[name]]}"
            raise table.error(row, what, "keep one of the two lines")
        names.append(name)
    return names


def _targets(table: _Table, target: str | None, task: str | None, separator: str | None) -> dict[str, Target]:
    used = {_column(table, PATH_NAMES), _column(table, ("split",)), _column(table, ("group",))}
    free = [name for name in table.columns if name not in used]
    label = _column(table, LABEL_NAMES)
    found: dict[str, Target] = {}
    if target is not None and "," in target:
        found[target] = _numbers(table, [name.strip() for name in target.split(",")])
    elif target is not None and task != "regress":
        choose("column", target, table.columns, DataError)
        label = target if not _is_all(table.columns[target], _is_fraction) else label
    elif target is None and task == "regress" and label and any(map(_is_number, table.columns[label])):
        found[label] = _numbers(table, [label])
    if label and label not in found:
        found[label] = _labels(table, label, separator, only=len(free) == 1 and task is None)
    if not label:
        binary = [name for name in free if _is_all(table.columns[name], lambda cell: cell in {"0", "1"})]
        if len(binary) > 1:
            found["tags"] = _binary_tags(table, binary)
            free = [name for name in free if name not in binary]
    for name in free:
        if name not in found and _is_all(table.columns[name], _is_number):
            found[name] = _numbers(table, [name])
    if not found:
        where = f"{table.path}:1"
        raise DataError("no column to learn from", where=where, fix="name a column `label`, or use --target COLUMN")
    return found


def _labels(table: _Table, column: str, separator: str | None, only: bool) -> Target:
    cells = table.columns[column]
    if separator:
        return _separated_tags(table, column, separator)
    for row, cell in enumerate(cells):
        if not cell:
            raise table.error(row, f"{column} is empty", "write the class, or remove the line")
    if only and _is_all(cells, _is_number) and any(_is_fraction(cell) for cell in cells):
        what = f"column {column!r} holds numbers such as {next(filter(_is_fraction, cells))}"
        raise DataError(what, where=table.path, fix="use --task regress to learn numbers")
    classes = class_list(cells, where=table.path)
    if len(classes) < 2:
        raise DataError(f"only one class, {shown(classes[0], 40)!r}", where=table.path, fix="add a second class")
    index = {name: position for position, name in enumerate(classes)}
    return Target("label", np.array([index[cell] for cell in cells], dtype=np.int64), classes)


def _separated_tags(table: _Table, column: str, separator: str) -> Target:
    rows = [[tag.strip() for tag in cell.split(separator) if tag.strip()] for cell in table.columns[column]]
    classes = class_list((tag for row in rows for tag in row), where=table.path)
    if not classes:
        raise DataError(f"column {column!r} holds no label", where=table.path, fix="check --separator")
    index = {name: position for position, name in enumerate(classes)}
    values = np.zeros((len(rows), len(classes)), dtype=np.uint8)
    for at, row in enumerate(rows):
        values[at, [index[tag] for tag in row]] = 1
    return Target("tags", values, classes)


def _binary_tags(table: _Table, columns: list[str]) -> Target:
    classes = class_list(columns, where=table.path)
    values = np.array([[cell == "1" for cell in table.columns[name]] for name in classes], dtype=np.uint8)
    return Target("tags", np.ascontiguousarray(values.T), classes)


def _numbers(table: _Table, columns: list[str]) -> Target:
    values = np.empty((len(table.lines), len(columns)), dtype=np.float32)
    for at, name in enumerate(columns):
        for row, cell in enumerate(choose("column", name, table.columns, DataError)):
            if not _is_number(cell):
                raise table.error(row, f"{name} is {shown(cell, 40)!r}, not a finite number", "write a number")
            values[row, at] = float(cell)
    is_angle = all(name.lower().rstrip("])").endswith("deg") for name in columns)
    return Target("value", values, tuple(columns), "deg" if is_angle else "")


def _is_all(cells: list[str], test: Callable[[str], bool]) -> bool:
    return all(test(cell) for cell in cells)


def _is_number(cell: str) -> bool:
    try:
        return bool(abs(float(cell)) < np.finfo(np.float32).max)
    except ValueError:
        return False


def _is_fraction(cell: str) -> bool:
    return _is_number(cell) and not cell.lstrip("+-").isdigit()


def _splits(table: _Table) -> dict[str, npt.NDArray[np.intp]]:
    column = _column(table, ("split",))
    if not column:
        return {}
    members: dict[str, list[int]] = {}
    for row, cell in enumerate(table.columns[column]):
        split = SPLIT_NAMES.get(cell.casefold())
        if split is None:
            raise table.error(row, f"split is {shown(cell, 40)!r}", "write train, val or test")
        members.setdefault(split, []).append(row)
    if "train" not in members:
        raise DataError("no line has the split train", where=table.path, fix="write train for some of the lines")
    return {name: np.array(members[name], dtype=np.intp) for name in SPLITS if name in members}


def _check_train_classes(
    table: _Table, targets: Mapping[str, Target], splits: Mapping[str, npt.NDArray[np.intp]]
) -> None:
    for row, name, split in _untrained(targets, splits):
        raise table.error(
            row, f"class {shown(name, 40)!r} in {split} but not in train", "add it to train, or remove it"
        )


def _untrained(
    targets: Mapping[str, Target], splits: Mapping[str, npt.NDArray[np.intp]]
) -> Iterator[tuple[int, str, str]]:
    """Yield row, class and split of images whose class has no image in train."""
    for target in targets.values():
        if target.kind != "label" or not splits:
            continue
        trained = np.unique(target.values[splits["train"]])
        for split, rows in splits.items():
            for row in rows[~np.isin(target.values[rows], trained)]:
                yield int(row), target.names[int(target.values[row])], split
