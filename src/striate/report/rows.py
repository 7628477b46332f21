"""Read predictions.csv, a row an image, keeping only what a report needs of it."""

import csv
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from striate.base.sums import checked

GUARDED = re.compile(r"'+[=+\-@\t\r]")


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
    # Bytes of file names that are not UTF-8 were written as they are; lone surrogates of other names by their own code.
    try:
        return _read(path, kind, "surrogatepass")
    except UnicodeDecodeError:
        return _read(path, kind, "surrogateescape")


def _read(path: Path, kind: str, errors: str) -> list[Row]:
    with checked(path.parent, path.name).open(encoding="utf-8", errors=errors, newline="") as file:
        try:
            table = csv.reader(file, strict=True)
            header = next(table, [])
            return list(_parse(table, [plain(cell) for cell in header], kind))
        except (csv.Error, KeyError, IndexError) as problem:
            raise ValueError(f"not a table of predictions: {problem}") from problem


def plain(cell: str) -> str:
    """Return a cell without the quote that guards spreadsheets from formulas.

    Example:
        >>> plain("'=cmd"), plain("'tis"), plain("cat")
        ('=cmd', "'tis", 'cat')
    """
    return cell[1:] if cell.startswith("'") and GUARDED.match(cell) else cell


def tags(cell: str) -> list[str]:
    """Return the tags of a cell: joined by `|`, with a backslash before `|` and `\\` inside a tag.

    Example:
        >>> tags("sea|salt\\\\|pepper"), tags("")
        (['sea', 'salt|pepper'], [])
    """
    return [re.sub(r"\\(.)", r"\1", tag, flags=re.DOTALL) for tag in re.findall(r"(?:\\.|[^|\\])+", cell, re.DOTALL)]


def _parse(table: Iterable[list[str]], header: list[str], kind: str) -> Iterator[Row]:
    column = {name: index for index, name in reversed(list(enumerate(header)))}
    make = {"label": _label_maker, "tags": _tag_maker}.get(kind, _value_maker)(header, column)
    return (make(cells) for cells in table if cells)


def _label_maker(header: list[str], column: dict[str, int]) -> Callable[[list[str]], Row]:
    split, id_, truth, prediction, correct, loss = (column[name] for name in _KNOWN)

    def make(cells: list[str]) -> Row:
        true, said = plain(cells[truth]), plain(cells[prediction])
        p_said, p_true = (cells[column[f"p:{name}"]] if f"p:{name}" in column else "" for name in (said, true))
        return Row(
            cells[split],
            plain(cells[id_]),
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
            plain(cells[id_]),
            plain(cells[truth]),
            plain(cells[prediction]),
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
            plain(cells[id_]),
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
        return float(plain(cell))
    except ValueError:
        return float("nan")
