"""One class an image, or any number of tags: `truth,prediction,correct,loss,p:CLASS1,...`. N images, K classes.

Tags are joined by `|` (in a tag's own name `|` and `\\` get a `\\` before them).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from striate.base.cells import cell, joined, tags
from striate.metric import Answers
from striate.metric.accuracy import correct

from .layout import Cells, Floats, digits
from .sidecar import Sidecar

COLUMNS = ("truth", "prediction", "correct", "loss")
SMALLEST = 5e-7  # half of the last decimal that a table has


@dataclass(frozen=True)
class _Classes:
    """What both have: a probability a class."""

    names: tuple[str, ...]
    unit: ClassVar[str] = ""
    text_columns: ClassVar[frozenset[str]] = frozenset(("truth", "prediction"))
    keeps_records: ClassVar[bool] = False
    is_exclusive: ClassVar[bool] = False
    combination: ClassVar[str] = "mean probability"

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Self:
        """Return the layout of a task's document."""
        return cls(tuple(task["names"]))

    @classmethod
    def of_columns(cls, columns: Sequence[str], task: Mapping[str, Any]) -> Self:
        """Return the layout of a file; it has the classes of its header."""
        if tuple(columns[:4]) != COLUMNS:
            raise ValueError("its header is not split,id,truth,prediction,correct,loss,p:...")
        return cls(tuple(name.removeprefix("p:") for name in columns[4:]))

    def columns(self, answers: Answers | None = None) -> list[str]:
        """Return the header after split and id."""
        return [*COLUMNS, *(f"p:{name}" for name in self.names)]

    def kept(self, answers: Answers, sidecar: Sidecar | None) -> Answers:
        """Return the answers: a row holds them."""
        return answers

    def rows(self, answers: Answers) -> Iterator[list[str]]:
        """Yield the cells of each image."""
        assert answers.probabilities is not None
        truth, values = self._texts(answers.truth), self._texts(answers.values)
        ends = zip(correct(answers).tolist(), digits(answers.losses), answers.probabilities, strict=True)
        for true, value, (right, loss, p) in zip(truth, values, ends, strict=True):
            yield [true, value, str(int(right)), loss, *digits(p)]

    def read(self, cells: Cells) -> Answers:
        """Return what was written as these cells."""
        truth, values = (self._values(cells.texts[name]) for name in ("truth", "prediction"))
        return Answers(truth, values, cells.table[:, 1], cells.table[:, 2:])

    def combined(self, answers: Sequence[Answers], std: Sequence[float] = ()) -> Answers:
        """Return the answers of an ensemble: the mean probability."""
        mean = np.stack([np.asarray(one.probabilities, dtype=np.float64) for one in answers]).mean(0)
        losses = self._losses(answers[0].truth, mean)
        return replace(answers[0], values=self._answer(mean), probabilities=mean, losses=losses)

    def _texts(self, values: npt.NDArray[Any]) -> list[str]:
        raise NotImplementedError

    def _values(self, cells: list[str]) -> npt.NDArray[Any]:
        raise NotImplementedError

    def _answer(self, probabilities: Floats) -> npt.NDArray[Any]:
        raise NotImplementedError

    def _losses(self, truth: npt.NDArray[Any], probabilities: Floats) -> Floats:
        raise NotImplementedError


@dataclass(frozen=True)
class Labels(_Classes):
    """`truth`, `values` (N,) class indices; `probabilities` (N, K)."""

    kind: ClassVar[str] = "label"
    is_exclusive: ClassVar[bool] = True

    def _texts(self, values: npt.NDArray[Any]) -> list[str]:
        names = [cell(name) for name in self.names]
        return [names[index] for index in values.tolist()]

    def _values(self, cells: list[str]) -> npt.NDArray[Any]:
        place = {name: index for index, name in enumerate(self.names)}
        return np.array([place[cell] for cell in cells], dtype=np.int64)

    def _answer(self, probabilities: Floats) -> npt.NDArray[Any]:
        return np.asarray(probabilities.argmax(1))

    def _losses(self, truth: npt.NDArray[Any], probabilities: Floats) -> Floats:
        return np.asarray(-np.log(np.clip(probabilities, SMALLEST, None)[np.arange(len(truth)), truth]))


@dataclass(frozen=True)
class Tags(_Classes):
    """`truth`, `values` (N, K) of 0 and 1; `probabilities` (N, K)."""

    kind: ClassVar[str] = "tags"

    def _texts(self, values: npt.NDArray[Any]) -> list[str]:
        pairs = (zip(self.names, row, strict=True) for row in values.tolist())
        return [cell(joined(name for name, on in row if on)) for row in pairs]

    def _values(self, cells: list[str]) -> npt.NDArray[Any]:
        place = {name: index for index, name in enumerate(self.names)}
        values = np.zeros((len(cells), len(place)), dtype=np.uint8)
        for row, joint in enumerate(cells):
            for name in tags(joint):
                values[row, place[name]] = 1
        return values

    def _answer(self, probabilities: Floats) -> npt.NDArray[Any]:
        return (probabilities > 0.5).astype(np.int64)

    def _losses(self, truth: npt.NDArray[Any], probabilities: Floats) -> Floats:
        p, rest = (np.clip(share, SMALLEST, None) for share in (probabilities, 1 - probabilities))
        return np.asarray(-np.where(truth == 1, np.log(p), np.log(rest)).mean(1))
