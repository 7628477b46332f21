"""A training step of several processes: each computes its images, all see the outputs of the whole batch.

The loss is that of the whole batch in every process, also where it is no mean over images (class weights, pixels that
are ignored, boxes found, distances between images). Gradients flow through a process's own outputs. On the CPUs of one
machine they are added up in memory that all processes see, elsewhere torch's DistributedDataParallel does it.
"""

from dataclasses import replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from striate.base.processes import Processes
from striate.base.seeds import seed_for
from striate.base.size import SizeHW
from striate.data.sample import Batch
from striate.data.target import Ragged
from striate.task import Outputs, Task
from striate.task.views import each, leaves


class Forward(nn.Module):
    """What a task makes of a network and a batch, as one module: torch's DDP wants all of it in one call."""

    def __init__(self, network: nn.Module, task: Task) -> None:
        super().__init__()
        self.network, self.task = network, task

    def forward(self, batch: Batch, options: dict[str, Any]) -> Outputs:
        return self.task.forward(self.network, batch, **options)


class Whole(Batch):
    """The batch of all processes. Its images are gathered where a loss asks for them; few do."""

    _part: Batch
    _processes: Processes
    _images: Tensor | None

    def __init__(self, part: Batch, targets: dict[str, Any], index: Tensor, processes: Processes) -> None:
        values = {"targets": targets, "index": index.numpy(), "tile_hw": part.tile_hw, "own": slice(None)}
        for name, value in (values | {"_part": part, "_processes": processes, "_images": None}).items():
            object.__setattr__(self, name, value)  # the class is frozen

    @property
    def images(self) -> Tensor:
        """The images of all processes."""
        if self._images is None:
            found = torch.cat([one for (one,) in self._processes.gather([self._part.images])])
            object.__setattr__(self, "_images", found)
            return found
        return self._images

    @property
    def size_hw(self) -> SizeHW:
        """The size of the images."""
        return self._part.size_hw


class Together:
    """What a step asks the other processes.

    Args:
        network: its gradients become those of the whole batch.
        task: see `Forward`.
        seed: of what a step draws: noise on weights alike in all processes, dropout in each of its own.
    """

    def __init__(self, network: nn.Module, task: Task, processes: Processes, seed: int) -> None:
        self.processes, self.task, self.seed = processes, task, seed
        self._gradients = processes.gradients([one for one in network.parameters() if one.requires_grad])
        forward = Forward(network, task)
        self._forward = processes.parallel(forward) if self._gradients is None else forward
        self._batch: Batch | None = None
        self._whole: Whole | None = None  # of `_batch`
        self.tally = torch.empty(0)  # of the last batch, of all processes

    def draw_alike(self, step: int) -> None:
        """Let all processes draw the same numbers from here on."""
        torch.manual_seed(seed_for(self.seed, "step", step))

    def draw_apart(self, step: int) -> None:
        """Let each process draw other numbers from here on."""
        torch.manual_seed(seed_for(self.seed, "step", step, self.processes.rank))

    def forward(self, batch: Batch, **options: Any) -> Outputs:
        """Return the outputs for a process's images; `backward` through them reaches all processes."""
        if any(isinstance(target, Ragged) for target in batch.targets.values()):
            batch = self._as_long_as_all(batch)
        return self._forward(batch, options)

    def backward(self, loss: Tensor) -> None:
        """Fill the gradients with those of all processes' outputs."""
        if self._gradients is None:
            (loss * self.processes.size).backward()  # they are averaged
        else:
            loss.backward()
            self._gradients.sum()

    def share(self, found: Outputs, batch: Batch, main: Outputs | None) -> tuple[Outputs, Batch]:
        """Return the outputs and the batch of all processes; gradients flow through this one's own.

        All that processes say to each other of a step but its gradients: where targets are tensors, in one message.

        Args:
            main: this process's outputs that `tally` is to be of; None leaves it as it was.
        """
        own, outputs = batch.part(batch.own), [one[batch.own] for one in leaves(found)]
        tally: list[Tensor] = []
        if main is not None:
            with torch.no_grad():
                # the rest of an epoch can have fewer images than there are processes
                nothing = batch.images.new_empty(0)
                tally = [self.task.tally(each(Tensor.detach, main), own) if len(own) else nothing]
        targets = [] if self._is_known(batch) else _packed(own)
        gathered = self.processes.gather([*outputs, *tally, *targets], "step")
        num, end = len(outputs), len(outputs) + len(tally)
        if targets:
            self._learn(batch, own, [parts[end:] for parts in gathered])
        if tally:
            tallies = [parts[num] for parts in gathered if parts[num].numel()]
            self.tally = reduce(self.task.add, tallies).to(batch.images.device)
        parts = [one[:num] for one in gathered]
        parts[self.processes.rank] = outputs
        wholes = iter([torch.cat(same) for same in zip(*parts, strict=True)])
        assert self._whole is not None
        return each(lambda _: next(wholes), found), self._whole

    def _is_known(self, batch: Batch) -> bool:
        return self._whole is not None and batch is self._batch

    def _learn(self, batch: Batch, own: Batch, gathered: list[list[Tensor]]) -> None:
        """Keep the batch of all processes, whose targets these are."""
        index = torch.cat([parts[0] for parts in gathered]).cpu()
        targets, place = {}, 1
        for name in sorted(own.targets):
            num = len(_tensors(own.targets[name]))
            targets[name] = _joined(own.targets[name], [parts[place : place + num] for parts in gathered])
            place += num
        self._batch, self._whole = batch, Whole(own, targets, index, self.processes)

    def _as_long_as_all(self, batch: Batch) -> Batch:
        """The batch with its lists padded like those of all processes."""
        if not self._is_known(batch):
            own = batch.part(batch.own)
            self._learn(batch, own, self.processes.gather(_packed(own), "targets"))
        assert self._whole is not None
        targets = dict(batch.targets)
        for name, whole in self._whole.targets.items():
            if isinstance(whole, Ragged):
                targets[name] = replace(batch.targets[name], most=max(whole.lengths, default=0))
        return replace(batch, targets=targets)


def _packed(batch: Batch) -> list[Tensor]:
    """The numbers of a batch's images, and its targets."""
    parts = [part for name in sorted(batch.targets) for part in _tensors(batch.targets[name])]
    return [torch.from_numpy(batch.index).to(batch.images.device), *parts]


def _tensors(target: Tensor | Ragged) -> list[Tensor]:
    if isinstance(target, Tensor):
        return [target]
    lengths = torch.tensor(target.lengths, dtype=torch.int64, device=target.values.device)
    return [target.values, lengths, *(target.fields[name] for name in sorted(target.fields))]


def _joined(like: Tensor | Ragged, parts: list[list[Tensor]]) -> Tensor | Ragged:
    values, *more = [torch.cat(same) for same in zip(*parts, strict=True)]
    if isinstance(like, Tensor):
        return values
    lengths, *fields = more
    return Ragged(values, tuple(lengths.tolist()), dict(zip(sorted(like.fields), fields, strict=True)))
