"""One run while it trains: the pieces `fit` is handed, and the state a checkpoint holds."""

import math
import time
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.base.errors import DivergedError, ModelError
from striate.base.progress import Progress, line_width
from striate.base.rundir import RunDir
from striate.base.seeds import seed_for
from striate.base.text import duration, plural
from striate.data.loader import Loader, Turns
from striate.engine import checkpoint
from striate.engine.average import Average, EqualAverage
from striate.engine.interrupt import Interrupt
from striate.engine.loop import Position, fit
from striate.engine.optim import build
from striate.engine.precision import autocast, fastest_kernels
from striate.engine.probe import Rows, look
from striate.engine.regularise import freeze, modules_in_eval_mode, unfreeze
from striate.engine.schedule import rate_at, then_constant
from striate.engine.stop import Stop
from striate.engine.together import Together
from striate.engine.update import Update, aux_weight_of
from striate.evaluate.run import quick_scores
from striate.model.state import load_state, state_of
from striate.transfer.maps import KnownMaps, Trunk, maps_of
from striate.transfer.stages import Stage, first_averaged, patience_of, stages

from .prepare import Prepared, restore_or_fork, task_for

SAVE_EVERY_S = 15.0
PROBE_IMAGES = 64


def make_update(
    prepared: Prepared,
    network: nn.Module,
    precision: str,
    stage: Stage,
    *,
    steps_per_epoch: int,
    average: Average | None = None,
) -> Update:
    """Return the recipe's training step for a stage; the network's frozen rows are those of the stage from here on.

    Raises:
        SettingsError: a row, the optimiser or a setting does not go with this network.
    """
    settings, first = prepared.recipe.train, stage.start * steps_per_epoch
    for other in stages(settings, prepared.num_epochs):  # whichever the network comes from
        unfreeze(network, other.frozen, other.setting)
    eval_modules = freeze(network, stage.frozen, has_fixed_norms=settings.freeze_norm, setting=stage.setting)
    rate = rate_at(stage.lr, settings.schedule, (stage.end - stage.start) * steps_per_epoch, settings.warmup)
    optimiser = build(
        network,
        settings.optimiser,
        lr=stage.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        depth_decay=settings.depth_decay,
        norm_bias_scale=settings.norm_bias_scale,
    )
    return Update(
        network,
        prepared.task,
        optimiser,
        lambda step: rate(step - first),
        clip=settings.clip,
        precision=precision,
        average=average,
        name_of=lambda index: prepared.dataset.ids[index],
        aux_weight=aux_weight_of(network, settings.aux_weight),
        l1=settings.l1,
        l2=settings.l2,
        weight_noise=settings.weight_noise,
        sam=settings.sam,
        eval_modules=eval_modules,
    )


def training_data(prepared: Prepared, seed: int) -> Prepared:
    """The data with the wrong labels that the recipe asks for; scores are always taken on the right ones.

    Class weights are those of the labels that are trained on: a rare class with wrong labels is not so rare.
    """
    recipe, dataset, name = prepared.recipe, prepared.dataset, prepared.task.target
    if not recipe.train.label_noise:
        return prepared
    target = dataset.target(name).with_noise(dataset.ids, dataset.splits["train"], recipe.train.label_noise, seed)
    changed = replace(dataset, targets={**dataset.targets, name: target})
    task = task_for(changed, recipe, name, prepared.task.name) if recipe.data.balance == "weights" else prepared.task
    return replace(prepared, dataset=changed, task=task)


def score_text(score: float) -> str:
    """Return a score as an epoch's line shows it."""
    return "n/a" if math.isnan(score) else f"{score:.4f}"


