"""Read predictions.csv, a row an image, keeping only what a report needs of it."""

import csv
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from striate.base.cells import opened, unguarded


@dataclass(frozen=True, slots=True)
class Row:
    """One evaluated image.

    `confidence` is the probability the network gave to its prediction, `truth_probability` to the truth (labels);
    `probabilities` holds one number a tag (tags); `truths` and `values` are numbers (regression).
    """

    split: str
    id: str
    truth: str
    prediction: str
    is_right: bool
    loss: float
    confidence: float = float("nan")
    truth_probability: float = float("nan")
    probabilities: Sequence[float] = ()
    truths: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    error: float = float("nan")


def read_rows(path: Path, kind: str) -> list[Row]:
    """Return the rows of a predictions table.

    Args:
        path: predictions.csv of a run folder.
        kind: the task's kind: label, tags or value.

    Raises:
        OSError: it cannot be read.
        ValueError: it has no header of the expected kind.
    """
    with opened(path) as table:
        try:
            header = [unguarded(cell) for cell in next(table, [])]
            return list(_parse(table, header, kind))
        except (csv.Error, KeyError, IndexError) as problem:
            raise ValueError(f"not a table of predictions: {problem}") from problem


def _parse(table: Iterable[list[str]], header: list[str], kind: str) -> Iterator[Row]:
    column = {name: index for index, name in reversed(list(enumerate(header)))}
    make = {"label": _label_maker, "tags": _tag_maker}.get(kind, _value_maker)(header, column)
    return (make(cells) for cells in table if cells)


def _label_maker(header: list[str], column: dict[str, int]) -> Callable[[list[str]], Row]:
    split, id_, truth, prediction, correct, loss = (column[name] for name in _KNOWN)

    def make(cells: list[str]) -> Row:
        true, said = unguarded(cells[truth]), unguarded(cells[prediction])
        p_said, p_true = (cells[column[f"p:{name}"]] if f"p:{name}" in column else "" for name in (said, true))
        return Row(
            cells[split],
            unguarded(cells[id_]),
            true,
            said,
            _is_true(cells[correct]),
            _float(cells[loss]),
            _float(p_said),
            _float(p_true),
        )

    return make


def _tag_maker(header: list[str], column: dict[str, int]) -> Callable[[list[str]], Row]:
    split, id_, truth, prediction, correct, loss = (column[name] for name in _KNOWN)
    first = next((index for index, name in enumerate(header) if name.startswith("p:")), len(header))

    def make(cells: list[str]) -> Row:
        return Row(
            cells[split],
            unguarded(cells[id_]),
            unguarded(cells[truth]),
            unguarded(cells[prediction]),
            _is_true(cells[correct]),
            _float(cells[loss]),
            probabilities=array("f", map(_float, cells[first:])),
        )

    return make


def _value_maker(header: list[str], column: dict[str, int]) -> Callable[[list[str]], Row]:
    split, id_, error, loss = (column[name] for name in ("split", "id", "error", "loss"))
    truths = [index for index, name in enumerate(header) if name.startswith("truth:")]
    values = [index for index, name in enumerate(header) if name.startswith("prediction:")]
    if len(truths) != len(values) or not truths:
        raise KeyError("truth and prediction columns")

    def make(cells: list[str]) -> Row:
        true = tuple(_float(cells[index]) for index in truths)
        said = tuple(_float(cells[index]) for index in values)
        return Row(
            cells[split],
            unguarded(cells[id_]),
            "",
            "",
            False,
            _float(cells[loss]),
            truths=true,
            values=said,
            error=_float(cells[error]),
        )

    return make


_KNOWN = ("split", "id", "truth", "prediction", "correct", "loss")


def _is_true(cell: str) -> bool:
    return cell.strip().lower() in {"1", "true", "yes"}


def _float(cell: str) -> float:
    try:
        return float(unguarded(cell))
    except ValueError:
        return float("nan")
