"""Scores of maps in the images' own pixels, beside those in the network's: what a user of the predictions gets.

A run is chosen and compared by scores at the network's size, the size of its epochs' scores. They say nothing of what
resizing costs: thin things that a small network cannot see, edges in steps, and what "crop" cuts away, whose pixels
count as wrong here.
"""

from typing import Any

import numpy as np

from striate.data.geometry import Geometry
from striate.data.sample import Batch
from striate.data.target import Target
from striate.metric import Answers
from striate.metric.loss import LOSS
from striate.task import Outputs, Task

from .layout.rows import Column
from .scores import scores_by


class OwnSize:
    """Takes the outputs of a split batch by batch; only what the metrics record of each image is kept.

    Args:
        target: what is predicted; of one without a size of its own nothing is scored.
        geometry: how the network sees images.
    """

    def __init__(self, task: Task, target: Target, geometry: Geometry) -> None:
        self.task, self.target, self.geometry = task, target, geometry
        self.metrics = tuple(metric for metric in task.metrics if metric.key != LOSS.key)
        self.records: dict[str, Column] = {}
        self.seen = Column()

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Score the outputs for a batch.

        Raises:
            DataError: the target of an image cannot be read.
        """
        truths = [truth for index in batch.index if (truth := self.target.own_map(int(index))) is not None]
        ways = [self.geometry.way_back(*truth.shape[: len(self.geometry.size_hw)]) for truth in truths]
        maps = self.task.at_own_size(outputs, ways) if truths else None
        for truth, values, way in zip(truths, maps or (), ways, strict=maps is not None):
            answers, names = Answers(truth[None], values[None], np.zeros(1)), set[str]()
            for metric in self.metrics:
                if (name := metric.record_name or metric.key) not in names:
                    self.records.setdefault(name, Column()).add(metric.made(answers))
                    names.add(name)
            self.seen.add(np.array([way.is_seen.mean()]))

    def scores(self) -> dict[str, Any]:
        """Return {"own_size": scores}, as those of a split with `seen`, the share of pixels that the network saw.

        Nothing where nothing was scored.
        """
        if not self.records:
            return {}
        num = len(self.seen.whole())
        records = {name: column.whole() for name, column in self.records.items()}
        answers = Answers(np.empty(num), np.empty(num), np.zeros(num), records=records)
        seen = {"seen": float(self.seen.whole().mean())}
        return {"own_size": {**scores_by(self.metrics, answers), **seen, **self.task.details(answers)}}
