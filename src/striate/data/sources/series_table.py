"""Time series in a CSV or TSV table: a row a case, one column its class, the others its samples in time order.

With a header the class stands under `label`, `class`, `target` or `y`; without one it is the first column, as in the
`.tsv` files of the UCR archive. Columns called like pixels (0, 1, 2 or pixel0) are none of series. A row that ends in
empty cells or `nan` is a shorter series.
"""

import csv
import io
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError

from .cells import read_text, refuse_pixels
from .series_images import Cases

SUFFIXES = (".csv", ".tsv")
LABELS = ("label", "class", "target", "y")
MIN_SAMPLES = 8
HEAD_BYTES, HEAD_LINES = 1 << 20, 8
_GAPS = ("", "nan", "NaN", "NA")


def is_series_table(path: Path) -> bool:
    """Return whether a table holds series, by its first three lines: a class, and at least 8 columns of numbers.

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
    place = _label_column(rows[0]) if rows else None
    body = rows[1:] if rows and not _is_headless(rows[0]) else rows
    return place is not None and bool(body) and all(_is_case(row, place) for row in body)


def read_table(path: Path, *, needs_class: bool = True) -> Cases:
    """Return the cases of a table of one-dimensional series.

    Args:
        needs_class: whether a table without a column of classes is refused; else every column is a sample.

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
    place = _label_column(rows[0][1]) if rows else None
    if rows and place is None and needs_class:
        fix = f"name the column of classes {LABELS[0]}"
        raise DataError("no column of classes", where=f"{path}:{rows[0][0]}", fix=fix)
    header = None if not rows or _is_headless(rows[0][1]) else rows.pop(0)[1]
    if not rows:
        raise DataError("no row of a series", where=path, fix="write a row for each case")
    found = [_case(row, place, header, f"{path}:{line}") for line, row in rows]
    return Cases(tuple(values for values, _ in found), tuple(label for _, label in found), ())


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _is_headless(row: list[str]) -> bool:
    """Whether the first row is a case: all but its class are numbers."""
    return len(row) > 1 and all(_number(cell) is not None for cell in row[1:] if cell.strip() not in _GAPS)


def _label_column(row: list[str]) -> int | None:
    if _is_headless(row):
        return 0
    places = [place for place, cell in enumerate(row) if cell.strip().lower() in LABELS]
    return places[0] if len(places) == 1 else None


def _is_case(row: list[str], place: int) -> bool:
    samples = [cell for at, cell in enumerate(row) if at != place and cell.strip() not in _GAPS]
    return len(samples) >= MIN_SAMPLES and all(_number(cell) is not None for cell in samples)


def _case(
    row: list[str], place: int | None, header: list[str] | None, where: str
) -> tuple[npt.NDArray[np.float32], str]:
    """The values (L, 1) and the class of a row."""
    if header is not None and len(row) > len(header):
        raise DataError(f"{len(row)} cells under {len(header)} columns", where=where, fix="give each cell a column")
    samples = [(at, cell.strip()) for at, cell in enumerate(row) if at != place]
    while samples and samples[-1][1] in _GAPS:
        samples.pop()
    values = []
    for at, cell in samples:
        value = _number(cell)
        if value is None:
            name = repr(header[at]) if header else str(at + 1)
            what = "a missing value" if cell in _GAPS else f"{cell[:20]!r} is no number"
            raise DataError(f"{what} in column {name}", where=where, fix="fill it in, or leave the case out")
        values.append(value)
    label = _label_text(row[place]) if place is not None and place < len(row) else ""
    if place is not None and not label:
        raise DataError("a case without class", where=where, fix="write its class")
    if len(values) < 2:
        raise DataError("a series of fewer than two samples", where=where, fix="fill it in, or leave the case out")
    return np.array(values, np.float32)[:, None], label


def _label_text(cell: str) -> str:
    """A class as text; a whole number as people write it, also where the table has 1.0000e+00."""
    value = _number(cell)
    return str(int(value)) if value is not None and value == int(value) else cell.strip()


def _number(cell: str) -> float | None:
    try:
        value = float(np.float32(cell))
    except ValueError:
        return None
    return value if np.isfinite(value) else None
