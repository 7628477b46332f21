"""Points in CSV and TSV tables: a line an image, two columns a point, `path,x_nose,y_nose,...`; empty: not visible.

Places are pixels of the upright image from its outer corner: the middle of the first pixel is 0.5, 0.5.
"""

from collections.abc import Sequence

import numpy as np

from striate.base.choose import nearest
from striate.base.errors import DataError
from striate.base.text import shown

from ..target import Points
from ..target.points import SEEN, UNKNOWN, pairs_of
from .cells import Table
from .kinds import is_missing, number
from .table_splits import may_divide

NAME = "points"  # of the target
AXES = ("x", "y")
FIX = "write two numbers in pixels, or leave both empty: not visible"


def columns_of(table: Table, free: Sequence[str], *, is_asked: bool = False) -> tuple[str, ...]:
    """Return the columns of points, x and y of each in turn; none where the free columns are something else.

    `x_nose,y_nose` and `nose_x,nose_y` are both read.

    Args:
        is_asked: points are asked for, so that there may be other columns too.

    Raises:
        DataError: a point has one of its two columns only, or points are asked for and there are none.
    """
    named = {name: part for name in free if (part := _parted(name))}
    known = {part: name for name, part in named.items()}
    points = dict.fromkeys(point for point, _ in named.values())
    lone = [name for name, (point, axis) in named.items() if (point, AXES[axis == "x"]) not in known]
    others = [name for name in free if name not in named and not may_divide(name, table.columns[name])]
    is_meant = is_asked or (not others and len(lone) < len(named))
    if not named and is_asked:
        what = "no columns of points"
        raise DataError(what, where=f"{table.path}:1", fix="name them x_NAME and y_NAME, two for each point")
    if not is_meant or not named:
        return ()
    if lone:
        raise _no_partner(table, lone, named[lone[0]])
    return tuple(known[point, axis] for point in points for axis in AXES)


def read(table: Table, columns: Sequence[str]) -> Points:
    """Return the points of these columns, one set an image.

    Raises:
        DataError: the message has the line: a cell that is no number, or x without y; or all are shares, not pixels.
    """
    names = tuple(_parted(name)[0] for name in columns[::2])  # type: ignore[index]
    values = np.array([_numbers(table, name) for name in columns]).T.reshape(len(table), 1, len(names), 2)
    is_known = ~np.isnan(values)
    if (odd := np.argwhere(is_known[..., 0] != is_known[..., 1])).size:
        row, _, point = odd[0].tolist()
        pair = columns[2 * point : 2 * point + 2]
        full, empty = pair if is_known[row, 0, point, 0] else reversed(pair)
        raise table.error(row, f"{shown(empty, 30)} is empty, {shown(full, 30)} is not", FIX)
    if is_known.any() and np.nanmax(values) <= 1:
        fix = "multiply x by the width and y by the height of its image"
        raise DataError("the points are at most 1: shares, not pixels", where=table.path, fix=fix)
    visible = np.where(is_known.all(-1), SEEN, UNKNOWN)
    return Points.of(list(np.nan_to_num(values)), list(visible), names, pairs_of(names))


def _parted(column: str) -> tuple[str, str] | None:
    """The point and the axis of a column: `x_nose` or `nose_x`; None of others."""
    for axis in AXES:
        if column.lower().startswith(f"{axis}_") and len(column) > 2:
            return column[2:], axis
        if column.lower().endswith(f"_{axis}") and len(column) > 2:
            return column[:-2], axis
    return None


def _numbers(table: Table, name: str) -> list[float]:
    values = []
    for row, cell in enumerate(table.columns[name]):
        value = np.nan if is_missing(cell) else number(cell)
        if value is None:
            raise table.error(row, f"{shown(name, 30)} is {shown(cell, 20)!r}, no number", FIX)
        values.append(value)
    return values


def _no_partner(table: Table, lone: Sequence[str], part: tuple[str, str]) -> DataError:
    """What is said of a point that has one column, and of the column that may have been meant."""
    point, axis = part
    other = AXES[axis == "x"]
    close = nearest(f"{other}_{point}", [name for name in lone if _parted(name) not in {None, part}])
    fix = f"did you mean {shown(close, 30)}?" if close else "add it, or remove the column"
    what = f"column {shown(lone[0], 30)} has no {other} beside it"
    return DataError(what, where=f"{table.path}:1", fix=fix)
