"""The splits that a table brings along: a column of words, or of yes and no such as `is_valid`."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from striate.base.choose import choose
from striate.base.errors import DataError
from striate.base.text import shown

from ..sample import SPLITS
from .cells import Table
from .kinds import MAX_CLASSES, NEARLY_ALL, flag, is_flag, misfits
from .names import SPLIT_NAMES

Splits = dict[str, npt.NDArray[np.intp]]
WORDS = SPLIT_NAMES | {
    **dict.fromkeys(("dev", "development", "eval", "evaluation"), "val"),
    **dict.fromkeys(("holdout", "hold-out", "hold_out", "heldout", "held-out", "held_out"), "test"),
}
COLUMNS = ("split", "set", "subset", "fold", "partition", "dataset", "data_split", "train_test_split")
FLAGS = {  # what yes and no mean in columns of these names
    **dict.fromkeys(("is_valid", "is_val", "is_validation", "validation", "is_dev"), ("val", "train")),
    **dict.fromkeys(("is_test", "is_holdout"), ("test", "train")),
    **dict.fromkeys(("is_train", "is_training"), ("train", "test")),
}
_PARTS = {"train": ("train", "test"), "test": ("test", "train"), "hold": ("test", "train"), "val": ("val", "train")}
FIX, FIX_FLAG = "write train, val or test", "write 1 or 0"


def find_split(table: Table, name: str | None) -> str | None:
    """Return the column that divides the images, or None: the one asked for, else the first whose cells are known.

    Of a column with another name all cells must be known, as train and one split more.

    Raises:
        DataError: the column asked for is not there.
    """
    if name is not None:
        choose("column", name, table.columns, DataError)
        return name
    for column in table.columns:
        meanings = _meanings(column, table.columns[column])
        num_known = sum(meaning is not None for meaning in meanings)
        if column.lower() in COLUMNS and num_known >= len(table) / 2:
            return column
        if column.lower() in FLAGS and num_known >= NEARLY_ALL * len(table) and _is_division(meanings):
            return column
    return next((column for column, cells in table.columns.items() if _are_splits(cells)), None)


def may_divide(column: str, cells: list[str]) -> bool:
    """Return whether a column may say which split an image is in, without being sure enough to be used for it."""
    return column.lower() in {*COLUMNS, *FLAGS, *_PARTS} and len(set(cells)) <= MAX_CLASSES


def splits_of(table: Table, column: str | None) -> Splits:
    """Return the rows of each split, in the order of the table; nothing without a column.

    Raises:
        DataError: a cell is no split.
    """
    if column is None:
        return {}
    members: dict[str, list[int]] = {}
    for row, split in enumerate(_meanings(column, table.columns[column])):
        if split is None:
            cell = table.columns[column][row]
            is_flags = misfits(table.columns[column], is_flag) is not None and _yes_no(column) is not None
            fix = FIX_FLAG if is_flags else FIX
            raise table.error(row, f"{shown(column, 30)} is {shown(cell, 40)!r}, not a split", fix)
        members.setdefault(split, []).append(row)
    return {name: np.array(members[name], dtype=np.intp) for name in SPLITS if name in members}


def counts_text(splits: Mapping[str, npt.NDArray[np.intp]]) -> str:
    """Return `train 45, val 15`."""
    return ", ".join(f"{name} {len(rows):,}" for name, rows in splits.items())


def _meanings(column: str, cells: list[str]) -> list[str | None]:
    """Return the split that each cell means."""
    if misfits(cells, is_flag) is None:
        return [WORDS.get(cell.casefold()) for cell in cells]
    yes, no = _yes_no(column) or (None, None)
    return [yes if flag(cell) == 1 else no if flag(cell) == 0 else None for cell in cells]


def _yes_no(column: str) -> tuple[str, str] | None:
    """Return the splits that yes and no mean in a column of this name."""
    parts = (meaning for word, meaning in _PARTS.items() if word in column.lower())
    return FLAGS.get(column.lower()) or next(parts, None)


def _are_splits(cells: list[str]) -> bool:
    found = {WORDS.get(cell.casefold()) for cell in set(cells)}
    return len(found) > 1 and "train" in found and None not in found


def _is_division(meanings: list[str | None]) -> bool:
    """Whether most images are for training: a column called `is_valid` may also say which files are sound."""
    return 2 * meanings.count("train") > len(meanings)
