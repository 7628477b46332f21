"""Numbers that a person types or keeps in a file: `"1 0 0; 0 1 1"`, a table of text, or an .npy array."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.base.errors import SettingsError
from striate.base.text import NotUtf8, shown, text_of

MAX_NUMBERS = 10_000  # far more than a page shows
MAX_BYTES = 1 << 20

Grid = npt.NDArray[np.float64]


def read_grid(text: str, where: str) -> Grid:
    """Return the numbers of a text of rows, or of the file that it names.

    Args:
        text: numbers apart by blanks or commas, rows by semicolons; or the path of a text file (a row a line) or of an
            .npy array. One row is one axis.
        where: the option, for messages.

    Raises:
        SettingsError: a cell is no finite number, rows differ in length, the file cannot be read, or it is too large.

    Example:
        >>> read_grid("1 0 0; 0 1 1", "--values").shape, read_grid("1, 2.5, -3", "--values").tolist()
        ((2, 3), [1.0, 2.5, -3.0])
    """
    path = Path(text)
    if text.endswith(".npy"):
        return _checked(_array(path, where), where)
    if _is_file(path):
        if path.stat().st_size > MAX_BYTES:
            raise SettingsError(
                f"{shown(text)} has more than a page of numbers", where=where, fix="give a smaller file"
            )
        try:
            text = text_of(path.read_bytes()).strip().replace("\n", ";")
        except (OSError, NotUtf8) as problem:
            raise SettingsError(f"{shown(text)} is no text", where=where, fix="give a text of numbers") from problem
    rows = [[_number(cell, where) for cell in row.replace(",", " ").split()] for row in text.split(";")]
    rows = [row for row in rows if row]
    if not rows or len({len(row) for row in rows}) > 1:
        lengths = ", ".join(str(len(row)) for row in rows[:6]) or "none"
        fix = 'write rows of equal length: "1 0 0; 0 1 1"'
        raise SettingsError(f"rows of {lengths} numbers are no grid", where=where, fix=fix)
    found = np.array(rows)
    return _checked(found[0] if len(found) == 1 else found, where)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a long row of numbers is no path
        return False


def _number(cell: str, where: str) -> float:
    try:
        return float(cell)
    except ValueError as problem:
        fix = 'write numbers, or the path of a file: "1 0 0; 0 1 1"'
        raise SettingsError(f"{shown(cell)} is neither a number nor a file", where=where, fix=fix) from problem


def _array(path: Path, where: str) -> Grid:
    try:
        found = np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError) as problem:
        raise SettingsError(f"{shown(path)} is no .npy array", where=where, fix="give a file of np.save") from problem
    if found.dtype.kind not in "biuf":
        raise SettingsError(f"{shown(path)} holds {found.dtype}, no numbers", where=where, fix="save it as float64")
    _check_size(found, where)  # before it is read
    return np.asarray(found, dtype=np.float64)


def _checked(found: Grid, where: str) -> Grid:
    _check_size(found, where)
    if not np.isfinite(found).all():
        raise SettingsError("a number is not finite", where=where, fix="leave out nan and inf")
    return found


def _check_size(found: npt.NDArray[Any], where: str) -> None:
    if not 1 <= found.size <= MAX_NUMBERS or not 1 <= found.ndim <= 4:
        what = f"{found.size:,} numbers on {found.ndim} axes cannot be shown"
        raise SettingsError(what, where=where, fix=f"give 1 to {MAX_NUMBERS:,} numbers")
