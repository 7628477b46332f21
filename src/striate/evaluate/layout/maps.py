"""Maps, a value for each pixel: `truth,file,loss,record:METRIC:0,...`; the map itself lies in a file beside the table.

`truth` is a short hash of the true map, so that runs that were scored on other labels are not compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from striate.base.cells import cell
from striate.base.errors import DataError
from striate.metric import Answers

from .layout import Cells, digits
from .sidecar import Sidecar, digest

RECORD = "record"


@dataclass(frozen=True)
class Maps:
    """`truth` (N,) hashes, `values` (N,) names of files ("" where none was kept), `records` of each metric."""

    names: tuple[str, ...]
    unit: str = ""
    kind: ClassVar[str] = "map"
    first_columns: ClassVar[tuple[str, ...]] = ("truth", "file", "loss")
    text_columns: ClassVar[frozenset[str]] = frozenset(("truth", "file"))
    keeps_records: ClassVar[bool] = True
    is_exclusive: ClassVar[bool] = False
    combination: ClassVar[str] = "nothing"

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Self:
        """Return the layout of a task's document."""
        return cls(tuple(task.get("names") or ()), task.get("unit") or "")

    @classmethod
    def of_columns(cls, columns: Sequence[str], task: Mapping[str, Any]) -> Self:
        """Return the layout of a file; names and unit, which the file does not hold, are the task's."""
        first, rest = cls.first_columns, columns[len(cls.first_columns) :]
        if (*columns,) != (*first, *rest) or not all(name.startswith(f"{RECORD}:") for name in rest):
            raise ValueError(f"its header is not split,id,{','.join(first)},{RECORD}:...")
        return cls.of(task)

    def columns(self, answers: Answers) -> list[str]:
        """Return the header after split and id."""
        numbers = (f"{RECORD}:{key}:{n}" for key, table in answers.records.items() for n in range(table.shape[1]))
        return [*self.first_columns, *numbers]

    def kept(self, answers: Answers, sidecar: Sidecar | None) -> Answers:
        """Return hashes of the truth, and the names of the files that the maps are written to."""
        names = sidecar.add_maps(answers.values, answers.truth) if sidecar else [""] * len(answers.losses)
        truth = np.array([digest(one) for one in answers.truth], dtype=np.str_)
        return replace(answers, truth=truth, values=np.array(names, dtype=np.str_), probabilities=None)

    def rows(self, answers: Answers) -> Iterator[list[str]]:
        """Yield the cells of each image."""
        records = np.concatenate([np.empty((len(answers.losses), 0)), *answers.records.values()], axis=1)
        texts = zip(answers.truth.tolist(), answers.values.tolist(), digits(answers.losses), records, strict=True)
        for truth, value, loss, numbers in texts:
            yield [truth, cell(str(value)), loss, *digits(numbers)]

    def read(self, cells: Cells) -> Answers:
        """Return what was written as these cells."""
        truth, files = (np.array(cells.texts[name], np.str_) for name in ("truth", "file"))
        return Answers(truth, files, *numbers_of(cells, 0))

    def combined(self, answers: Sequence[Answers], std: Sequence[float] = ()) -> Answers:
        """Refuse: the mean needs the probabilities of every pixel, which no file holds.

        Raises:
            DataError: always.
        """
        what = "an ensemble of maps needs the probabilities of every pixel, which runs do not keep"
        raise DataError(what, fix="leave --ensemble out")


def numbers_of(cells: Cells, num_before: int) -> tuple[npt.NDArray[Any], None, dict[str, npt.NDArray[Any]]]:
    """Return losses, no probabilities, and records: the columns that are no text, but for `num_before` at first."""
    columns, records = cells.table[:, num_before:], dict[str, list[int]]()
    names = [name for name in cells.columns if name not in cells.text_columns][num_before + 1 :]
    for place, name in enumerate(names, 1):
        records.setdefault(name.removeprefix(f"{RECORD}:").rpartition(":")[0], []).append(place)
    return columns[:, 0], None, {key: columns[:, places] for key, places in records.items()}
