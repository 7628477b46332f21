"""Time series in a table with a row a time step: a column says whose step it is, the others are the dimensions.

The case stands under `case`, `series`, `case_id` or `series_id`, its class, the same in all its rows, under `label`. A
column `time` (`t`, `step`, `timestamp`) must rise within a case, and is no dimension.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from striate.base.errors import DataError
from striate.base.text import shown

from .series_cell import class_name, label_places, number, sample
from .series_images import Cases

CASES = ("case", "series", "case_id", "series_id")
TIMES = ("time", "t", "step", "timestamp")


def has_cases(header: Sequence[str]) -> bool:
    """Return whether a header has a column of cases."""
    return len(_places(header, CASES)) == 1


def are_steps(rows: Sequence[list[str]]) -> bool:
    """Return whether the first rows of a table are a header and steps of cases with a class."""
    header, body = rows[0], rows[1:]
    kept = _dimensions(header)
    is_headed = has_cases(header) and len(label_places(header)) == 1 and bool(kept) and bool(body)
    return is_headed and all(
        len(row) == len(header) and all(number(row[at]) is not None for at in kept) for row in body
    )


def read_steps(path: Path, header: list[str], rows: Sequence[tuple[int, list[str]]], label: int | None) -> Cases:
    """Return the cases of a table, in the order of their first rows.

    Args:
        rows: the line and the cells of each.
        label: the column of classes, None where there is none.

    Raises:
        DataError: a cell is missing or no number, a case has two classes, or its time does not rise.
    """
    case, times, kept = _places(header, CASES)[0], _places(header, TIMES), _dimensions(header)
    values: dict[str, list[list[float]]] = {}
    labels: dict[str, str] = {}
    last: dict[str, float] = {}
    for line, row in rows:
        where = f"{path}:{line}"
        if len(row) != len(header):
            raise DataError(f"{len(row)} cells under {len(header)} columns", where=where, fix="give each column a cell")
        name, own = row[case].strip(), "" if label is None else class_name(row[label])
        if not name or (label is not None and not own):
            raise DataError("a step without case or class", where=where, fix="write both in every row")
        if labels.setdefault(name, own) != own:
            what = f"case {shown(name, 40)} has the classes {shown(labels[name], 40)} and {shown(own, 40)}"
            raise DataError(what, where=where, fix="give a case one class")
        for at in times[:1]:
            now = sample(row[at].strip(), header[at], where)
            if now <= last.get(name, -np.inf):
                raise DataError(f"the time of case {shown(name, 40)} does not rise", where=where, fix="sort the rows")
            last[name] = now
        values.setdefault(name, []).append([sample(row[at].strip(), header[at], where) for at in kept])
    short = next((name for name, steps in values.items() if len(steps) < 2), None)
    if short is not None:
        raise DataError(f"case {shown(short, 40)} has one step", where=path, fix="leave it out, or add its steps")
    found = tuple(np.array(steps, np.float32) for steps in values.values())
    return Cases(found, tuple(labels.values()), (), tuple(header[at].strip() for at in kept))


def _places(header: Sequence[str], names: Sequence[str]) -> list[int]:
    return [at for at, cell in enumerate(header) if cell.strip().lower() in names]


def _dimensions(header: Sequence[str]) -> list[int]:
    """The columns that are neither case nor class nor time."""
    others = {*_places(header, CASES), *_places(header, TIMES), *label_places(header)}
    return [at for at in range(len(header)) if at not in others]