def epoch_line(row: dict[str, Any], num_epochs: int, monitor: str, images_per_s: float, width: int) -> str:
    """Return an epoch's line; what a line of this width has no room for is left out: speed, time, training scores.

    Example:
        >>> row = {"epoch": 2, "time_s": 3.2, "is_best": True}
        >>> row |= {"train": {"loss": 1.5, "accuracy": 0.25}, "val": {"loss": 1.75, "accuracy": 0.2}}
        >>> epoch_line(row, 8, "accuracy", 77, 200)
        'epoch 2/8: train loss 1.5000 accuracy 0.2500, val loss 1.7500 accuracy 0.2000, 77 images/s, 3.2 s, best'
        >>> epoch_line(row, 8, "accuracy", 77, 80)
        'epoch 2/8: train loss 1.5000, val loss 1.7500 accuracy 0.2000, 3.2 s, best'
    """
    train, val = (f"{split} loss {row[split]['loss']:.4f}" for split in ("train", "val"))
    scores = [f" {monitor} {score_text(row[split][monitor])}" for split in ("train", "val")]
    end = [f"{images_per_s:,.0f} images/s", duration(row["time_s"]), *(["best"] if row["is_best"] else [])]
    long, short = [train + scores[0], val + scores[1]], [train, val + scores[1]]
    ways = ([*long, *end], [*long, *end[1:]], [*short, *end], [*short, *end[1:]], [val + scores[1], *end[2:]])
    lines = [f"epoch {row['epoch']}/{num_epochs}: {', '.join(parts)}" for parts in ways]
    return next((line for line in lines if len(line) <= width), lines[-1])


def _machine(prepared: Prepared) -> dict[str, Any]:
    """What the bits of a run depend on beside its settings."""
    found = {"threads": torch.get_num_threads(), "torch": torch.__version__, "device": prepared.device.type}
    return {**found, "processes": prepared.processes.size}


def differences(state: checkpoint.State, prepared: Prepared) -> str:
    """Return why going on from a checkpoint here has other bits than never having stopped; empty where it has not."""
    before, now = {"processes": 1, **state.document}, _machine(prepared)
    changed = [f"{name} was {before.get(name)}, is {value}" for name, value in now.items() if before.get(name) != value]
    what = f"resumed at step {before['step']}, but not bit-identical to an uninterrupted run"
    return f"{what}: {'; '.join(changed)}" if changed else ""


def _probe_loader(prepared: Prepared) -> Loader:
    """One batch of validation images, spread evenly over the split."""
    val = prepared.dataset.splits["val"]
    places = np.unique(np.linspace(0, len(val) - 1, PROBE_IMAGES).astype(int))
    return prepared.loader("val", indices=val[places], batch_size=PROBE_IMAGES)


