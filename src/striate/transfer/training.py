"""A run that trains nothing but the head, on features of its body; and a linear probe before training."""

import time
from typing import Any

from torch import Tensor, nn

from striate.base.errors import Interrupted
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.engine.interrupt import Interrupt
from striate.engine.loop import Position
from striate.engine.precision import autocast
from striate.engine.stop import Stop
from striate.evaluate.run import quick_scores
from striate.model.state import load_state
from striate.run.prepare import Prepared
from striate.run.training import score_text, training_data

from .features import cut, take
from .linear_probe import solve


class ProbeTraining:
    """Takes features once, solves the head for each strength of weight decay, keeps the best on validation images.

    `finish` takes it like a `Training`; an "epoch" of its history is one strength. It needs no checkpoints: features
    are in the cache, and what is done again takes seconds. Wrong labels, where the recipe asks for them, are those
    that training has from the same seed.
    """

    def __init__(
        self, run: RunDir | None, prepared: Prepared, network: nn.Module, *, seed: int, precision: str,
        progress: Progress,
    ) -> None:  # fmt: skip
        self.run, self.prepared, self.network, self.progress = run, prepared, network, progress
        self.train_data = training_data(prepared, seed)
        self.body = cut(network, precision)
        self.position, self.stop = Position(), Stop(prepared.task.monitor_mode, 0)
        self.best: dict[str, Tensor] = {}
        self.num_skipped = 0

    @property
    def num_lost(self) -> int:
        """Images that became unreadable while features were taken."""
        return len(self.prepared.lost)

    def train(self, interrupt: Interrupt | None = None, state: object = None) -> str:
        """Solve the head and return how it ended.

        Raises:
            Interrupted: a signal came.
        """
        start_s, prepared, task = time.perf_counter(), self.prepared, self.prepared.task
        train = take(self.body, self.train_data, "train", views=prepared.recipe.transfer.views, progress=self.progress)
        val = take(self.body, prepared, "val", views=1, progress=self.progress)
        plain = autocast(prepared.device, "float32")
        for solution in solve(self.body.head, self.train_data.task, train):
            if interrupt is not None and interrupt.signal_number is not None:
                raise Interrupted("stopped; features are kept", signal_number=interrupt.signal_number)
            solved = self.body.head_with(solution.state)
            scores = {name: quick_scores(solved, task, part, plain) for name, part in (("train", train), ("val", val))}
            self.position.epoch, self.position.step = self.position.epoch + 1, solution.steps
            self.position.time_s = time.perf_counter() - start_s
            is_best = self.stop.is_better(scores["val"][task.monitor], scores["val"]["loss"], self.position.epoch)
            if is_best:
                self.best = self.body.whole_with(solution.state)
            row = {"weight_decay": solution.weight_decay, **scores, "is_best": is_best}
            self._record(f"head with weight decay {solution.weight_decay:g}", row, len(train.values))
        return "finished"

    def _record(self, name: str, row: dict[str, Any], num_rows: int) -> None:
        position, monitor = self.position, self.prepared.task.monitor
        if self.run is not None:
            numbers = {"epoch": position.epoch, "step": position.step, "lr": 0.0, "time_s": position.time_s}
            self.run.add_epoch({**numbers, **row, "images_per_s": round(num_rows / position.time_s, 1)})
        mark = " best" if row["is_best"] else ""
        self.progress.line(
            f"{name}: train loss {row['train']['loss']:.4f}, "
            f"val loss {row['val']['loss']:.4f} {monitor} {score_text(row['val'][monitor])}{mark}"
        )


def fit_linear_probe(prepared: Prepared, network: nn.Module, *, seed: int, precision: str, progress: Progress) -> None:
    """Give the network the head that is best on validation images while its body stays as it is."""
    training = ProbeTraining(None, prepared, network, seed=seed, precision=precision, progress=progress)
    training.train()
    load_state(network, training.best)
