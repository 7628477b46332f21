"""Run a model over a split and keep, for every image, truth, prediction, probabilities and loss."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from striate.base.processes import ALONE, Processes
from striate.data.originals import Originals
from striate.data.sample import Batch
from striate.metric import Answers, records_of
from striate.nn.tiles import tiled
from striate.task import Task
from striate.task.protocol import answers_of
from striate.task.tally import gather, total
from striate.task.views import each

from .layout import Layout, Rows, Sidecar, layout_of
from .layout.rows import Column
from .own_size import OwnSize


@dataclass(frozen=True, kw_only=True)
class Evaluation(Answers):
    """One row an image: dataset `index` (N,), and the answers with plain losses."""

    index: npt.NDArray[np.intp]


class Batches(Protocol):
    """Anything that yields batches of an epoch."""

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]: ...


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    task: Task,
    loader: Batches,
    sidecar: Sidecar | None = None,
    own_size: OwnSize | None = None,
    originals: Originals | None = None,
) -> Evaluation:
    """Return the evaluation of every image the loader yields, in float32; the model's mode is given back.

    Only what a table holds of a batch outlives it: the outputs of a whole split, of maps 5 MB an image, never lie in
    memory together.

    Args:
        sidecar: takes what the rows of a table cannot hold, such as predicted maps; without it that is dropped.
        own_size: scores maps in the images' own pixels as well.
        originals: the images, in whose own pixels answers that name places are then given.
    """
    was_training, document = model.training, task.to_json()
    layout = layout_of(document).of(document)
    model.eval()
    index, rows = Column(), Rows()
    try:
        for batch in loader.batches(0):
            index.add(batch.index)
            outputs = task.forward(in_tiles(model, batch), batch)
            answers = _answers(task, outputs, batch, layout)
            answers = task.placed(answers, originals, batch.index) if originals else answers
            rows.add(layout.kept(answers, sidecar))
            if own_size:
                own_size.add(outputs, batch)
    finally:
        model.train(was_training)
    if sidecar:
        sidecar.close()
    return Evaluation(**vars(rows.whole()), index=index.whole())


def in_tiles(model: Callable[..., Any], batch: Batch) -> Any:
    """Return the model for a batch: in tiles, blended, where its images are larger than what the network sees."""
    tile_hw = batch.tile_hw
    return (lambda images: tiled(model, images, tile_hw)) if tile_hw else model


def _answers(task: Task, outputs: object, batch: Batch, layout: Layout) -> Answers:
    """The answers to a batch, with the records of its metrics where they cannot be made from a table."""
    answers = answers_of(task, outputs, batch)
    if not layout.keeps_records:
        return answers
    made = records_of(task.metrics, answers)
    records = {metric.record_name or metric.key: made[metric.key].astype(np.float64) for metric in task.metrics}
    return replace(answers, records=records)


@torch.inference_mode()
def quick_scores(
    model: nn.Module, task: Task, loader: Batches, autocast: object, processes: Processes = ALONE
) -> dict[str, float]:
    """Return the task's epoch scores over a loader, in the given autocast context; sums stay on the device.

    Args:
        processes: each has batches of its own in the loader, in turns; all get the scores of all.
    """
    was_training = model.training
    model.eval()
    tallies: list[torch.Tensor] = []
    parts: list[torch.Tensor] = []
    try:
        for batch in loader.batches(0):
            with autocast:  # type: ignore[attr-defined]
                outputs = task.forward(in_tiles(model, batch), batch, **batch.options)
            tally = task.tally(each(torch.Tensor.float, outputs), batch)
            if processes.size == 1:
                gather(parts, tally, task.add)
            else:
                tallies.append(tally)
    finally:
        model.train(was_training)
    if processes.size > 1:
        for turn in zip_longest(*processes.gather(tallies)):  # so the sums are those of one process, to the bit
            for tally in (one for one in turn if one is not None):
                gather(parts, tally, task.add)
    return task.summarise(total(parts, task.add))
