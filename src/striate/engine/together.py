"""A training step of several processes: each computes its images, all see the outputs of the whole batch.

The loss is that of the whole batch in every process, also where it is no mean over images (class weights, pixels that
are ignored, boxes found, distances between images). Gradients flow through a process's own outputs; torch's
DistributedDataParallel puts them together while they are computed.
"""

from dataclasses import replace
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
        self.processes, self.seed = processes, seed
        self._forward = processes.parallel(Forward(network, task))
        self._batch: Batch | None = None
        self._whole: tuple[Batch, Batch] | None = None

    def draw_alike(self, step: int) -> None:
        """Let all processes draw the same numbers from here on."""
        torch.manual_seed(seed_for(self.seed, "step", step))

    def draw_apart(self, step: int) -> None:
        """Let each process draw other numbers from here on."""
        torch.manual_seed(seed_for(self.seed, "step", step, self.processes.rank))

    def forward(self, batch: Batch, **options: Any) -> Outputs:
        """Return the outputs for a process's images; `backward` through them reaches all processes."""
        return self._forward(self.batches(batch)[0], options)

    def batches(self, batch: Batch) -> tuple[Batch, Batch]:
        """Return a process's batch, padded like the whole, and the whole."""
        if self._whole is None or batch is not self._batch:
            self._batch, self._whole = batch, self._gathered(batch)
        return self._whole

    def outputs(self, own: Outputs, batch: Batch) -> Outputs:
        """Return the outputs of all processes; gradients flow through this one's own."""
        parts = [one[batch.own] for one in leaves(own)]
        found = self.processes.gather(parts)
        found[self.processes.rank] = parts
        wholes = iter([torch.cat(same) for same in zip(*found, strict=True)])
        return each(lambda _: next(wholes), own)

    def tally(self, own: Tensor, task: Task) -> Tensor:
        """Return the tally of all processes."""
        tallies = [one for (one,) in self.processes.gather([own])]
        total = tallies[0]
        for one in tallies[1:]:
            total = task.add(total, one)
        return total

    def _gathered(self, batch: Batch) -> tuple[Batch, Batch]:
        own = batch.part(batch.own)
        names = sorted(own.targets)
        packed = [part for name in names for part in _packed(own.targets[name])]
        found = self.processes.gather([torch.from_numpy(own.index).to(batch.images.device), *packed])
        index = torch.cat([parts[0] for parts in found]).cpu()
        targets, place, padded = {}, 1, dict(batch.targets)
        for name in names:
            target = own.targets[name]
            num = len(_packed(target))
            targets[name] = whole = _joined(target, [parts[place : place + num] for parts in found])
            place += num
            if isinstance(whole, Ragged):
                padded[name] = replace(batch.targets[name], most=max(whole.lengths, default=0))
        return replace(batch, targets=padded), Whole(own, targets, index, self.processes)


def _packed(target: Tensor | Ragged) -> list[Tensor]:
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
