"""Objects, any number an image: `truth,count,loss,record:METRIC:0,...`; boxes, points and the like lie in one file."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from striate.metric import Answers

from .layout import Cells
from .maps import Maps, numbers_of
from .sidecar import Sidecar, digest


@dataclass(frozen=True)
class Objects(Maps):
    """`truth` (N,) hashes, `values` (N,) numbers of objects, `records` of each metric.

    What is kept are for each image arrays by name, such as boxes (B, 4), labels (B,) and scores (B,);
    `sidecar.read_objects` returns them.
    """

    kind: ClassVar[str] = "objects"
    first_columns: ClassVar[tuple[str, ...]] = ("truth", "count", "loss")
    text_columns: ClassVar[frozenset[str]] = frozenset(("truth",))

    def kept(self, answers: Answers, sidecar: Sidecar | None) -> Answers:
        """Return hashes of the truth and the numbers of objects; the objects go to the sidecar."""
        if sidecar:
            sidecar.add_objects(list(answers.values))
        truth = np.array([digest(one) for one in answers.truth], dtype=np.str_)
        counts = np.array([len(next(iter(one.values()))) for one in answers.values], dtype=np.int64)
        return replace(answers, truth=truth, values=counts, probabilities=None)

    def read(self, cells: Cells) -> Answers:
        """Return what was written as these cells."""
        truth, counts = np.array(cells.texts["truth"], np.str_), cells.table[:, 0].astype(np.int64)
        return Answers(truth, counts, *numbers_of(cells, 1))
