"""One box and its class an image: `truth,prediction,correct,iou,loss,true:x0,...,x0,y0,x1,y1,p:CLASS1,...`.

Sides are shares (0 to 1) of what the network saw of the image. N images, K classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from striate.base.cells import cell
from striate.base.errors import DataError
from striate.metric import Answers
from striate.metric.box import box_iou

from .layout import Cells, Floats, digits
from .sidecar import Sidecar

SIDES = ("x0", "y0", "x1", "y1")
FIRST = ("truth", "prediction", "correct", "iou", "loss", *(f"true:{side}" for side in SIDES), *SIDES)


@dataclass(frozen=True)
class Places:
    """`truth`, `values` (N, 5): class index and box; `probabilities` (N, K)."""

    names: tuple[str, ...]
    unit: ClassVar[str] = ""
    kind: ClassVar[str] = "place"
    text_columns: ClassVar[frozenset[str]] = frozenset(("truth", "prediction"))
    keeps_records: ClassVar[bool] = False
    is_exclusive: ClassVar[bool] = False
    combination: ClassVar[str] = "nothing"

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Self:
        """Return the layout of a task's document."""
        return cls(tuple(task["names"]))

    @classmethod
    def of_columns(cls, columns: Sequence[str], task: Mapping[str, Any]) -> Self:
        """Return the layout of a file; it has the classes of its header."""
        if tuple(columns[: len(FIRST)]) != FIRST:
            raise ValueError(f"its header is not split,id,{','.join(FIRST)},p:...")
        return cls(tuple(name.removeprefix("p:") for name in columns[len(FIRST) :]))

    def columns(self, answers: Answers | None = None) -> list[str]:
        """Return the header after split and id."""
        return [*FIRST, *(f"p:{name}" for name in self.names)]

    def kept(self, answers: Answers, sidecar: Sidecar | None) -> Answers:
        """Return the answers: a row holds them."""
        return answers

    def rows(self, answers: Answers) -> Iterator[list[str]]:
        """Yield the cells of each image."""
        assert answers.probabilities is not None
        truth, values, names = answers.truth, answers.values, [cell(name) for name in self.names]
        overlap, losses = digits(box_iou(truth[:, 1:], values[:, 1:])), digits(answers.losses)
        for true, value, iou, loss, p in zip(truth, values, overlap, losses, answers.probabilities, strict=True):
            is_right = str(int(true[0] == value[0]))
            sides = [*digits(true[1:]), *digits(value[1:])]
            yield [names[int(true[0])], names[int(value[0])], is_right, iou, loss, *sides, *digits(p)]

    def read(self, cells: Cells) -> Answers:
        """Return what was written as these cells."""
        place = {name: index for index, name in enumerate(self.names)}
        table, num = cells.table, len(SIDES)

        def rows(column: str, start: int) -> Floats:
            labels = np.array([place[name] for name in cells.texts[column]], dtype=np.float64)
            return np.concatenate([labels[:, None], table[:, start : start + num]], 1)

        truth, values = rows("truth", 3), rows("prediction", 3 + num)
        return Answers(truth, values, table[:, 2], table[:, 3 + 2 * num :])

    def combined(self, answers: Sequence[Answers], std: Sequence[float] = ()) -> Answers:
        """Refuse: the mean of boxes around different things is a box around none.

        Raises:
            DataError: always.
        """
        raise DataError("boxes of several runs have no mean", fix="leave --ensemble out")
