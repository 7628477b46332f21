"""Points: `error,loss,height,width,true:x_NAME,true:y_NAME,...,x_NAME,y_NAME,...`, in pixels of the image.

`error` is the mean distance of the points that are marked; true places are `nan` where they are not. N images.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from striate.metric import Answers
from striate.metric.mask_matches import SIZE
from striate.metric.points import distances

from .layout import Cells, Floats, digits
from .sidecar import Sidecar

FIRST = ("error", "loss", "height", "width")


@dataclass(frozen=True)
class Spots:
    """`truth`, `values` (N, K, 2) float64; `records` has the images' sizes."""

    names: tuple[str, ...]
    unit: str = "px"
    kind: ClassVar[str] = "points"
    text_columns: ClassVar[frozenset[str]] = frozenset()
    keeps_records: ClassVar[bool] = False
    is_exclusive: ClassVar[bool] = False
    combination: ClassVar[str] = "mean place"

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Self:
        """Return the layout of a task's document."""
        return cls(tuple(task["names"]))

    @classmethod
    def of_columns(cls, columns: Sequence[str], task: Mapping[str, Any]) -> Self:
        """Return the layout of a file; it has the points of its header."""
        layout = cls(tuple(name.removeprefix("true:x_") for name in columns if name.startswith("true:x_")))
        if not layout.names or layout.columns() != list(columns):
            raise ValueError(f"its header is not split,id,{','.join(FIRST)},true:x_...,x_...")
        return layout

    def columns(self, answers: Answers | None = None) -> list[str]:
        """Return the header after split and id."""
        places = [f"{axis}_{name}" for name in self.names for axis in "xy"]
        return [*FIRST, *(f"true:{name}" for name in places), *places]

    def kept(self, answers: Answers, sidecar: Sidecar | None) -> Answers:
        """Return the answers: a row holds them."""
        return answers

    def rows(self, answers: Answers) -> Iterator[list[str]]:
        """Yield the cells of each image."""
        errors = digits(mean_distances(answers))
        rows = zip(errors, digits(answers.losses), answers.records[SIZE], answers.truth, answers.values, strict=True)
        for error, loss, size_hw, truth, values in rows:
            sides = [str(int(side)) for side in size_hw]
            yield [error, loss, *sides, *digits(truth.ravel()), *digits(values.ravel())]

    def read(self, cells: Cells) -> Answers:
        """Return what was written as these cells."""
        first, truth, values = np.split(cells.table, [len(FIRST), len(FIRST) + 2 * len(self.names)], axis=1)
        shape = (len(first), len(self.names), 2)
        return Answers(truth.reshape(shape), values.reshape(shape), first[:, 1], None, {SIZE: first[:, 2:]})

    def combined(self, answers: Sequence[Answers], std: Sequence[float] = ()) -> Answers:
        """Return the answers of an ensemble: the mean place; losses are its distances as shares of the longer side."""
        mean = replace(answers[0], values=np.mean([one.values for one in answers], axis=0))
        losses = np.nan_to_num(mean_distances(mean) / mean.records[SIZE].max(1))
        return replace(mean, losses=losses)


def mean_distances(answers: Answers) -> Floats:
    """Return the mean distance (N,) of each image's points; nan where none is marked."""
    off = distances(answers.truth, answers.values)
    is_known = ~np.isnan(off)
    num = is_known.sum(1)
    return np.where(num > 0, np.where(is_known, off, 0).sum(1) / np.maximum(num, 1), np.nan)
