"""Run a model over a split and keep, for every image, truth, prediction, probabilities and loss."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from striate.data.sample import Batch
from striate.task import Task
from striate.task.protocol import answers_of
from striate.task.views import each

from .layout import Answers


@dataclass(frozen=True, kw_only=True)
class Evaluation(Answers):
    """One row an image: dataset `index` (N,), and the answers with plain losses."""

    index: npt.NDArray[np.intp]


class Batches(Protocol):
    """Anything that yields batches of an epoch."""

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]: ...


@torch.inference_mode()
def evaluate(model: nn.Module, task: Task, loader: Batches) -> Evaluation:
    """Return the evaluation of every image the loader yields, in float32; the model's mode is given back."""
    was_training = model.training
    model.eval()
    columns: list[tuple[npt.NDArray[np.generic], ...]] = []
    try:
        for batch in loader.batches(0):
            found = answers_of(task, model(batch.images), batch)
            probabilities = found.probabilities if found.probabilities is not None else np.empty((len(batch), 0))
            columns.append((batch.index, found.truth, found.values, probabilities, found.losses))
    finally:
        model.train(was_training)
    index, truth_all, values, probabilities_all, losses_all = (
        np.concatenate(column) for column in zip(*columns, strict=True)
    )
    return Evaluation(
        truth_all, values, losses_all, probabilities_all if probabilities_all.shape[1] else None, index=index
    )


@torch.inference_mode()
def quick_scores(model: nn.Module, task: Task, loader: Batches, autocast: object) -> dict[str, float]:
    """Return the task's epoch scores over a loader, in the given autocast context; sums stay on the device."""
    was_training = model.training
    model.eval()
    sums = None
    try:
        for batch in loader.batches(0):
            with autocast:  # type: ignore[attr-defined]
                outputs = model(batch.images)
            sums = task.add(sums, task.tally(each(torch.Tensor.float, outputs), batch))
    finally:
        model.train(was_training)
    return task.summarise(sums)