class Training:
    """A run folder being filled.

    Args:
        run: the folder; its lock is held by the caller.
        prepared: data, task and loaders.
        network: trained in place.
        seed: of order, augmentation and dropout.
        precision: "float32" or "bf16".
        fixed: what must be the same for every part of the run.
        since: epochs after which patience counts, in a run that was made longer.
    """

    def __init__(
        self,
        run: RunDir,
        prepared: Prepared,
        network: nn.Module,
        *,
        seed: int,
        precision: str,
        progress: Progress,
        fixed: dict[str, Any],
        since: int = 0,
    ) -> None:
        self.fixed = fixed
        self.run, self.prepared, self.network, self.seed = run, prepared, network, seed
        self.precision, self.progress, self.processes = precision, progress, prepared.processes
        self.processes.spread([*network.parameters(), *network.buffers()])
        settings, num_epochs = prepared.recipe.train, prepared.num_epochs
        self.train_data = training_data(prepared, seed)
        self.loader = self.train_data.loader("train", seed=seed, is_training=True)
        self.val_loader: Loader | Turns = prepared.loader("val")
        if self.processes.size > 1:
            self.val_loader = Turns(self.val_loader, self.processes)
        self.average = Average(network, settings.ema) if settings.ema else None
        self.stages = stages(settings, num_epochs)
        self.stage, self.update = 0, self._update(0)
        eval_modules = modules_in_eval_mode(network, settings.frozen_at_last, has_fixed_norms=settings.freeze_norm)
        self.swa = EqualAverage(network, first_averaged(settings, num_epochs), eval_modules) if settings.swa else None
        self.position = Position()
        since = max(since, self.stages[-1].start)
        self.known: tuple[Trunk, KnownMaps, KnownMaps] | None = None
        self.stop = Stop(prepared.task.monitor_mode, patience_of(settings, num_epochs), since=since)
        self.best: dict[str, Tensor] = {}
        self._rows: Rows = {}
        self._probe_loader = _probe_loader(prepared) if settings.record_gradients else None
        self._saved_s = time.monotonic()

    @property
    def num_lost(self) -> int:
        """Images that became unreadable while training."""
        return len(self.prepared.lost)

    @property
    def num_skipped(self) -> int:
        """Steps left out because their gradient was not finite."""
        return self.update.skips.num

    @property
    def model(self) -> nn.Module:
        """What is validated and kept: the averaged model when there is one."""
        if self.swa is not None and self.swa.count:
            return self.swa.model
        return self.average.model if self.average is not None else self.network

    def train(self, interrupt: Interrupt, state: checkpoint.State | None = None) -> str:
        """Train from the start or from a checkpoint, and return how it ended; the global random state is given back."""
        device = self.prepared.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed_for(self.seed, "dropout"))
            if state is None:
                self.save(self.position, True)  # so that there is a finite state from the first step on
            else:
                self.restore(state)
            ended = self._fit(interrupt)
            while ended == "finished" and self.stage + 1 < len(self.stages):
                self._enter(self.stage + 1)
                ended = self._fit(interrupt)
            return ended

    def _fit(self, interrupt: Interrupt) -> str:
        """Train to the end of the stage."""
        self.known = maps_of(
            self.train_data, self.network, self.stages[self.stage].frozen, seed=self.seed, precision=self.precision,
            progress=self.progress,
        )  # fmt: skip
        with fastest_kernels():
            return fit(
                self.update,
                self.known[1] if self.known else self.loader,
                num_epochs=self.prepared.num_epochs,
                end=self.stages[self.stage].end,
                position=self.position,
                stop=self.stop,
                validate=self.validate,
                keep_best=self.keep_best,
                record=self.record,
                save=self.save,
                interrupt=interrupt,
                progress=self.progress,
            )

    def _enter(self, stage: int) -> None:
        """Go to a stage: other rows train, with a new optimiser."""
        skips = self.update.skips
        self.stage, self.update = stage, self._update(stage)
        self.update.skips = skips

    def _update(self, stage: int) -> Update:
        settings, steps = self.prepared.recipe.train, len(self.loader)
        update = make_update(
            self.train_data,
            self.network,
            self.precision,
            self.stages[stage],
            steps_per_epoch=steps,
            average=self.average,
        )
        if self.processes.size > 1:
            update.together = Together(self.network, self.train_data.task, self.processes, self.seed)
        if settings.swa_lr:
            first = first_averaged(settings, self.prepared.num_epochs) * steps
            update.rate_at = then_constant(update.rate_at, first, settings.swa_lr)
        return update

    def validate(self) -> dict[str, float]:
        """Return the scores of the validation split; the network of an epoch that counts for SWA joins its mean."""
        epoch = self.position.epoch
        if self._probe_loader is not None and self.processes.is_first:
            batch = next(iter(self._probe_loader.batches(0)))
            self._rows = look(self.network, self.update.loss, batch)
        if self.swa is not None and epoch >= self.swa.first_epoch:
            self.swa.update(self.network, lambda: self.loader.batches(epoch), self.precision)
            self.processes.average(one for one in self.swa.model.buffers() if one.is_floating_point())
        for network in {self.network, self.model}:
            self.processes.spread(network.buffers())  # of batch normalisation, where each has had its own images
        precision = autocast(self.prepared.device, self.precision)
        is_known = self.known is not None and self.known[0].is_same(self.model)
        loader = self.known[2] if self.known and is_known else self.val_loader
        return quick_scores(self.model, self.prepared.task, loader, precision, self.processes)

    def keep_best(self) -> None:
        """Remember the weights as they are now."""
        self.best = {name: tensor.detach().clone() for name, tensor in state_of(self.model).items()}

    def record(self, row: dict[str, Any]) -> None:
        """Append an epoch to the history and show it; one of several processes does."""
        if not self.processes.is_first:
            return
        speed = row.pop("batches_per_s") * self.loader.batch_size
        rows, num_skipped = {"rows": self._rows} if self._rows else {}, self.num_skipped
        self.run.add_epoch({**row, "images_per_s": round(speed, 1), "skipped_steps": num_skipped, **rows})
        line = epoch_line(row, self.prepared.num_epochs, self.prepared.task.monitor, speed, line_width())
        skipped = f", {plural(num_skipped, 'step')} skipped so far (gradient not finite)" if num_skipped else ""
        self.progress.line(line + skipped)

    def save(self, position: Position, must: bool) -> None:
        """Write a checkpoint when it must be, or when the last one is old enough; one of several processes does.

        Raises:
            DivergedError: a weight is not finite; the last finite checkpoint stays.
        """
        if not self.processes.is_first:
            return
        if not must and time.monotonic() - self._saved_s < SAVE_EVERY_S:
            return
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.network.parameters()):
            raise DivergedError(
                f"weights are not finite at step {position.step}",
                where=self.run.path,
                fix="train again with a lower --lr",
            )
        checkpoint.save(self.run.checkpoints, self.state())
        self._saved_s = time.monotonic()

    @property
    def _averages(self) -> dict[str, Average | EqualAverage]:
        """The averages that are kept, by the name of their tensors in a checkpoint."""
        both = {"average": self.average, "swa": self.swa}
        return {name: average for name, average in both.items() if average is not None}

    def state(self) -> checkpoint.State:
        """Return everything needed to go on from here."""
        position = self.position
        tensors = {**checkpoint.pack_optimiser(self.update.optimiser), "rng.cpu": torch.get_rng_state()}
        tensors["skips"] = self.update.skips.counts
        if self.prepared.device.type == "cuda":
            tensors["rng.cuda"] = torch.cuda.get_rng_state(self.prepared.device)
        if position.parts:
            tensors["sums"] = reduce(self.prepared.task.add, position.parts)
        for prefix, average in self._averages.items():
            tensors |= {f"{prefix}.{name}": tensor for name, tensor in state_of(average.model).items()}
        document = {
            "epoch": position.epoch,
            "batch": position.batch,
            "step": position.step,
            "time_s": position.time_s,
            "stage": self.stage,
            "stop": self.stop.state(),
            "swa_count": self.swa.count if self.swa is not None else 0,
            "recipe": self.prepared.recipe.model_dump(mode="json"),
            "fixed": self.fixed,
            "history": self.run.history_digest(),
            **_machine(self.prepared),
        }
        groups = {"weights": state_of(self.network), "best": self.best, "state": tensors}
        return checkpoint.State(document, {name: group for name, group in groups.items() if group})

    def restore(self, state: checkpoint.State) -> None:
        """Take over a checkpoint, and drop the epochs the history has beyond it."""
        document, tensors = state.document, state.tensors["state"]
        device = self.prepared.device
        if stage := document.get("stage", 0):  # which older checkpoints do not have
            self._enter(stage)
        load_state(self.network, state.tensors["weights"])
        checkpoint.unpack_optimiser(self.update.optimiser, tensors)
        self.best = {name: tensor.to(device) for name, tensor in state.tensors.get("best", {}).items()}
        for prefix, average in self._averages.items():
            start = f"{prefix}."
            averaged = {name.removeprefix(start): one for name, one in tensors.items() if name.startswith(start)}
            load_state(average.model, averaged)
        is_longer = document.get("fixed", self.fixed)["num_epochs"] != self.prepared.num_epochs
        if self.swa is not None:  # the last epochs are others in a run that was made longer: the mean begins anew
            self.swa.count = 0 if is_longer else document["swa_count"]
        if "skips" in tensors:  # which older checkpoints do not have
            self.update.skips.counts = tensors["skips"].to(device)
        parts = [tensors["sums"].to(device)] if "sums" in tensors else []
        self.position = Position(document["epoch"], document["batch"], document["step"], parts, document["time_s"])
        self.stop.restore(document["stop"])
        found = self.run.keep_epochs(document["epoch"]) if self.processes.is_first else document.get("history")
        if found != document.get("history", found):  # which older checkpoints do not have
            what = "history.jsonl is not what it was when the checkpoint was written"
            raise ModelError(what, where=self.run.path, fix=restore_or_fork(self.run.path))
        torch.set_rng_state(tensors["rng.cpu"])
        if "rng.cuda" in tensors and device.type == "cuda":
            torch.cuda.set_rng_state(tensors["rng.cuda"], device)
