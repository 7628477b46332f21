"""The training loop, whole. What varies comes in as arguments."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from striate.base.errors import DataError, Interrupted
from striate.base.progress import Progress
from striate.data.sample import Batch
from striate.task.tally import Add, gather, total

from .interrupt import Interrupt
from .stop import Stop
from .update import Update


@dataclass
class Position:
    """Where training stands: finished epochs, batches done of the current one, steps, and the parts of its tally."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    parts: list[Tensor] = field(default_factory=list)
    time_s: float = 0.0

    def advance(self, tally: Tensor, add: Add) -> None:
        """Count one more batch and its tally; `add` is the task's."""
        gather(self.parts, tally, add)
        self.batch += 1
        self.step += 1

    def end_epoch(self) -> None:
        """Go to the start of the next epoch."""
        self.epoch, self.batch, self.parts = self.epoch + 1, 0, []


class Batches(Protocol):
    """Batches of an epoch: a function of the epoch alone, which can start at a later batch."""

    def __len__(self) -> int: ...

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]: ...


Save = Callable[[Position, bool], None]  # (position, must it be saved now)
Record = Callable[[dict[str, Any]], None]
Validate = Callable[[], dict[str, float]]


def fit(
    update: Update,
    loader: Batches,
    *,
    num_epochs: int,
    end: int,
    position: Position,
    stop: Stop,
    validate: Validate,
    keep_best: Callable[[], None],
    record: Record,
    save: Save,
    interrupt: Interrupt,
    progress: Progress,
) -> str:
    """Train from `position` to the end of epoch `end`, of `num_epochs`, and return how it ended: "finished" or "early".

    Args:
        update: one training step.
        validate: returns the scores of the validation split.
        keep_best: called when the epoch is the best so far.
        record: receives one document an epoch.
        save: called after every epoch, and with True when the state must not be lost.
        interrupt: looked at after every step.

    Raises:
        Interrupted: a signal came; the state was saved.
        DataError: too many images can no longer be read; the state was saved.
        DivergedError: the loss is not finite.
    """
    while position.epoch < end and not stop.is_over(position.epoch):
        start_s, first_batch = time.perf_counter(), position.batch
        update.train_mode()
        try:
            title, num_batches = f"epoch {position.epoch + 1}/{num_epochs}", len(loader) - first_batch
            with progress.bar(title, num_batches, "batch", "batches", has_end=False) as bar:
                for batch in loader.batches(position.epoch, first_batch):
                    position.advance(update(batch, position.step), update.task.add)
                    bar.advance()
                    if interrupt.signal_number is not None:
                        raise Interrupted("stopped and saved", signal_number=interrupt.signal_number)
            train_s = time.perf_counter() - start_s
            row = _end_epoch(update, position, validate, stop, keep_best)
        except (Interrupted, DataError):
            position.time_s += time.perf_counter() - start_s
            save(position, True)
            raise
        position.time_s += time.perf_counter() - start_s
        record({**row, "time_s": position.time_s, "batches_per_s": (len(loader) - first_batch) / train_s})
        save(position, False)
    save(position, True)
    return "finished" if position.epoch >= end else "early"


def _end_epoch(
    update: Update, position: Position, validate: Validate, stop: Stop, keep_best: Callable[[], None]
) -> dict[str, Any]:
    train = update.task.summarise(total(position.parts, update.task.add))
    val = validate()
    position.end_epoch()
    is_best = stop.is_better(val[update.task.monitor], val["loss"], position.epoch)
    if is_best:
        keep_best()
    rate = update.rate_at(position.step - 1)
    return {"epoch": position.epoch, "step": position.step, "lr": rate, "train": train, "val": val, "is_best": is_best}
