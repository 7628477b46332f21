"""The per-image table: predictions.csv, a row an image, which any spreadsheet opens.

Labels and tags: `split,id,truth,prediction,correct,loss,p:CLASS1,...`; tags are joined by `|` (in a tag's own name
`|` and `\\` get a `\\` before them). Numbers: `split,id,truth:FIELD,prediction:FIELD,...,error,loss`.
A text cell that a spreadsheet would take for a formula (it begins with = + - @, tab or carriage return) has a `'`
before it; reading takes that away. The file is UTF-8; a file name that is not keeps its bytes.
"""

import csv
import io
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from striate.base.cells import cell, encoding_errors, joined, opened, tags, unguarded
from striate.base.errors import ModelError
from striate.base.files import write_bytes

from .scores import Evaluated, absolute_errors

LABEL_COLUMNS = ("split", "id", "truth", "prediction", "correct", "loss")


@dataclass(frozen=True)
class Predictions:
    """What a network said of N images of one split.

    `kind` "label": `truth`, `values` (N,) class indices; "tags": both (N, K) of 0 and 1; "value": both (N, D) numbers
    of the fields `names`, and `errors` (N,) the mean absolute error over the fields, in the target's `unit`.
    `probabilities` (N, K) for labels and tags; `losses` (N,).
    """

    kind: str
    names: tuple[str, ...]
    ids: tuple[str, ...]
    truth: npt.NDArray[Any]
    values: npt.NDArray[Any]
    losses: npt.NDArray[np.floating]
    probabilities: npt.NDArray[np.floating] | None = None
    errors: npt.NDArray[np.floating] | None = None
    unit: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, kind: str, found: Evaluated, names: Sequence[str], unit: str, ids: Sequence[str]) -> Self:
        """Return the table of an evaluation; `ids[i]` belongs to its row i."""
        errors = absolute_errors(found.truth, found.values, unit).mean(1) if kind == "value" else None
        known = found.truth, found.values, found.losses, found.probabilities
        return cls(kind, tuple(names), tuple(ids), *known, errors, unit)

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Which images are right (N,); for tags all of an image's tags must be."""
        same = np.equal(self.truth, self.values)
        return same if same.ndim == 1 else np.all(same, axis=1)


def write_predictions(path: Path, splits: Mapping[str, Predictions]) -> None:
    """Write the tables of several splits as one file, atomically.

    Raises:
        ResourceError: the disk is full or the folder cannot be written.
    """
    errors = encoding_errors("\n".join(text for table in splits.values() for text in (*table.names, *table.ids)))
    content = io.BytesIO()  # line by line: as one text, the table of 50,000 images and 1,000 classes takes 2 GB
    for split, table in splits.items():
        if not content.tell():
            content.write(",".join([*map(cell, _header(table))]).encode("utf-8", errors) + b"\n")
        for row in _value_rows(table) if table.kind == "value" else _class_rows(table):
            content.write(f"{cell(split)},{row}\n".encode("utf-8", errors))
    write_bytes(path, content.getvalue())


def read_predictions(
    path: Path, kind: str | None = None, unit: str = "", only: Collection[str] = ()
) -> dict[str, Predictions]:
    """Return the table of each split in predictions.csv; exactly what was written.

    Args:
        kind: the task's kind. Without it, a table whose every truth and prediction is one class is taken for labels.
        unit: the target's unit, which the file does not hold.
        only: these splits; the others take no memory.

    Raises:
        ModelError: the file is missing, was damaged or is no such table; the message names the line.
    """
    try:
        with opened(path) as rows:
            header = [unguarded(name) for name in next(rows, [])]
            tables = _parsed(header, filter(None, rows), kind, only)
        return {split: replace(table, unit=unit) for split, table in tables.items()}
    except OSError as problem:
        raise ModelError("the table of predictions is missing", where=path, fix="evaluate the run again") from problem
    except (csv.Error, ValueError, KeyError, IndexError) as problem:
        raise ModelError(
            f"not a table of predictions ({problem})", where=path, fix="restore this file, or evaluate the run again"
        ) from problem


def _header(table: Predictions) -> list[str]:
    if table.kind != "value":
        return [*LABEL_COLUMNS, *(f"p:{name}" for name in table.names)]
    pairs = [f"{part}:{name}" for part in ("truth", "prediction") for name in table.names]
    return ["split", "id", *pairs, "error", "loss"]


