"""Numbers: `truth:FIELD,...,prediction:FIELD,...,error,loss`; an error is the mean over the D fields. N images."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from striate.base.errors import SettingsError
from striate.metric import Answers
from striate.metric.error import absolute_errors

from .layout import Cells, Floats, digits
from .sidecar import Sidecar


@dataclass(frozen=True)
class Numbers:
    """`truth`, `values` (N, D) of the fields `names`, in the unit; "deg" are angles, whose errors go the short way."""

    names: tuple[str, ...]
    unit: str = ""
    kind: ClassVar[str] = "value"
    text_columns: ClassVar[frozenset[str]] = frozenset()
    keeps_records: ClassVar[bool] = False
    is_exclusive: ClassVar[bool] = False

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Self:
        """Return the layout of a task's document."""
        return cls(tuple(task["names"]), task.get("unit") or "")

    @classmethod
    def of_columns(cls, columns: Sequence[str], task: Mapping[str, Any]) -> Self:
        """Return the layout of a file; the unit, which the file does not hold, is the task's."""
        names = tuple(name.removeprefix("truth:") for name in columns if name.startswith("truth:"))
        layout = cls(names, task.get("unit") or "")
        if not names or layout.columns() != list(columns):
            raise ValueError("its header is not split,id,truth:...,prediction:...,error,loss")
        return layout

    def columns(self, answers: Answers | None = None) -> list[str]:
        """Return the header after split and id."""
        return [*(f"{part}:{name}" for part in ("truth", "prediction") for name in self.names), "error", "loss"]

    def errors(self, truth: npt.ArrayLike, values: npt.ArrayLike) -> Floats:
        """Return the mean absolute error of each image (N,)."""
        return np.asarray(absolute_errors(truth, values, self.unit).mean(1))

    def kept(self, answers: Answers, sidecar: Sidecar | None) -> Answers:
        """Return the answers, which a row holds, as (N, D).

        Raises:
            SettingsError: there is not one number a name.
        """
        num = len(answers.losses)
        truth, values = (np.asarray(part).reshape(num, -1) for part in (answers.truth, answers.values))
        for part in (truth, values):
            if part.shape[1] != len(self.names):
                what = f"the task's answers are {part.shape[1]} numbers an image, its names are {len(self.names)}"
                raise SettingsError(
                    what, where="names", fix="give the task one name a number, or let `truth` and `decode` fit"
                )
        return replace(answers, truth=truth, values=values)

    def rows(self, answers: Answers) -> Iterator[list[str]]:
        """Yield the cells of each image."""
        ends = zip(digits(self.errors(answers.truth, answers.values)), digits(answers.losses), strict=True)
        for true, value, end in zip(answers.truth, answers.values, ends, strict=True):
            yield [*digits(true), *digits(value), *end]

    def read(self, cells: Cells) -> Answers:
        """Return what was written as these cells."""
        num = len(self.names)
        truth, values, _, losses = np.split(cells.table, [num, 2 * num, 2 * num + 1], axis=1)
        return Answers(truth, values, losses[:, 0])

    def combined(self, answers: Sequence[Answers], std: Sequence[float] = ()) -> Answers:
        """Return the answers of an ensemble: the mean number, or the mean direction of angles."""
        values, truth = np.stack([one.values for one in answers]), answers[0].truth
        if self.unit == "deg":
            mean = _mean_direction(values)
            a, b = np.deg2rad(mean), np.deg2rad(truth)
            losses = ((np.sin(a) - np.sin(b)) ** 2 + (np.cos(a) - np.cos(b)) ** 2).mean(1) / 2
        else:
            mean = values.mean(0)
            losses = (((mean - truth) / (np.asarray(std) if len(std) else 1)) ** 2).mean(1)
        return replace(answers[0], values=mean, losses=losses)

    @property
    def combination(self) -> str:
        """What an ensemble averages."""
        return "mean direction" if self.unit == "deg" else "mean value"


def _mean_direction(angles_deg: Floats) -> Floats:
    radians = np.deg2rad(angles_deg)
    return np.asarray(np.rad2deg(np.arctan2(np.sin(radians).mean(0), np.cos(radians).mean(0))) % 360)
