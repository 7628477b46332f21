"""What an image takes, part by part: the proposals, the network, and leaving out boxes that overlap a better one."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from striate.data.proposals import NAME
from striate.data.sample import Batch
from striate.data.target import Ragged
from striate.nn.blocks.regions import Proposals

from .proposed import regions_of

if TYPE_CHECKING:
    from .detect import Detect

PARTS = ("proposals", "network", "suppression")


def timed(task: "Detect", network: nn.Module, batch: Batch) -> dict[str, float]:
    """Return the milliseconds of each of `PARTS` for a batch; the search for its regions, if any, is done again."""
    start = _now(batch)
    batch = replace(batch, targets={})
    if task.reading.is_given_regions:
        found = regions_of(batch, task.settings.proposals)
        batch = replace(batch, targets={NAME: Ragged(torch.cat(found), tuple(map(len, found)), {})})
    searched = _now(batch)
    with _watched(network, batch) as inside:
        outputs = task.forward(network, batch)
    run = _now(batch)
    task.decode(outputs)
    proposed = sum(inside)
    times_s = (searched - start + proposed, run - searched - proposed, _now(batch) - run)
    return {name: 1000 * time_s for name, time_s in zip(PARTS, times_s, strict=True)}


def _now(batch: Batch) -> float:
    if batch.images.is_cuda:
        torch.cuda.synchronize(batch.images.device)
    return time.perf_counter()


@contextmanager
def _watched(network: nn.Module, batch: Batch) -> Iterator[list[float]]:
    """The seconds that blocks spend which propose regions from what the network made."""
    times_s: list[float] = []
    starts: list[float] = []
    blocks = [one for one in network.modules() if isinstance(one, Proposals)]
    hooks = [one.register_forward_pre_hook(lambda *_: starts.append(_now(batch))) for one in blocks]
    hooks += [one.register_forward_hook(lambda *_: times_s.append(_now(batch) - starts.pop())) for one in blocks]
    try:
        yield times_s
    finally:
        for hook in hooks:
            hook.remove()
