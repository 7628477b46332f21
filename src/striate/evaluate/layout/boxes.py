"""Objects with a class and a box, any number an image: `true_count,count,loss,height,width,truth,prediction`.

Where masks are predicted, `masks,true_masks` follow: of each object its run lengths as COCO writes them, with a blank
between, in the order of the lists; where key points are, `points,true_points`: a list in JSON with a row an object,
see `striate.metric.point_matches`; "unknown" where the data do not say.

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
from striate.metric.mask_matches import MASKS, SIZE, TRUE_MASKS
from striate.metric.point_matches import POINTS, TRUE_POINTS

from .layout import Cells, digits
from .sidecar import Sidecar

COLUMNS = ("true_count", "count", "loss", "height", "width", "truth", "prediction")
TRUE_WIDTH, WIDTH = 7, 6  # numbers of a true box, and of a predicted one
MASK_COLUMNS, POINT_COLUMNS = (MASKS, TRUE_MASKS), (POINTS, TRUE_POINTS)
UNKNOWN = "unknown"  # neither run lengths nor JSON


@dataclass(frozen=True)
class ManyBoxes:
    """`truth` (N, T, 7), `values` (N, M, 6) float32, nan where there are fewer; `records` has the images' sizes."""

    names: tuple[str, ...]
    threshold: float = 0.0
    has_masks: bool = False
    has_points: bool = False
    unit: ClassVar[str] = ""
    kind: ClassVar[str] = "boxes"
    text_columns: ClassVar[frozenset[str]] = frozenset(("truth", "prediction", *MASK_COLUMNS, *POINT_COLUMNS))
    keeps_records: ClassVar[bool] = False
    is_exclusive: ClassVar[bool] = False
    combination: ClassVar[str] = "nothing"

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Self:
        """Return the layout of a task's document."""
        more = bool(task.get("has_masks")), bool(task.get("point_names"))
        return cls(tuple(task["names"]), float(task.get("threshold", 0.0)), *more)

    @classmethod
    def of_columns(cls, columns: Sequence[str], task: Mapping[str, Any]) -> Self:
        """Return the layout of a file; the classes are the task's."""
        layout = cls.of(task)
        if list(columns) != layout.columns():
            raise ValueError(f"its header is not split,id,{','.join(layout.columns())}")
        return layout

    def columns(self, answers: Answers | None = None) -> list[str]:
        """Return the header after split and id."""
        return [*COLUMNS, *self.more]

    @property
    def more(self) -> tuple[str, ...]:
        """The columns that hold more than boxes."""
        return (*(MASK_COLUMNS if self.has_masks else ()), *(POINT_COLUMNS if self.has_points else ()))

    def kept(self, answers: Answers, sidecar: Sidecar | None) -> Answers:
        """Return the answers: a row holds them."""
        return answers

    def rows(self, answers: Answers) -> Iterator[list[str]]:
        """Yield the cells of each image."""
        unknown, more = np.zeros((len(answers), 2)), self._more_cells(answers)
        sizes = answers.records.get(SIZE, unknown)
        rows = zip(answers.truth, answers.values, digits(answers.losses), sizes, more, strict=True)
        for truth, values, loss, size_hw, others in rows:
            true, given = _there(truth), _there(values)[:, :WIDTH]
            count = int((given[:, 1] >= self.threshold).sum())
            sides = [str(int(side)) for side in size_hw]
            yield [str(len(true)), str(count), loss, *sides, cell(_text(true)), cell(_text(given)), *others]

    def _more_cells(self, answers: Answers) -> list[list[str]]:
        unknown = np.full(len(answers), None)
        columns = [answers.records.get(name, unknown) for name in self.more]
        return [
            [cell(UNKNOWN if column[row] is None else column[row]) for column in columns] for row in range(len(answers))
        ]

    def read(self, cells: Cells) -> Answers:
        """Return what was written as these cells."""
        truth = _table(cells.texts["truth"], TRUE_WIDTH)
        values = _table(cells.texts["prediction"], WIDTH)
        more = {
            name: np.array([None if text == UNKNOWN else text for text in cells.texts[name]], object)
            for name in self.more
        }
        return Answers(truth, values, cells.table[:, 2], None, {SIZE: cells.table[:, 3:5], **more})

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
