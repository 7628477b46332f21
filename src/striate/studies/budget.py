"""What a study will take, said before it starts: runs, training images, and the time that a short trial predicts."""

import math
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch

from striate.base.text import duration, plural
from striate.run.network import build_network
from striate.run.prepare import Prepared
from striate.task.views import leaves

BACKWARD = 3.0  # a training step takes about three times its forward pass
BUSY = 1.5  # times as long as the processor's own time: then other work slows the trial down
REPEATS = 2  # timed forward passes; the faster one counts


class Seconds(NamedTuple):
    """What a run takes on a machine that does nothing else, and at the pace of this moment."""

    free: float
    now: float


def expected_s(runs: Sequence[tuple[str, Prepared]]) -> list[Seconds]:
    """Return the seconds that each run takes if it is not stopped early, by a short trial of each network here.

    Args:
        runs: each a network's name and its data side; those that share a data side share a trial.
    """
    found: dict[int, Seconds] = {}
    for model, prepared in runs:
        if id(prepared) not in found:
            found[id(prepared)] = _run_s(model, prepared)
    return [found[id(prepared)] for _, prepared in runs]


def expectation(runs: Sequence[tuple[str, Prepared]], times_s: Sequence[Seconds], at_once: int = 1) -> str:
    """Return a line such as `6 runs, at most 480,000 training images: about 12 min by a short trial`.

    Where other processes slow the trial down, both times are said.
    """
    num_images = sum(prepared.num_epochs * len(prepared.dataset.splits["train"]) for _, prepared in runs)
    free, now = (sum(times) / at_once for times in zip(*times_s, strict=True)) if times_s else (0.0, 0.0)
    took = f"about {duration(free)} by a short trial"
    if now > BUSY * free:
        took = f"about {duration(free)} on a free machine, {duration(now)} at its present load, by a short trial"
    return f"{plural(len(runs), 'run')}, at most {plural(num_images, 'training image')}: {took}"


def _run_s(model: str, prepared: Prepared) -> Seconds:
    num_train, is_head = len(prepared.dataset.splits["train"]), prepared.recipe.transfer.head == "only"
    num_passes = prepared.recipe.transfer.views if is_head else prepared.num_epochs * BACKWARD
    num_batches = math.ceil(num_train / prepared.batch_size)
    free, now = _forward_s(model, prepared)
    return Seconds(free * num_batches * num_passes, now * num_batches * num_passes)


def _forward_s(model: str, prepared: Prepared) -> Seconds:
    network = build_network(model, prepared, 0).to(prepared.device).eval()
    shape = prepared.batch_size, prepared.geometry.channels, *prepared.geometry.size_hw
    images = torch.zeros(shape, device=prepared.device)
    images = images.to(memory_format=torch.channels_last if images.ndim == 4 else torch.channels_last_3d)
    times: list[Seconds] = []
    with torch.inference_mode():
        for _ in range(REPEATS + 1):  # the first one warms up
            start, start_cpu = time.perf_counter(), time.process_time()
            leaves(network(images))[0].sum().item()  # waits for a device that works ahead
            took = time.perf_counter() - start
            is_cpu = prepared.device.type == "cpu"  # there the processor's time is what it takes without other work
            own = (time.process_time() - start_cpu) / torch.get_num_threads() if is_cpu else took
            times.append(Seconds(min(own, took), took))
    return min(times[1:])
