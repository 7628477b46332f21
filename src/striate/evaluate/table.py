"""The per-image table: predictions.csv, a row an image, which any spreadsheet opens.

Labels and tags: `split,id,truth,prediction,correct,loss,p:CLASS1,...`; tags are joined by `|` (in a tag's own name
`|` and `\\` get a `\\` before them). Numbers: `split,id,truth:FIELD,prediction:FIELD,...,error,loss`.
A text cell that a spreadsheet would take for a formula (it begins with = + - @, tab or carriage return) has a `'`
before it; reading takes that away. The file is UTF-8; a file name that is not keeps its bytes.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from striate.base.errors import ModelError
from striate.base.files import write_bytes
from striate.base.sums import checked

from .scores import Evaluated, absolute_errors

FORMULA = re.compile(r"'*[=+\-@\t\r]")
QUOTED = re.compile(r'[",\r\n]')
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
    lines: list[str] = []
    for split, table in splits.items():
        if not lines:
            lines.append(",".join(_cell(name) for name in _header(table)))
        rows = _value_rows(table) if table.kind == "value" else _class_rows(table)
        lines += [f"{_cell(split)},{row}" for row in rows]
    write_bytes(path, _encoded("".join(f"{line}\n" for line in lines)))


def read_predictions(path: Path, kind: str | None = None, unit: str = "") -> dict[str, Predictions]:
    """Return the table of each split in predictions.csv; exactly what was written.

    Args:
        kind: the task's kind. Without it, a table whose every truth and prediction is one class is taken for labels.
        unit: the target's unit, which the file does not hold.

    Raises:
        ModelError: the file is missing, was damaged or is no such table; the message names the line.
    """
    try:
        rows = csv.reader(io.StringIO(_decoded(checked(path.parent, path.name).read_bytes()), newline=""), strict=True)
        header = [unguarded(name) for name in next(rows, [])]
        tables = _parsed(header, [row for row in rows if row], kind)
        return {split: replace(table, unit=unit) for split, table in tables.items()}
    except OSError as problem:
        raise ModelError("the table of predictions is missing", where=path, fix="evaluate the run again") from problem
    except (csv.Error, ValueError, KeyError, IndexError) as problem:
        raise ModelError(
            f"not a table of predictions ({problem})", where=path, fix="restore this file, or evaluate the run again"
        ) from problem


def guarded(text: str) -> str:
    """Return a cell that no spreadsheet runs as a formula.

    Example:
        >>> guarded("=cmd"), guarded("cat"), unguarded(guarded("'=x"))
        ("'=cmd", 'cat', "'=x")
    """
    return "'" + text if FORMULA.match(text) else text


def unguarded(cell: str) -> str:
    """Return the text that `guarded` made this cell from."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def _header(table: Predictions) -> list[str]:
    if table.kind != "value":
        return [*LABEL_COLUMNS, *(f"p:{name}" for name in table.names)]
    pairs = [f"{part}:{name}" for part in ("truth", "prediction") for name in table.names]
    return ["split", "id", *pairs, "error", "loss"]


def _cell(text: str) -> str:
    """Guarded and, where needed, quoted; csv.writer would leave a lone carriage return bare."""
    text = guarded(text)
    return '"' + text.replace('"', '""') + '"' if QUOTED.search(text) else text


def _class_rows(table: Predictions) -> Iterator[str]:
    assert table.probabilities is not None
    truth, values = (_class_cells(table, indices) for indices in (table.truth, table.values))
    rows = zip(table.ids, truth, values, table.correct, _digits(table.losses), strict=True)
    for i, (name, true, said, right, loss) in enumerate(rows):
        yield ",".join([_cell(name), true, said, str(int(right)), loss, *_digits(table.probabilities[i])])


