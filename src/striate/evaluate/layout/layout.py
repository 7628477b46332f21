"""What a table of predictions asks of a layout. N images."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from striate.base.cells import unguarded
from striate.metric import Answers

from .sidecar import Sidecar

Floats = npt.NDArray[np.float64]


@dataclass
class Cells:
    """The cells of one split as they are read: text as lists, numbers in one buffer that grows in place."""

    columns: tuple[str, ...]
    text_columns: frozenset[str]
    ids: list[str] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)
    numbers: "array[float]" = field(default_factory=lambda: array("d"))

    def __post_init__(self) -> None:
        self.texts = {name: [] for name in self.columns if name in self.text_columns}
        self._texts = [(self.columns.index(name), column) for name, column in self.texts.items()]
        self._numbers = [place for place, name in enumerate(self.columns) if name not in self.text_columns]

    def add(self, name: str, cells: Sequence[str]) -> None:
        """Take an image's row, without the cells of its split and its id."""
        self.ids.append(unguarded(name))
        for place, column in self._texts:
            column.append(unguarded(cells[place]))
        self.numbers.extend(float(cells[place]) for place in self._numbers)

    @property
    def table(self) -> Floats:
        """The numbers (N, columns that are not text), in the order of the columns."""
        return np.frombuffer(self.numbers).reshape(len(self.ids), -1)


class Layout(Protocol):
    """How the answers of N images become rows of cells, and rows answers again; what one can do with such answers.

    Attributes:
        kind: its name in a task's document.
        text_columns: the columns that hold no number.
        keeps_records: whether a row holds the records of the task's metrics, since the answer itself is not in it.
        is_exclusive: whether each image has exactly one of `names`.
    """

    kind: ClassVar[str]
    text_columns: ClassVar[frozenset[str]]
    keeps_records: ClassVar[bool]
    is_exclusive: ClassVar[bool]

    @property
    def names(self) -> tuple[str, ...]:
        """Classes, tags or fields."""

    @property
    def unit(self) -> str:
        """The unit of the numbers; "" where there is none."""

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Self:
        """Return the layout of a task's document."""

    @classmethod
    def of_columns(cls, columns: Sequence[str], task: Mapping[str, Any]) -> Self:
        """Return the layout of a file whose header has these columns after split and id.

        Raises:
            ValueError: it is no table of this kind.
        """

    def columns(self, answers: Answers) -> list[str]:
        """Return the header after split and id."""

    def rows(self, answers: Answers) -> Iterator[list[str]]:
        """Yield for each image its cells under `columns`, quoted where needed."""

    def read(self, cells: Cells) -> Answers:
        """Return what was written as these cells."""

    def kept(self, answers: Answers, sidecar: Sidecar | None) -> Answers:
        """Return what a table holds of the answers to a batch; what a row cannot hold goes to the sidecar, if any."""

    def combined(self, answers: Sequence[Answers], std: Sequence[float] = ()) -> Answers:
        """Return the answers of an ensemble, from those of its members to the same images in the same order.

        Args:
            std: the scale of each number that losses are in; without it they are in the target's unit.

        Raises:
            DataError: such answers have no mean.
        """

    @property
    def combination(self) -> str:
        """What an ensemble averages, such as "mean probability"."""


def digits(numbers: npt.NDArray[Any]) -> list[str]:
    """Return the fewest digits of each number (N,) that read as this very number again, so each score can be repeated.

    Example:
        >>> digits(np.array([0.1, 1 / 3], np.float32)), digits(np.array([1 / 3]))
        (['0.1', '0.33333334'], ['0.3333333333333333'])
    """
    return [str(number).removesuffix(".0") for number in numbers]
