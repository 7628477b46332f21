"""What a study will take, said before it starts: runs, training images, and the time that a short trial predicts."""

import math
import time
from collections.abc import Sequence

import torch

from striate.base.text import duration, plural
from striate.run.network import build_network
from striate.run.prepare import Prepared

BACKWARD = 3.0  # a training step takes about three times its forward pass
REPEATS = 2  # timed forward passes; the faster one counts


def expected_s(runs: Sequence[tuple[str, Prepared]]) -> list[float]:
    """Return the seconds that each run takes if it is not stopped early, by a short trial of each network here.

    Args:
        runs: each a network's name and its data side; those that share a data side share a trial.
    """
    found: dict[int, float] = {}
    for model, prepared in runs:
        if id(prepared) not in found:
            found[id(prepared)] = _run_s(model, prepared)
    return [found[id(prepared)] for _, prepared in runs]


def expectation(runs: Sequence[tuple[str, Prepared]], times_s: Sequence[float], at_once: int = 1) -> str:
    """Return a line such as `6 runs, at most 480,000 training images: about 12 min by a short trial`."""
    num_images = sum(prepared.num_epochs * len(prepared.dataset.splits["train"]) for _, prepared in runs)
    took = f"about {duration(sum(times_s) / at_once)} by a short trial"
    return f"{plural(len(runs), 'run')}, at most {plural(num_images, 'training image')}: {took}"


def _run_s(model: str, prepared: Prepared) -> float:
    num_train, is_head = len(prepared.dataset.splits["train"]), prepared.recipe.transfer.head == "only"
    num_passes = prepared.recipe.transfer.views if is_head else prepared.num_epochs * BACKWARD
    num_batches = math.ceil(num_train / prepared.batch_size)
    return _forward_s(model, prepared) * num_batches * num_passes


def _forward_s(model: str, prepared: Prepared) -> float:
    network = build_network(model, prepared, 0).to(prepared.device).eval()
    shape = prepared.batch_size, prepared.geometry.channels, *prepared.geometry.size_hw
    images = torch.zeros(shape, device=prepared.device)
    images = images.to(memory_format=torch.channels_last if images.ndim == 4 else torch.channels_last_3d)
    times = []
    with torch.inference_mode():
        for _ in range(REPEATS + 1):  # the first one warms up
            start = time.perf_counter()
            network(images).sum().item()  # waits for a device that works ahead
            times.append(time.perf_counter() - start)
    return min(times[1:])
