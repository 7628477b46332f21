"""The per-image table: predictions.csv, a row an image, which any spreadsheet opens.

`split,id` and then what the task's layout has, see `striate.evaluate.layout`. A text cell that a spreadsheet would
take for a formula (it begins with = + - @, tab or carriage return) has a `'` before it; reading takes that away. The
file is UTF-8; a file name that is not keeps its bytes.
"""

import csv
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from striate.base.cells import cell, encoding_errors, opened, unguarded
from striate.base.errors import ModelError
from striate.base.files import write_bytes
from striate.metric import Answers
from striate.metric.accuracy import correct

from .layout import Cells, Layout, Numbers, layout_of
from .layout.sidecar import read_map, true_name

Document = Mapping[str, Any]
FIELDS = fields(Answers)


@dataclass(frozen=True, kw_only=True)
class Predictions(Answers):
    """Answers to N images of one split, with their layout and the images' ids.

    `folder` is where the files lie that the rows name.
    """

    layout: Layout
    ids: tuple[str, ...]
    folder: Path | None = None

    @classmethod
    def of(cls, layout: Layout, ids: Sequence[str], answers: Answers, folder: Path | None = None) -> Self:
        """Return the table of answers to images; `ids[i]` belongs to row i."""
        parts = {item.name: getattr(answers, item.name) for item in FIELDS}
        return cls(**parts, layout=layout, ids=tuple(ids), folder=folder)

    @property
    def kind(self) -> str:
        """The layout's kind."""
        return self.layout.kind

    @property
    def names(self) -> tuple[str, ...]:
        """Classes, tags or fields."""
        return self.layout.names

    @property
    def unit(self) -> str:
        """The unit of the numbers."""
        return self.layout.unit

    @property
    def errors(self) -> npt.NDArray[np.float64] | None:
        """The mean absolute error of each image (N,); None where the answers are no numbers."""
        return self.layout.errors(self.truth, self.values) if isinstance(self.layout, Numbers) else None

    def opened(self, row: int) -> npt.NDArray[Any]:
        """Return the answer to an image that lies in a file beside the table, such as a mask (H, W).

        Raises:
            DamagedError: the file was damaged or is missing.
            ModelError: it cannot be read, or the answers lie in their rows.
        """
        return read_map(*self._beside(row))

    def true_map(self, row: int) -> npt.NDArray[Any]:
        """Return the true map (H, W) of classes of an image, which lies beside the predicted one.

        Raises:
            DamagedError: the file was damaged or is missing.
            ModelError: it cannot be read, or the answers lie in their rows.
        """
        folder, name = self._beside(row)
        return read_map(folder, true_name(name))

    def _beside(self, row: int) -> tuple[Path, str]:
        if self.folder is None or self.values.dtype.kind != "U":
            raise ModelError("no answers lie beside this table", where=self.folder, fix="read them in its rows")
        return self.folder, str(self.values[row])

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Which images are right (N,); for tags all of an image's tags must be; of several objects none is."""
        is_comparable = self.truth.shape == self.values.shape
        return correct(self) if is_comparable else np.zeros(len(self), bool)

    @property
    def order(self) -> list[int]:
        """The rows in the order of their ids, in which tables of several runs are compared."""
        return sorted(range(len(self)), key=self.ids.__getitem__)

    def difference(self, other: Self) -> str | None:
        """Return what keeps two tables from being compared row by row, "images" or "labels"; None if nothing does."""
        mine, others = self.order, other.order
        if [self.ids[i] for i in mine] != [other.ids[i] for i in others]:
            return "images"
        return None if are_same(self.truth[mine], other.truth[others]) else "labels"


def are_same(truth: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    """Whether two arrays of labels are equal; NaN, which stands for no object, is equal to itself."""
    return np.array_equal(truth, other, equal_nan=truth.dtype.kind == other.dtype.kind == "f")


def write(path: Path, splits: Mapping[str, Predictions]) -> None:
    """Write the tables of several splits as one file, atomically.

    Raises:
        ResourceError: the disk is full or the folder cannot be written.
    """
    errors = encoding_errors("\n".join(text for table in splits.values() for text in (*table.names, *table.ids)))
    content = io.BytesIO()  # line by line: as one text, the table of 50,000 images and 1,000 classes takes 2 GB
    for split, table in splits.items():
        if not content.tell():
            content.write(
                ",".join(map(cell, ("split", "id", *table.layout.columns(table)))).encode("utf-8", errors) + b"\n"
            )
        for name, row in zip(table.ids, table.layout.rows(table), strict=True):
            content.write(",".join((cell(split), cell(name), *row)).encode("utf-8", errors) + b"\n")
    write_bytes(path, content.getvalue())


def read(path: Path, task: Document, only: Collection[str] = ()) -> dict[str, Predictions]:
    """Return the table of each split in predictions.csv; exactly what was written.

    Args:
        task: the task's document, as run.json has it.
        only: these splits; the others take no memory.

    Raises:
        ModelError: the file is missing, was damaged or is no such table; the message names the line.
    """
    try:
        with opened(path) as rows:
            header = [unguarded(name) for name in next(rows, [])]
            if header[:2] != ["split", "id"]:
                raise ValueError("its header does not begin with split,id")
            layout = layout_of(task).of_columns(header[2:], task)
            splits = _cells(header, filter(None, rows), layout, only)
        return {
            split: Predictions.of(layout, cells.ids, layout.read(cells), path.parent) for split, cells in splits.items()
        }
    except OSError as problem:
        raise ModelError("the table of predictions is missing", where=path, fix="evaluate the run again") from problem
    except (csv.Error, ValueError, KeyError, IndexError) as problem:
        raise ModelError(
            f"not a table of predictions ({problem})", where=path, fix="restore this file, or evaluate the run again"
        ) from problem


def _cells(header: list[str], rows: Iterable[list[str]], layout: Layout, only: Collection[str]) -> dict[str, Cells]:
    splits: dict[str, Cells] = {}
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} cells, the header has {len(header)}")
        split = unguarded(row[0])
        if not only or split in only:
            if split not in splits:
                splits[split] = Cells(tuple(header[2:]), layout.text_columns)
            splits[split].add(row[1], row[2:])
    return splits
