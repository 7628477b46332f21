"""Time series in a CSV or TSV table, in one of two forms.

A row a case: one column is its class, the others are its samples in time order. With a header the class stands under
`label`, `class`, `target` or `y`; without one it is the first column, as in the `.tsv` files of the UCR archive. Where
columns are called by several names with the same running numbers (`x_0`, `x_1`, ..., `y_0`, `y_1`, ...), each name is a
dimension. Columns called like pixels (0, 1, 2 or pixel0) are none of series. A row whose dimensions end in empty cells
or `nan` is a shorter series.

A row a time step (`series_steps`): a column `case` or `series` says whose.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError

from . import series_steps
from .cells import read_text, refuse_pixels
from .series_cell import GAPS, class_name, label_places, number, sample
from .series_images import Cases

SUFFIXES = (".csv", ".tsv")
MIN_SAMPLES = 8
HEAD_BYTES, HEAD_LINES = 1 << 20, 8
_NUMBERED = re.compile(r"(.*[^\d_ -])[_ -]*(\d+)")  # of a column: its dimension, and its place in time


@dataclass(frozen=True)
class _Columns:
    """Which columns are what: the class's, and those of each dimension in time order; None without a header."""

    label: int | None
    dims: Mapping[str, Sequence[int]] | None
    header: Sequence[str] | None

    def of(self, row: Sequence[str]) -> Sequence[Sequence[int]]:
        """The columns of each dimension in a row."""
        if self.dims:
            return list(self.dims.values())
        return [[at for at in range(len(row)) if at != self.label]]


def is_series_table(path: Path) -> bool:
    """Return whether a table holds series, by its first lines: a class, and columns of numbers.

    No more than its first MiB is read: a table may be of any size, and have no end of a line.
    """
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head, rest = file.read(HEAD_BYTES), file.read(1)
        lines = head.splitlines(keepends=True)[: -1 if rest else None]
        text = b"".join(lines[:HEAD_LINES]).decode("utf-8-sig")
        rows = list(islice(csv.reader(text.splitlines(), delimiter=_delimiter(path)), 3))
        refuse_pixels(path, rows[0] if rows else [])
    except (OSError, UnicodeDecodeError, csv.Error, DataError):
        return False
    if not rows:
        return False
    if series_steps.are_steps(rows):
        return True
    label = _label_column(rows[0])
    body = rows if _is_headless(rows[0]) else rows[1:]
    return label is not None and bool(body) and all(_is_case(row, label) for row in body)


def read_table(path: Path, *, needs_class: bool = True) -> Cases:
    """Return the cases of a table.

    Args:
        needs_class: whether a table without a column of classes is refused; else every other column is of samples.

    Raises:
        DataError: it cannot be read, or a cell is no number; the message names line and column.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=_delimiter(path))
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as problem:
        raise DataError(
            f"table of series cannot be read ({problem})", where=path, fix="save it as UTF-8 CSV"
        ) from problem
    first = rows[0][1] if rows else []
    label = _label_column(first)
    is_steps = series_steps.has_cases(first)
    if rows and label is None and needs_class:
        raise DataError("no column of classes", where=f"{path}:{rows[0][0]}", fix="name the column of classes label")
    header = None if not rows or _is_headless(first) else rows.pop(0)[1]
    if not rows:
        raise DataError("no row of a series", where=path, fix="write a row for each case")
    if is_steps and header is not None:
        return series_steps.read_steps(path, header, rows, label)
    columns = _Columns(label, _dimensions(header, label) if header else None, header)
    found = [_case(row, columns, f"{path}:{line}") for line, row in rows]
    dims = tuple(columns.dims) if columns.dims else ()
    return Cases(tuple(values for values, _ in found), tuple(label for _, label in found), (), dims)


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _is_headless(row: list[str]) -> bool:
    """Whether the first row is a case: all but its class are numbers."""
    return len(row) > 1 and all(number(cell) is not None for cell in row[1:] if cell.strip() not in GAPS)


def _label_column(row: list[str]) -> int | None:
    if _is_headless(row):
        return 0
    places = label_places(row)
    return places[0] if len(places) == 1 else None


def _dimensions(header: Sequence[str], label: int | None) -> dict[str, list[int]] | None:
    """The columns of each dimension, None where there is one.

    Example:
        >>> _dimensions(["label", "x_0", "x_1", "y_0", "y_1"], 0), _dimensions(["t0", "t1", "label"], 2)
        ({'x': [1, 2], 'y': [3, 4]}, None)
    """
    found: dict[str, dict[int, int]] = {}
    for at, name in enumerate(header):
        if at == label:
            continue
        match = _NUMBERED.fullmatch(name.strip())
        if match is None or int(match[2]) in found.setdefault(match[1], {}):
            return None
        found[match[1]][int(match[2])] = at
    times = {tuple(sorted(places)) for places in found.values()}
    if len(found) < 2 or len(times) > 1 or len(next(iter(times))) < 2:
        return None
    return {name: [at for _, at in sorted(places.items())] for name, places in found.items()}


def _is_case(row: list[str], place: int) -> bool:
    samples = [cell for at, cell in enumerate(row) if at != place and cell.strip() not in GAPS]
    return len(samples) >= MIN_SAMPLES and all(number(cell) is not None for cell in samples)


def _case(row: list[str], columns: _Columns, where: str) -> tuple[npt.NDArray[np.float32], str]:
    """The values (L, D) and the class of a row."""
    header, label = columns.header, columns.label
    if header is not None and len(row) > len(header):
        raise DataError(f"{len(row)} cells under {len(header)} columns", where=where, fix="give each cell a column")
    values = [_samples(row, places, header, where) for places in columns.of(row)]
    name = class_name(row[label]) if label is not None and label < len(row) else ""
    if label is not None and not name:
        raise DataError("a case without class", where=where, fix="write its class")
    lengths = [len(one) for one in values]
    if len(set(lengths)) > 1:
        what = f"dimensions of different lengths ({', '.join(map(str, lengths[:6]))})"
        raise DataError(what, where=where, fix="give all the same length")
    if lengths[0] < 2:
        raise DataError("a series of fewer than two samples", where=where, fix="fill it in, or leave the case out")
    return np.array(values, np.float32).T, name


def _samples(row: list[str], places: Sequence[int], header: Sequence[str] | None, where: str) -> list[float]:
    """The samples of a dimension; gaps at its end are none."""
    cells = [(at, row[at].strip() if at < len(row) else "") for at in places]
    while cells and cells[-1][1] in GAPS:
        cells.pop()
    return [sample(cell, header[at] if header else str(at + 1), where) for at, cell in cells]
