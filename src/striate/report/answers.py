"""What the runs of one network answered for the images of a split, from their tables of predictions."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from striate.evaluate.predictions import Predictions

from .read import Run
from .thumbnails import ThumbnailStore

Condense = Callable[[Predictions], Predictions]


@dataclass(frozen=True, eq=False)
class Answers:
    """What one run of a study's variant answered for N images.

    The table's `probabilities` are what the task's sections need of them.
    """

    run: Run
    split: str
    table: Predictions
    variant: str = ""

    def name(self, class_index: int) -> str:
        """Return the name of a class, tag or number."""
        return self.table.names[class_index]


Given = tuple[Answers, int]  # one run's answer for one image: its table and the row in it
ByImage = Mapping[str, Sequence[Given]]


def by_image(tables: Sequence[Answers]) -> ByImage:
    """Return for each image's id what every run answered, in the order of the first table."""
    given: dict[str, list[Given]] = defaultdict(list)
    for answers in tables:
        for row, id_ in enumerate(answers.table.ids):
            given[id_].append((answers, row))
    return given


def illustrated(same: Sequence[Given], thumbnails: ThumbnailStore) -> Given:
    """Return the first answer whose run kept a thumbnail of the image, else the first."""
    return next((one for one in same if has_thumbnail(one, thumbnails)), same[0])


def has_thumbnail(one: Given, thumbnails: ThumbnailStore) -> bool:
    """Return whether the run kept a thumbnail of the image."""
    answers, row = one
    return thumbnails.has(answers.run.folder, answers.split, answers.table.ids[row])


def with_thumbnails_first(ranked: Sequence[Sequence[Given]], thumbnails: ThumbnailStore) -> Sequence[Sequence[Given]]:
    """Return those images that have a thumbnail, if any has; else all."""
    return [given for given in ranked if any(has_thumbnail(one, thumbnails) for one in given)] or ranked


def mean_loss(given: Sequence[Given]) -> float:
    """Return an image's mean loss over the runs that have a finite one; infinite where none has."""
    losses = np.array([answers.table.losses[row] for answers, row in given])
    known = losses[np.isfinite(losses)]
    return float(known.mean()) if len(known) else float("inf")


def condensed(table: Predictions, probabilities: npt.NDArray[np.floating] | None) -> Predictions:
    """Return a table with these probabilities and losses of its own: a table's arrays are views of one large buffer."""
    return replace(table, losses=np.array(table.losses), probabilities=probabilities)