def _class_rows(table: Predictions) -> Iterator[str]:
    assert table.probabilities is not None
    truth, values = (_class_cells(table, indices) for indices in (table.truth, table.values))
    rows = zip(table.ids, truth, values, table.correct, _digits(table.losses), strict=True)
    for i, (name, true, said, right, loss) in enumerate(rows):
        yield ",".join([cell(name), true, said, str(int(right)), loss, *_digits(table.probabilities[i])])


def _digits(numbers: npt.NDArray[Any]) -> list[str]:
    """The fewest digits of each number (N,) that read as this very number again, so that every score can be repeated.

    Example:
        >>> _digits(np.array([0.1, 1 / 3], np.float32)), _digits(np.array([1 / 3]))
        (['0.1', '0.33333334'], ['0.3333333333333333'])
    """
    return [str(number).removesuffix(".0") for number in numbers]


def _class_cells(table: Predictions, indices: npt.NDArray[Any]) -> list[str]:
    if table.kind == "label":
        names = [cell(name) for name in table.names]
        return [names[index] for index in indices.tolist()]
    return [cell(joined(name for name, on in zip(table.names, row, strict=True) if on)) for row in indices.tolist()]


def _value_rows(table: Predictions) -> Iterator[str]:
    assert table.errors is not None
    for i, name in enumerate(table.ids):
        numbers = [*_digits(table.truth[i]), *_digits(table.values[i])]
        yield ",".join([cell(name), *numbers, *_digits(table.errors[i : i + 1]), *_digits(table.losses[i : i + 1])])


@dataclass
class _Columns:
    """The cells of one split as they are read: text as lists, numbers in one buffer that grows in place."""

    ids: list[str] = field(default_factory=list)
    truth: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    numbers: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, cells: list[str], *, is_class: bool) -> None:
        self.ids.append(unguarded(cells[1]))
        if is_class:
            self.truth.append(unguarded(cells[2]))
            self.values.append(unguarded(cells[3]))
        self.numbers.extend(map(float, cells[5 if is_class else 2 :]))

    @property
    def table(self) -> npt.NDArray[np.float64]:
        return np.frombuffer(self.numbers).reshape(len(self.ids), -1)


def _parsed(
    header: list[str], rows: Iterable[list[str]], kind: str | None, only: Collection[str]
) -> dict[str, Predictions]:
    fields = [name.removeprefix("truth:") for name in header if name.startswith("truth:")]
    if not fields and tuple(header[:6]) != LABEL_COLUMNS:
        raise ValueError("its header is not split,id,truth,prediction,correct,loss,p:...")
    found = _by_split(header, rows, only, is_class=not fields)
    if fields:
        return {split: _value_table(columns, fields) for split, columns in found.items()}
    names = [name.removeprefix("p:") for name in header[6:]]
    kind = kind or ("label" if _is_label(found.values(), names) else "tags")
    return {split: _class_table(columns, names, kind) for split, columns in found.items()}


def _by_split(
    header: list[str], rows: Iterable[list[str]], only: Collection[str], *, is_class: bool
) -> dict[str, _Columns]:
    found: dict[str, _Columns] = {}
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} cells, the header has {len(header)}")
        split = unguarded(row[0])
        if not only or split in only:
            found.setdefault(split, _Columns()).add(row, is_class=is_class)
    return found


def _is_label(found: Iterable[_Columns], names: Sequence[str]) -> bool:
    known = set(names)
    return all(known.issuperset(cells) for columns in found for cells in (columns.truth, columns.values))


def _class_table(columns: _Columns, names: Sequence[str], kind: str) -> Predictions:
    place = {name: index for index, name in enumerate(names)}
    truth, values = (_class_indices(cells, place, kind) for cells in (columns.truth, columns.values))
    numbers = columns.table
    return Predictions(kind, tuple(names), tuple(columns.ids), truth, values, numbers[:, 0], numbers[:, 1:])


def _class_indices(cells: list[str], place: dict[str, int], kind: str) -> npt.NDArray[Any]:
    if kind == "label":
        return np.array([place[cell] for cell in cells], dtype=np.int64)
    found = np.zeros((len(cells), len(place)), dtype=np.uint8)
    for row, joint in enumerate(cells):
        for name in tags(joint):
            found[row, place[name]] = 1
    return found


def _value_table(columns: _Columns, fields: Sequence[str]) -> Predictions:
    num = len(fields)
    truth, values, errors, losses = np.split(columns.table, [num, 2 * num, 2 * num + 1], axis=1)
    return Predictions("value", tuple(fields), tuple(columns.ids), truth, values, losses[:, 0], None, errors[:, 0])
