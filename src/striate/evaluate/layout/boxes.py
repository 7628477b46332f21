"""Objects with a class and a box, any number an image: `true_count,count,loss,height,width,truth,prediction`.

Truth and prediction are lists in JSON: [[class, x0, y0, x1, y1, crowd, difficult], ...], and by falling score
[[class, score, x0, y0, x1, y1], ...]; classes by their index, sides in pixels of the image. `count` is of the
predicted ones whose score is not below the run's threshold.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from striate.base.cells import cell
from striate.base.errors import DataError
from striate.metric import Answers

from .layout import Cells, digits
from .sidecar import Sidecar

COLUMNS = ("true_count", "count", "loss", "height", "width", "truth", "prediction")
TRUE_WIDTH, WIDTH = 7, 6  # numbers of a true box, and of a predicted one
SIZE = "size_hw"  # the record that holds height and width of the images


@dataclass(frozen=True)
class ManyBoxes:
    """`truth` (N, T, 7), `values` (N, M, 6) float32, nan where there are fewer; `records` has the images' sizes."""

    names: tuple[str, ...]
    threshold: float = 0.0
    unit: ClassVar[str] = ""
    kind: ClassVar[str] = "boxes"
    text_columns: ClassVar[frozenset[str]] = frozenset(("truth", "prediction"))
    keeps_records: ClassVar[bool] = False
    is_exclusive: ClassVar[bool] = False
    combination: ClassVar[str] = "nothing"

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Self:
        """Return the layout of a task's document."""
        return cls(tuple(task["names"]), float(task.get("threshold", 0.0)))

    @classmethod
    def of_columns(cls, columns: Sequence[str], task: Mapping[str, Any]) -> Self:
        """Return the layout of a file; the classes are the task's."""
        if tuple(columns) != COLUMNS:
            raise ValueError(f"its header is not split,id,{','.join(COLUMNS)}")
        return cls.of(task)

    def columns(self, answers: Answers | None = None) -> list[str]:
        """Return the header after split and id."""
        return list(COLUMNS)

    def kept(self, answers: Answers, sidecar: Sidecar | None) -> Answers:
        """Return the answers: a row holds them."""
        return answers

    def rows(self, answers: Answers) -> Iterator[list[str]]:
        """Yield the cells of each image."""
        unknown = np.zeros((len(answers), 2))
        rows = zip(
            answers.truth, answers.values, digits(answers.losses), answers.records.get(SIZE, unknown), strict=True
        )
        for truth, values, loss, size_hw in rows:
            true, given = _there(truth), _there(values)
            count = int((given[:, 1] >= self.threshold).sum())
            sides = [str(int(side)) for side in size_hw]
            yield [str(len(true)), str(count), loss, *sides, cell(_text(true)), cell(_text(given))]

    def read(self, cells: Cells) -> Answers:
        """Return what was written as these cells."""
        truth = _table(cells.texts["truth"], TRUE_WIDTH)
        values = _table(cells.texts["prediction"], WIDTH)
        return Answers(truth, values, cells.table[:, 2], None, {SIZE: cells.table[:, 3:5]})

    def combined(self, answers: Sequence[Answers], std: Sequence[float] = ()) -> Answers:
        """Refuse: which boxes of several runs are of one thing is not said.

        Raises:
            DataError: always.
        """
        raise DataError("boxes of several runs have no mean", fix="leave --ensemble out")


def _there(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return rows[~np.isnan(rows[:, 0])]


def _text(rows: npt.NDArray[np.float32]) -> str:
    """The rows as JSON, each number with the fewest digits that read as it again."""
    return f"[{','.join('[' + ','.join(digits(row)) + ']' for row in rows)}]"


def _table(texts: Sequence[str], width: int) -> npt.NDArray[np.float32]:
    """Rows of N images (N, most, width), nan where there are fewer.

    Raises:
        ValueError: a text is no list of rows of so many numbers.
    """
    lists = [np.array(json.loads(text), np.float32).reshape(-1, width) for text in texts]
    table = np.full((len(lists), max(map(len, lists), default=0), width), np.nan, np.float32)
    for row, values in zip(table, lists, strict=True):
        row[: len(values)] = values
    return table
