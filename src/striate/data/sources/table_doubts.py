"""What a person may have meant otherwise by the cells of a table: warnings in check and train."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from striate.base.text import plural, shown

from ..sample import Reading
from ..target import Tags, Target
from .cells import Table
from .kinds import NEARLY_ALL, is_missing
from .table_targets import Plan

SEPARATORS, PLURALS = "|;,", ("labels", "tags", "classes")  # in columns of these names a blank separates too


def doubts(table: Table, chosen: Plan, target: Target, task: str | None) -> Iterator[Reading]:
    """Yield how the cells of what is learnt were read where they may mean something else."""
    if chosen.form == "flags" and isinstance(target, Tags) and len(target.names) > 1 and task != "tag":
        yield from _nearly_one(table, target)
    if chosen.form == "label":
        yield from _missing(table, chosen.columns[0])
        yield from _several(chosen.columns[0], table.columns[chosen.columns[0]])


def _nearly_one(table: Table, target: Tags) -> Iterator[Reading]:
    odd = np.flatnonzero(target.values.sum(axis=1) != 1)
    if len(odd) <= (1 - NEARLY_ALL) * len(table):
        line = table.lines[int(odd[0])]
        text = f"all but {plural(len(odd), 'line')} have exactly one 1, line {line} has not: read as tags, not classes"
        yield Reading(text, is_doubtful=True, fix="write one 1 a line, or use --task tag")


def _missing(table: Table, column: str) -> Iterator[Reading]:
    """A class may be called `none` or `NA`; where it is rare, that is what other tools write for a missing cell."""
    cells = table.columns[column]
    counts = Counter(cells)
    rare = [row for row, cell in enumerate(cells) if is_missing(cell) and counts[cell] * len(counts) < len(cells) / 2]
    if rare:
        cell = shown(cells[rare[0]], 20)
        text = (
            f"{cell!r} in line {table.lines[rare[0]]} is read as a class of {plural(counts[cells[rare[0]]], 'image')}"
        )
        yield Reading(text, is_doubtful=True, fix="if it means that the class is not known, use --blank ignore")


def _several(column: str, cells: list[str]) -> Iterator[Reading]:
    """Cells that divide into fewer names than there are cells hold several labels each."""
    distinct = set(cells)
    for separator in (*SEPARATORS, *(" " if column.lower() in PLURALS else "")):
        joined = next((cell for cell in cells if separator in cell), None)
        parts = {part.strip() for cell in distinct for part in cell.split(separator)}
        if joined is not None and len(parts) < len(distinct):
            text = f"each cell of {shown(column, 40)} is read as one class, {shown(joined, 40)!r} too"
            yield Reading(text, is_doubtful=True, fix=f"of several labels a cell, use --separator {separator!r}")
            return
