"""One run while it trains: the pieces `fit` is handed, and the state a checkpoint holds."""

import time
from typing import Any

import torch
from torch import Tensor, nn

from striate.base.errors import DivergedError
from striate.base.files import write_text
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.base.seeds import seed_for
from striate.base.text import duration
from striate.evaluate.run import quick_scores
from striate.train import checkpoint
from striate.train.interrupt import Interrupt
from striate.train.loop import Position, fit
from striate.train.optim import DEFAULT_LR, build
from striate.train.schedule import rate_at
from striate.train.stop import Stop
from striate.train.update import Average, Update, autocast

from .prepare import Prepared

SAVE_EVERY_S = 15.0


class Training:
    """A run folder being filled.

    Args:
        run: the folder; its lock is held by the caller.
        prepared: data, task and loaders.
        network: trained in place.
        seed: of order, augmentation and dropout.
        precision: "float32" or "bf16".
    """

    def __init__(
        self, run: RunDir, prepared: Prepared, network: nn.Module, *, seed: int, precision: str, progress: Progress
    ) -> None:
        self.run, self.prepared, self.network, self.seed = run, prepared, network, seed
        self.precision, self.progress = precision, progress
        settings, task = prepared.recipe.train, prepared.task
        self.loader = prepared.loader("train", seed=seed, is_training=True)
        self.val_loader = prepared.loader("val")
        lr = settings.lr or DEFAULT_LR[settings.optimiser]
        self.optimiser = build(
            network, settings.optimiser, lr=lr, momentum=settings.momentum, weight_decay=settings.weight_decay
        )
        rate = rate_at(lr, settings.schedule, prepared.num_epochs * len(self.loader), settings.warmup)
        self.average = Average(network, settings.ema) if settings.ema else None
        self.update = Update(
            network,
            task,
            self.optimiser,
            rate,
            clip=settings.clip,
            precision=precision,
            average=self.average,
            name_of=lambda index: prepared.dataset.ids[index],
        )
        patience = settings.patience if settings.patience is not None else max(1, prepared.num_epochs // 2)
        self.position, self.stop = Position(), Stop(task.monitor_mode, patience)
        self.best: dict[str, Tensor] = {}
        self._saved_s = time.monotonic()

    @property
    def model(self) -> nn.Module:
        """What is validated and kept: the averaged model when there is one."""
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
            return fit(
                self.update,
                self.loader,
                num_epochs=self.prepared.num_epochs,
                position=self.position,
                stop=self.stop,
                validate=self.validate,
                keep_best=self.keep_best,
                record=self.record,
                save=self.save,
                interrupt=interrupt,
                progress=self.progress,
            )

    def validate(self) -> dict[str, float]:
        """Return the scores of the validation split."""
        return quick_scores(
            self.model, self.prepared.task, self.val_loader, autocast(self.prepared.device, self.precision)
        )

    def keep_best(self) -> None:
        """Remember the weights as they are now."""
        self.best = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def record(self, row: dict[str, Any]) -> None:
        """Append an epoch to the history and show it."""
        speed = row.pop("batches_per_s") * self.loader.batch_size
        self.run.add_epoch({**row, "images_per_s": round(speed, 1)})
        monitor = self.prepared.task.monitor
        epochs, train, val = self.prepared.num_epochs, row["train"], row["val"]
        shown = ", ".join(
            f"{name} loss {one['loss']:.4f} {monitor} {one[monitor]:.4f}"
            for name, one in (("train", train), ("val", val))
        )
        mark = " best" if row["is_best"] else ""
        self.progress.line(
            f"epoch {row['epoch']}/{epochs}: {shown}, {speed:,.0f} images/s, {duration(row['time_s'])}{mark}"
        )

    def save(self, position: Position, must: bool) -> None:
        """Write a checkpoint when it must be, or when the last one is old enough.

        Raises:
            DivergedError: a weight is not finite; the last finite checkpoint stays.
        """
        if not must and time.monotonic() - self._saved_s < SAVE_EVERY_S:
            return
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.network.parameters()):
            raise DivergedError(
                f"weights are not finite at step {position.step}",
                where=self.run.path,
                fix="lower the rate: --set train.lr=...",
            )
        checkpoint.save(self.run.checkpoints, self.state())
        self._saved_s = time.monotonic()

    def state(self) -> checkpoint.State:
        """Return everything needed to go on from here."""
        optimiser, numbers = checkpoint.pack_optimiser(self.optimiser)
        position = self.position
        tensors = {**optimiser, "rng.cpu": torch.get_rng_state()}
        if self.prepared.device.type == "cuda":
            tensors["rng.cuda"] = torch.cuda.get_rng_state(self.prepared.device)
        if position.sums is not None:
            tensors["sums"] = position.sums
        if self.average is not None:
            tensors |= {f"average.{name}": tensor for name, tensor in self.average.model.state_dict().items()}
        document = {
            "epoch": position.epoch,
            "batch": position.batch,
            "step": position.step,
            "time_s": position.time_s,
            "stop": self.stop.state(),
            "optimiser": numbers,
            "recipe": self.prepared.recipe.model_dump(mode="json"),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "device": self.prepared.device.type,
        }
        groups = {"weights": self.network.state_dict(), "best": self.best, "state": tensors}
        return checkpoint.State(document, {name: group for name, group in groups.items() if group})

    def restore(self, state: checkpoint.State) -> None:
        """Take over a checkpoint, and drop the epochs the history has beyond it."""
        document, tensors = state.document, state.tensors["state"]
        device = self.prepared.device
        self.network.load_state_dict(state.tensors["weights"])
        checkpoint.unpack_optimiser(self.optimiser, tensors, document["optimiser"])
        self.best = {name: tensor.to(device) for name, tensor in state.tensors.get("best", {}).items()}
        if self.average is not None:
            prefix = "average."
            averaged = {
                name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)
            }
            self.average.model.load_state_dict(averaged)
        sums = tensors["sums"].to(device) if "sums" in tensors else None
        self.position = Position(document["epoch"], document["batch"], document["step"], sums, document["time_s"])
        self.stop.restore(document["stop"])
        self._keep_history(document["epoch"])
        self._say_differences(document)
        torch.set_rng_state(tensors["rng.cpu"])
        if "rng.cuda" in tensors and device.type == "cuda":
            torch.cuda.set_rng_state(tensors["rng.cuda"], device)

    def _keep_history(self, num_epochs: int) -> None:
        path = self.run.path / "history.jsonl"
        if path.exists():
            lines = path.read_text().splitlines()[:num_epochs]
            write_text(path, "".join(line + "\n" for line in lines))

    def _say_differences(self, document: dict[str, Any]) -> None:
        now = {"threads": torch.get_num_threads(), "torch": torch.__version__, "device": self.prepared.device.type}
        changed = [
            f"{name} was {document[name]}, is {value}" for name, value in now.items() if document.get(name) != value
        ]
        if changed:
            self.progress.line(f"resumed, but not bit-identical to an uninterrupted run: {'; '.join(changed)}")
