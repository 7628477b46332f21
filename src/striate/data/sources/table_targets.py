"""What a table teaches: which of its columns, and whether they are classes, tags or numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from striate.base.choose import choose
from striate.base.errors import DataError
from striate.base.text import plural, shown

from ..target import Angle, Label, Number, Tags, Target
from . import kinds, table_points
from .cells import Table
from .names import class_list
from .table_splits import may_divide

LABEL_NAMES = ("label", "labels", "class", "category", "target", "tags")
DERIVED = ("tags", "label")  # targets made of several columns
BLANKS = ("negative", "ignore")
NUMBER = "write a number"


@dataclass(frozen=True)
class Plan:
    """What is learnt first: the target's name, how its columns hold it, and how that was decided where it was guessed.

    `form` is "label", "points" (two columns a point), "flags" (a column of 0/1 for each class), "separated" (several
    labels in a cell) or "value".
    """

    name: str
    form: str
    columns: tuple[str, ...]
    guess: str = ""


def plan(table: Table, free: Sequence[str], target: str | None, task: str | None, separator: str | None) -> Plan:
    """Return what is learnt from the `free` columns.

    A column called `label` or alike holds classes. Without one, columns of 0/1 are flags, one of them alone or one
    column of text are classes, numbers are numbers.

    Raises:
        DataError: there is nothing to learn from, numbers may as well be classes, or a point lacks its x or its y.
    """
    is_asked = target == table_points.NAME or (target is None and task == table_points.NAME)
    if is_asked or (target is None and task is None):
        points = table_points.columns_of(table, free, is_asked=is_asked)
        if points:
            return Plan(table_points.NAME, "points", points)
    if target is not None and target in table.columns:
        return _of_column(table, target, task, separator)
    if target is not None and "," in target:
        return _of_columns(table, target, task)
    if target is not None and target not in DERIVED:
        choose("column", target, table.columns, DataError)
    label = table.column(LABEL_NAMES)
    label = label if label in free else None
    if label and (task != "regress" or any(map(kinds.is_number, table.columns[label]))):
        return _of_column(table, label, task, separator)
    return _unnamed(table, free, task)


def numeric(table: Table, free: Sequence[str]) -> tuple[list[str], dict[str, int]]:
    """Return the columns of numbers, and the first bad row of those where nearly all cells are numbers."""
    whole, spoilt = [], {}
    for name in free:
        odd = kinds.misfits(table.columns[name], kinds.is_number)
        if odd:
            spoilt[name] = odd[0]
        elif odd is not None:
            whole.append(name)
    return whole, spoilt


def build(table: Table, chosen: Plan, task: str | None, separator: str | None) -> tuple[Target, str]:
    """Return the planned target, and a sentence on how its cells were read where that could be doubted.

    Raises:
        DataError: the message has the line: a cell that is empty or does not fit the others.
    """
    if chosen.form == "value":
        return numbers(table, chosen.columns), chosen.guess
    if chosen.form == "points":
        return table_points.read(table, chosen.columns), chosen.guess
    if chosen.form == "flags":
        return _flags(table, chosen, task)
    if chosen.form == "separated":
        return _separated(table, chosen.columns[0], str(separator)), chosen.guess
    return _labels(table, chosen.columns[0]), chosen.guess


def numbers(table: Table, columns: Sequence[str]) -> Target:
    """Return columns of numbers (N, D), float64, so that none loses a digit; angles where all names end in `deg`.

    Raises:
        DataError: a cell is no number; the message has its line.
    """
    values = np.empty((len(table), len(columns)), dtype=np.float64)
    for at, name in enumerate(columns):
        for row, cell in enumerate(choose("column", name, table.columns, DataError)):
            value = kinds.number(cell)
            if value is None:
                raise _no_number(table, name, row)
            values[row, at] = value
    is_angle = all(name.lower().rstrip("])").endswith("deg") for name in columns)
    return Angle(values, tuple(columns)) if is_angle else Number(values, tuple(columns))


def without_blanks(table: Table, chosen: Plan, blank: str | None) -> tuple[Table, str]:
    """Return the table with blanks of the planned columns ruled on, and a sentence that says how.

    A blank cell is empty or says `nan`; among 0/1 columns -1 is one too. "negative" takes it for 0, "ignore" leaves
    the image out.
    """
    if blank is None:
        return table, ""
    choose("rule for blanks", blank, dict.fromkeys(BLANKS))
    is_unknown = _unknown(table, chosen)
    rows = [row for row in range(len(table)) if any(is_unknown(table.columns[name][row]) for name in chosen.columns)]
    if blank == "ignore":
        kept = np.setdiff1d(np.arange(len(table)), rows).tolist()
        if not kept:
            raise DataError(
                "every line has a blank cell", where=table.path, fix="leave columns out", option="--blank negative"
            )
        return table.take(kept), f"left out: {plural(len(rows), 'image')} with a blank cell" if rows else ""
    columns = dict(table.columns)
    for name in chosen.columns:
        no = next((cell for cell in columns[name] if kinds.flag(cell) == 0), "0")
        if chosen.form == "flags" or kinds.misfits(columns[name], kinds.is_flag) is not None:
            columns[name] = [no if is_unknown(cell) else cell for cell in columns[name]]
    said = f"blank cells of {plural(len(rows), 'image')} read as negative" if rows else ""
    return Table(table.path, columns, table.lines, table.notes), said


def _of_column(table: Table, name: str, task: str | None, separator: str | None) -> Plan:
    """Return the plan for one column that a person or its name chose."""
    cells = table.columns[name]
    if task == "regress":
        return Plan(name, "value", (name,))
    if separator:
        return Plan(name, "separated", (name,))
    if task == "tag":
        if kinds.misfits(cells, kinds.is_flag) is None:
            what = f"column {shown(name, 40)!r} holds neither 0 and 1 nor several labels a cell"
            raise DataError(what, where=f"{table.path}:1", fix="write 0 and 1", option="--separator or --task classify")
        return Plan(name, "flags", (name,))
    if task == "classify" or kinds.fits(cells, kinds.is_flag):
        return Plan(name, "label", (name,))
    odd = kinds.misfits(cells, kinds.is_number)
    if odd is None and kinds.are_rare(cells):
        _refuse_dressed(table, [name])
    return Plan(name, "label", (name,)) if odd is None else _of_numbers(table, name, odd)


def _of_numbers(table: Table, name: str, odd: list[int]) -> Plan:
    """Return whether a column of numbers holds classes, where nobody said so; `odd` are its rows without a number."""
    cells = table.columns[name]
    known = [cell for cell in cells if kinds.is_number(cell)]
    is_label = name.lower() in LABEL_NAMES
    broken = next((cell for cell in known if not kinds.is_whole(cell)), None)
    whole = [cell for cell in known if kinds.is_whole(cell)]
    is_slip = len(whole) >= max(len(known) * kinds.NEARLY_ALL, 1) and kinds.are_few(whole)
    if broken is not None and not is_label and not is_slip:
        return Plan(name, "value", (name,), f"column {shown(name, 40)!r} is read as numbers")
    if odd and broken is None and not kinds.are_rare(known):
        return Plan(name, "label", (name,))  # a class may have another name than a number; blanks are refused there
    if odd:
        raise _no_number(table, name, odd[0], "write the class or number, or remove the line")
    if broken is not None:
        if is_slip:
            what = f"{shown(name, 40)} is {broken} among {len(set(whole))} whole numbers"
            raise table.error(cells.index(broken), what, _ask(name))
        what = f"column {shown(name, 40)!r} holds numbers such as {broken}"
        raise DataError(what, where=table.path, fix=_ask(name))
    if kinds.are_rare(cells) and not is_label:
        return Plan(name, "value", (name,), f"column {shown(name, 40)!r} is read as numbers")
    if kinds.are_few(cells) or (is_label and not kinds.are_rare(cells)):
        said = f"the {len(set(cells))} whole numbers of column {shown(name, 40)!r} are read as classes"
        is_sure = is_label and kinds.as_classes(cells) == cells
        return Plan(name, "label", (name,), "" if is_sure else said)
    what = f"column {shown(name, 40)!r} holds {len(set(cells)):,} whole numbers: classes or numbers?"
    raise DataError(what, where=table.path, fix=_ask(name))


def _refuse_dressed(table: Table, names: Sequence[str]) -> None:
    """Refuse columns of numbers that only a person can read: `3,14`, `30 kg`, `12 %`."""
    for name in names:
        cells = table.columns[name]
        odd = [row for row, cell in enumerate(cells) if not kinds.is_number(cell) and kinds.is_dressed(cell)]
        if odd and kinds.misfits(cells, kinds.is_dressed) is not None:
            raise _no_number(table, name, odd[0])


def _ask(name: str) -> str:
    return f"use --target {shown(name, 40)} --task regress for numbers, --task classify for classes"


def _of_columns(table: Table, target: str, task: str | None) -> Plan:
    """Return the plan for several columns with commas between their names."""
    names = tuple(name.strip() for name in target.split(","))
    cells = [choose("column", name, table.columns, DataError) for name in names]
    if task != "regress" and all(kinds.misfits(column, kinds.is_flag) is not None for column in cells):
        return Plan(target, "flags", names)
    return Plan(target, "value", names)


def _unnamed(table: Table, free: Sequence[str], task: str | None) -> Plan:
    """Return the plan for a table without a column called `label`; one that may divide the images is not guessed."""
    dividing = [name for name in free if may_divide(name, table.columns[name])]
    free = [name for name in free if name not in dividing]
    flags = [name for name in free if kinds.misfits(table.columns[name], kinds.is_flag) is not None]
    if task != "regress" and (len(flags) > 1 or (task == "tag" and flags)):
        return Plan("tags" if len(flags) > 1 else flags[0], "flags", tuple(flags))
    whole, spoilt = numeric(table, free if task == "regress" else [name for name in free if name not in flags])
    if spoilt and (task == "regress" or len(whole) + len(spoilt) == len(free)):
        name, row = next(iter(spoilt.items()))
        raise _no_number(table, name, row)
    if whole and task == "regress":
        return Plan(whole[0], "value", (whole[0],))
    words = [name for name in free if name not in {*whole, *spoilt, *flags} and not kinds.are_rare(table.columns[name])]
    classes = flags or words
    if len(classes) == 1 and (task == "classify" or not (words if flags else whole)):
        said = f"no column is called label: {shown(classes[0], 40)!r} is read as classes"
        return Plan(classes[0], "label", (classes[0],), said)
    if whole and task is None and not classes:
        return _of_numbers(table, whole[0], [])
    _refuse_dressed(table, free)
    choice = shown((words or free or ["COLUMN"])[0], 40)
    what, where = "no column to learn from", f"{table.path}:1"
    if task == "regress":
        raise DataError(what, where=where, fix="add a column of numbers, or leave --task regress out")
    option = f"--target {choice}" if free else f"--target {shown(dividing[0], 40)}" if dividing else ""
    raise DataError(what, where=where, fix=f"{'name' if free else 'add'} a column `label`", option=option)


def _no_number(table: Table, name: str, row: int, fix: str = NUMBER) -> DataError:
    cell, option = table.columns[name][row], ""
    is_comma = "," in cell and kinds.is_dressed(cell)
    kind = "has a comma" if is_comma else "is not a finite number"
    if is_comma or (cell and kinds.is_dressed(cell)):
        fix = "write numbers like 1234.5: a point, nothing between thousands, no unit"
    elif kinds.is_missing(cell) and fix == NUMBER:
        option = f"--target {shown(name, 40)} --blank ignore to leave such images out"
    return table.error(row, f"{shown(name, 40)} is {shown(cell, 40)!r}, which {kind}", fix, option)


def _labels(table: Table, column: str) -> Target:
    cells = table.columns[column]
    is_kind = kinds.misfits(cells, kinds.is_number) is not None or kinds.misfits(cells, kinds.is_flag) is not None
    for row, cell in enumerate(cells):
        if not cell or (is_kind and kinds.is_missing(cell)):
            what = f"{shown(column, 40)} is {shown(cell, 20)!r}, no class" if cell else f"{shown(column, 40)} is empty"
            raise table.error(row, what, "write the class, remove the line", "--blank ignore")
    names = kinds.as_classes(cells)
    classes = class_list(names, where=table.path)
    index = {name: position for position, name in enumerate(classes)}
    return Label(np.array([index[name] for name in names], dtype=np.int64), classes)


def _separated(table: Table, column: str, separator: str) -> Target:
    rows = [[tag.strip() for tag in cell.split(separator) if tag.strip()] for cell in table.columns[column]]
    classes = class_list((tag for row in rows for tag in row), where=table.path)
    if not classes:
        raise DataError(
            f"column {column!r} holds no label",
            where=table.path,
            fix="write labels into it",
            option="another --separator",
        )
    index = {name: position for position, name in enumerate(classes)}
    values = np.zeros((len(rows), len(classes)), dtype=np.uint8)
    for at, row in enumerate(rows):
        values[at, [index[tag] for tag in row]] = 1
    return Tags(values, classes)


def _flags(table: Table, chosen: Plan, task: str | None) -> tuple[Target, str]:
    """Return tags, or classes where each line has exactly one 1 and nobody asked for tags."""
    classes = class_list(chosen.columns, where=table.path)
    _check_flags(table, chosen)
    values = np.array([[kinds.flag(cell) == 1 for cell in table.columns[name]] for name in classes], dtype=np.uint8).T
    counts, listed = values.sum(axis=1), f"{plural(len(classes), 'column')} ({_listed(classes)})"
    if task != "tag" and len(classes) > 1 and (counts == 1).all():
        said = f"every line has exactly one 1 in {listed}: read as classes; --task tag makes them tags"
        return Label(values.argmax(axis=1).astype(np.int64), classes), said
    said = f"the 0/1 of {listed} are read as tags, several an image"
    odd = np.flatnonzero(counts != 1)
    if task == "classify" and len(odd) <= (1 - kinds.NEARLY_ALL) * len(table):
        count = int(counts[odd[0]])
        raise table.error(int(odd[0]), f"{count} cells of {listed} are 1", "write exactly one 1", "--task tag")
    return Tags(np.ascontiguousarray(values), classes), said


def _check_flags(table: Table, chosen: Plan) -> None:
    is_unknown = _unknown(table, chosen)
    for row in range(len(table)):
        for name in chosen.columns:
            cell = table.columns[name][row]
            if is_unknown(cell):
                what = (
                    f"{shown(name, 40)} is {shown(cell, 20)!r} among 0 and 1" if cell else f"{shown(name, 40)} is empty"
                )
                raise table.error(row, what, "write 0 or 1", "--blank negative (or ignore: without these images)")
            if kinds.flag(cell) is None:
                raise table.error(row, f"{shown(name, 40)} is {shown(cell, 40)!r} among 0 and 1", "write 0 or 1")


def _unknown(table: Table, chosen: Plan) -> kinds.Test:
    """Return the test for cells that say nothing. -1 does so where there are 0 as well; alone it is the other of 1."""
    cells = (cell for name in chosen.columns for cell in table.columns[name])
    has_zero = chosen.form == "flags" and any(kinds.flag(cell) == 0 for cell in cells)
    return lambda cell: kinds.is_missing(cell) or (has_zero and kinds.flag(cell) == -1)


def _listed(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(shown(name, 30) for name in names[:most]) + (", ..." if len(names) > most else "")