def _digits(numbers: npt.NDArray[Any]) -> list[str]:
    """The fewest digits of each number (N,) that read as this very number again, so that every score can be repeated.

    Example:
        >>> _digits(np.array([0.1, 1 / 3], np.float32)), _digits(np.array([1 / 3]))
        (['0.1', '0.33333334'], ['0.3333333333333333'])
    """
    return [str(number).removesuffix(".0") for number in numbers]


def _class_cells(table: Predictions, indices: npt.NDArray[Any]) -> list[str]:
    if table.kind == "label":
        names = [_cell(name) for name in table.names]
        return [names[index] for index in indices.tolist()]
    names = [re.sub(r"([|\\])", r"\\\1", name) for name in table.names]
    return [_cell("|".join(name for name, on in zip(names, row, strict=True) if on)) for row in indices.tolist()]


def _value_rows(table: Predictions) -> Iterator[str]:
    assert table.errors is not None
    for i, name in enumerate(table.ids):
        numbers = [*_digits(table.truth[i]), *_digits(table.values[i])]
        yield ",".join([_cell(name), *numbers, *_digits(table.errors[i : i + 1]), *_digits(table.losses[i : i + 1])])


def _parsed(header: list[str], rows: list[list[str]], kind: str | None) -> dict[str, Predictions]:
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} cells, the header has {len(header)}")
    by_split: dict[str, list[list[str]]] = {}
    for row in rows:
        by_split.setdefault(unguarded(row[0]), []).append(row)
    fields = [name.removeprefix("truth:") for name in header if name.startswith("truth:")]
    if fields:
        return {split: _value_table(found, fields) for split, found in by_split.items()}
    if tuple(header[:6]) != LABEL_COLUMNS:
        raise ValueError("its header is not split,id,truth,prediction,correct,loss,p:...")
    names = [name.removeprefix("p:") for name in header[6:]]
    kind = kind or ("label" if _is_label(rows, names) else "tags")
    return {split: _class_table(found, names, kind) for split, found in by_split.items()}


def _is_label(rows: Iterable[list[str]], names: Sequence[str]) -> bool:
    known = set(names)
    return all(unguarded(row[2]) in known and unguarded(row[3]) in known for row in rows)


def _class_table(rows: list[list[str]], names: Sequence[str], kind: str) -> Predictions:
    place = {name: index for index, name in enumerate(names)}
    truth, values = (_class_indices([unguarded(row[column]) for row in rows], place, kind) for column in (2, 3))
    numbers = np.array([row[5:] for row in rows], dtype=np.float64)
    return Predictions(kind, tuple(names), _ids(rows), truth, values, numbers[:, 0], numbers[:, 1:])


def _class_indices(cells: list[str], place: dict[str, int], kind: str) -> npt.NDArray[Any]:
    if kind == "label":
        return np.array([place[cell] for cell in cells], dtype=np.int64)
    found = np.zeros((len(cells), len(place)), dtype=np.uint8)
    for row, cell in enumerate(cells):
        for name in re.findall(r"(?:\\.|[^|\\])+", cell, re.DOTALL):
            found[row, place[re.sub(r"\\(.)", r"\1", name, flags=re.DOTALL)]] = 1
    return found


def _value_table(rows: list[list[str]], fields: Sequence[str]) -> Predictions:
    numbers = np.array([row[2:] for row in rows], dtype=np.float64)
    num = len(fields)
    truth, values, errors, losses = np.split(numbers, [num, 2 * num, 2 * num + 1], axis=1)
    return Predictions("value", tuple(fields), _ids(rows), truth, values, losses[:, 0], None, errors[:, 0])


def _ids(rows: list[list[str]]) -> tuple[str, ...]:
    return tuple(unguarded(row[1]) for row in rows)


def _encoded(text: str) -> bytes:
    """Bytes of file names as they are; other lone surrogates (a broken emoji in a class name) by their own code."""
    try:
        content = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return content if _decoded(content) == text else text.encode("utf-8", "surrogatepass")


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return content.decode("utf-8", "surrogateescape")
