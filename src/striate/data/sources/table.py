"""CSV and TSV tables: one image a line, with its label, labels or numbers, and if wanted its split and group."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.text import plural, shown

from ..channels import sampled_channels
from ..sample import Dataset, Reading
from ..target import Tags, Target
from .cells import Table, read_cells
from .images import FileImages
from .table_doubts import doubts
from .table_files import find_files, path_column
from .table_splits import counts_text, find_split, may_divide, splits_of
from .table_targets import Plan, build, numbers, numeric, plan, without_blanks

MAX_NAMED = 6


def read(
    path: Path,
    where: str,
    *,
    root: Path | None = None,
    target: str | None = None,
    task: str | None = None,
    separator: str | None = None,
    blank: str | None = None,
    split_column: str | None = None,
    known: tuple[str, ...] | None = None,
) -> Dataset:
    """Return the dataset of a table with a header line, such as `path,label[,split][,group]`.

    Paths are relative to `root`, by default the table's folder. Labels are text: `010` and `10` are two classes.
    Several labels an image: `separator` divides the label cell, or there is one 0/1 column a class and no label
    column; with exactly one 1 in every line these are classes. Numbers: any further column of numbers is a target of
    its own, the label column too with task "regress"; `target="x,y"` joins columns; a column whose name ends in `deg`
    holds angles. Points are two columns each, `x_nose,y_nose`, with nothing else beside them or task "points". A column
    that is not used is a warning, unless `target` chose another.

    Args:
        blank: what a blank 0/1 cell means: "negative", or "ignore" for leaving the image out; by default it is refused.
        known: the classes of a run that is to be evaluated on these images: they need no train split, and not every
            class.
        split_column: the column of splits; by default `split`, `set`, `is_valid`, ... where its words are known.

    Raises:
        DataError: the message has the line: a file that is missing or named twice, a cell that does not fit.
    """
    return of_cells(read_cells(path), where, root, target, task, separator, blank, split_column, known)


def of_cells(
    table: Table,
    where: str,
    root: Path | None = None,
    target: str | None = None,
    task: str | None = None,
    separator: str | None = None,
    blank: str | None = None,
    split_column: str | None = None,
    known: tuple[str, ...] | None = None,
) -> Dataset:
    """Return the dataset of a table that is in memory; see `read`."""
    files, split, group = path_column(table), find_split(table, split_column), table.column(("group",))
    free = [name for name in table.columns if name not in {files, split, group}]
    chosen = plan(table, free, target, task, separator)
    table, ruled = without_blanks(table, chosen, blank)
    first, guess = build(table, chosen, task, separator)
    others, spoilt = numeric(table, [name for name in free if name not in chosen.columns])
    name = "label" if chosen.form == "flags" and first.is_exclusive and target is None else chosen.name
    targets = {name: first, **{other: numbers(table, [other]) for other in others}}
    splits = splits_of(table, split)
    if known is None:
        _check_learnable(table, targets, splits)
    base = root if root is not None else table.path.parent
    names, found = find_files(table, files, base)
    channels, said = sampled_channels(base, names, first.strata().tolist() if first.is_exclusive else None)
    readings = [Reading(text) for text in (guess, ruled, *table.notes, *found) if text]
    if split and split.lower() != "split":
        readings.append(Reading(f"column {shown(split, 40)!r} divides the images: {counts_text(splits)}"))
    return Dataset(
        name=table.path.stem,
        where=where,
        images=FileImages(base, tuple(names), channels),
        ids=tuple(names),
        targets=targets,
        splits=splits,
        channels=channels,
        groups=tuple(table.columns[group]) if group else None,
        notes=(f"layout: table with the columns {_listed(list(table.columns))}", said, *_unlabelled(first)),
        readings=(
            *readings,
            *doubts(table, chosen, first, task),
            *_unused(table, free, chosen, spoilt, is_choice=target is not None, has_splits=bool(splits)),
        ),
    )


def _unused(
    table: Table, free: Sequence[str], chosen: Plan, spoilt: Mapping[str, int], *, is_choice: bool, has_splits: bool
) -> Iterator[Reading]:
    """Yield what a person may not expect: columns from which nothing is learnt."""
    left = [name for name in free if name not in chosen.columns]
    if not left:
        return
    text = f"{plural(len(left), 'column')} not used: {_listed(left)}"
    for name, row in list(spoilt.items())[:1]:
        cell = shown(table.columns[name][row], 30)
        text += f" ({shown(name, 30)} in line {table.lines[row]} is {cell!r}, no number)"
    fix = "choose with --target, or remove the column"
    divide = [name for name in left if may_divide(name, table.columns[name])]
    if divide and not has_splits:
        fix = f"to divide by it write train, val or test, or use --split-column {shown(divide[0], 30)} for yes and no"
    yield Reading(text, is_doubtful=not is_choice, fix=fix)


def _unlabelled(target: Target) -> Iterator[str]:
    empty = int((~target.values.any(axis=1)).sum()) if isinstance(target, Tags) else 0
    if empty:
        yield f"{plural(empty, 'image')} without any label"


def _check_learnable(table: Table, targets: Mapping[str, Target], splits: Mapping[str, npt.NDArray[np.intp]]) -> None:
    """Refuse what nothing can be learnt from, though a run can be evaluated on it."""
    single = next((found for found in targets.values() if found.is_exclusive and len(found.names) < 2), None)
    if single:
        raise DataError(f"only one class, {shown(single.names[0], 40)!r}", where=table.path, fix="add a second class")
    if splits and "train" not in splits:
        raise DataError("no line has the split train", where=table.path, fix="write train for some of the lines")
    for row, name, split in _untrained(targets, splits):
        raise table.error(
            row, f"class {shown(name, 40)!r} in {split} but not in train", "add it to train, or remove it"
        )


def _untrained(
    targets: Mapping[str, Target], splits: Mapping[str, npt.NDArray[np.intp]]
) -> Iterator[tuple[int, str, str]]:
    """Yield row, class and split of images whose class has no image in train."""
    for target in targets.values():
        if not target.is_exclusive or not splits:
            continue
        is_trained = target.counts(splits["train"]) > 0
        for split, rows in splits.items():
            for row in rows[~is_trained[target.strata()[rows]]]:
                yield int(row), target.names[int(target.strata()[row])], split


def _listed(names: Sequence[str]) -> str:
    return ", ".join(shown(name, 30) for name in names[:MAX_NAMED]) + (", ..." if len(names) > MAX_NAMED else "")
