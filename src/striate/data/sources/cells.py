"""The cells of a CSV or TSV file by column, and the line that each row stands on."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from striate.base.columns import size
from striate.base.errors import DataError
from striate.base.text import NotUtf8, plural, shown, text_of

from ..format import EXTENSIONS
from .kinds import is_whole

DELIMITERS = ",;\t|"
MAX_BYTES = 256 << 20  # in memory a cell takes some ten times its bytes
MIN_PIXELS = 16  # columns of numbers that can be an image
_DIRECTIVE = re.compile(r'"?sep=([^\w\s"]|\t)"?[ ,;\t]*(\r\n|\n|\r)', re.ASCII | re.IGNORECASE)
_PIXEL = re.compile(r"(pixel|pix|px|p)?[ _-]?\d+([ _x-]\d+)?|pixels", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """The cells by column without blanks around them, the line each row ends on, and what was left out."""

    path: Path
    columns: dict[str, list[str]]
    lines: list[int]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    def error(self, row: int, what: str, fix: str, option: str = "") -> DataError:
        """Return an error about one row."""
        return DataError(what, where=f"{self.path}:{self.lines[row]}", fix=fix, option=option)

    def column(self, names: Sequence[str]) -> str | None:
        """Return the column called like the first of these names that is there, however it is capitalised."""
        known = {name.lower(): name for name in reversed(self.columns)} | {name: name for name in self.columns}
        return next((known[name] for name in names if name in known), None)

    def take(self, rows: Sequence[int]) -> "Table":
        """Return some of the rows."""
        columns = {name: [cells[row] for row in rows] for name, cells in self.columns.items()}
        return replace(self, columns=columns, lines=[self.lines[row] for row in rows])


def read_cells(path: Path) -> Table:
    """Return the table of a file with a header line.

    A column without a name is left out, with a note, if it is the index that pandas writes or empty.

    Raises:
        DataError: no UTF-8 text, too large, no header, a column twice or without a name, a cell too many.
    """
    text = read_text(path)
    delimiter, text = _delimiter(path, text)
    rows: list[list[str]] = []
    lines: list[int] = []
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError("zero bytes, which no text holds", where=f"{path}:{line}", fix="save it as CSV in UTF-8")
    start = 1  # a quote that is never closed swallows the lines behind it
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next((row for row in reader if row), [])]
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append([cell.strip() for cell in row])
                lines.append(reader.line_num)
            start = reader.line_num + 1
    except csv.Error as problem:
        what, fix = f"not a table line ({problem})", "mend the quotes of this line"
        raise DataError(what, where=f"{path}:{start}", fix=fix) from problem
    _check_shape(path, header, rows, lines)
    return _named(path, header, rows, lines)


def _delimiter(path: Path, text: str) -> tuple[str, str]:
    """Return the delimiter and the text; a first line `sep=;`, which spreadsheets write and obey, is blank in it."""
    if directive := _DIRECTIVE.match(text):
        return directive[1], "\n" + text[directive.end() :]
    first = text.split("\n", 1)[0]
    is_tabbed = path.suffix.lower() == ".tsv" and "\t" in first
    return "\t" if is_tabbed else max(DELIMITERS, key=first.count), text


def refuse_pixels(path: Path, header: Sequence[str]) -> None:
    """Return unless the columns are the pixels of an image.

    Raises:
        DataError: they are.
    """
    pixels = [name for name in header if _PIXEL.fullmatch(name)]
    if len(pixels) >= MIN_PIXELS or "pixels" in map(str.lower, pixels):
        named = f"{shown(pixels[0], 20)} to {shown(pixels[-1], 20)}" if len(pixels) > 1 else "pixels"
        what = f"the pixels of an image stand in columns ({named}), not in files"
        raise DataError(what, where=f"{path}:1", fix="save an .npz with arrays images (N, H, W) and labels (N,)")


def read_text(path: Path) -> str:
    """Return the text of a table.

    Raises:
        DataError: it cannot be read, is too large, or is not UTF-8.
    """
    try:
        num_bytes = path.stat().st_size
        if num_bytes > MAX_BYTES:
            what, fix = f"table of {size(num_bytes)}, more than {size(MAX_BYTES)}", "keep the columns you need"
            raise DataError(what, where=path, fix=fix)
        data = path.read_bytes()
        return text_of(data)
    except OSError as problem:
        raise DataError(f"table cannot be read ({problem.strerror})", where=path, fix="check the path") from problem
    except NotUtf8 as problem:
        line = f":{problem.line}" if problem.line else ""
        raise DataError(
            f"table is not UTF-8 text ({problem})", where=f"{path}{line}", fix="save it as UTF-8"
        ) from problem


def _check_shape(path: Path, header: list[str], rows: list[list[str]], lines: list[int]) -> None:
    if any(name.lower().endswith(EXTENSIONS) for name in header):
        raise DataError("table has no header line", where=f"{path}:1", fix="add a first line such as path,label")
    twice = next((name for name, count in Counter(header).items() if count > 1 and name), None)
    if twice is not None:
        refuse_pixels(path, header)  # without a header line, numbers stand there
        raise DataError(f"column {shown(twice, 40)!r} is there twice", where=f"{path}:1",
                        fix="give every column its own name")  # fmt: skip
    if not rows:
        raise DataError("table has no rows", where=path, fix="add a line for each image")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(header):
            what = f"{plural(len(row), 'cell')} in this line, {len(header)} in the header"
            fix = "put cells that hold the delimiter into quotes" if len(row) > len(header) else "add the missing cells"
            raise DataError(what, where=f"{path}:{line}", fix=fix)


def _named(path: Path, header: list[str], rows: list[list[str]], lines: list[int]) -> Table:
    """Return the columns that have a name; of the others the index of pandas and empty ones are left out."""
    columns: dict[str, list[str]] = {}
    notes = []
    for at, name in enumerate(header):
        cells = [row[at] for row in rows]
        is_index = len(set(cells)) == len(cells) and all(map(is_whole, cells))
        if name and not (is_index and name == "Unnamed: 0"):
            columns[name] = cells
        elif is_index:
            notes.append("left out: a column of row numbers without a name, as pandas writes it")
        elif not any(cells):
            notes.append("left out: an empty column without a name")
        else:
            what = f"column {at + 1} has no name"
            raise DataError(what, where=f"{path}:1", fix="give it a name; of pandas: to_csv(..., index=False)")
    return Table(path, columns, lines, tuple(notes))
