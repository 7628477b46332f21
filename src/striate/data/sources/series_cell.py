"""Cells of a table of series: samples, gaps and classes."""

from collections.abc import Sequence

import numpy as np

from striate.base.errors import DataError

GAPS = ("", "nan", "NaN", "NA")
LABELS = ("label", "class", "target", "y")


def number(cell: str) -> float | None:
    """Return the number in a cell as 32 bits hold it; None for what is none, or is not finite."""
    try:
        value = float(np.float32(cell))
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def sample(cell: str, column: str, where: str) -> float:
    """Return the sample in a cell.

    Raises:
        DataError: it is missing, or no number.
    """
    value = number(cell)
    if value is None:
        what = "a missing value" if cell in GAPS else f"{cell[:20]!r} is no number"
        name = column if column.isdigit() else repr(column)
        raise DataError(f"{what} in column {name}", where=where, fix="fill it in, or leave the case out")
    return value


def class_name(cell: str) -> str:
    """Return a class as text; a whole number as people write it, also where the table has 1.0000e+00.

    Example:
        >>> class_name("1.0000e+00"), class_name(" walk ")
        ('1', 'walk')
    """
    value = number(cell)
    return str(int(value)) if value is not None and value == int(value) else cell.strip()


def label_places(header: Sequence[str]) -> list[int]:
    """Return the columns that are called as a class is."""
    return [at for at, cell in enumerate(header) if cell.strip().lower() in LABELS]
