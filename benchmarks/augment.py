"""What augmentation costs: `medium` against a training step, and against torchvision's v2 transforms.

    python benchmarks/augment.py --threads 2

The step is forward, backward and Adam of four 3x3 convolutions of 32, 64, 128 and 256 filters with ReLU and 2x2
max-pooling, at the fastest precision. All arms have the same images of natural size for a store (147 -> 128 px),
the same operations and the same threads; the peer, which works image by image, gets one process a thread. Arms
take turns; ratios are within a repetition. One JSON document on stdout, a short table on stderr.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from typing import Any

import cv2
import numpy as np
import torch
from arms import spread
from torch import nn

from striate.base import device
from striate.base import torchvision as tv
from striate.data.augment import STRENGTHS, Pipeline, RandAugment
from striate.data.augment.apply import Normal, Recycler, apply_cpu
from striate.engine.update import autocast

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PIPELINES = {"medium": Pipeline(STRENGTHS["medium"]), "randaugment": Pipeline([RandAugment()])}


def main() -> None:
    """Run the benchmark."""
    options = parse()
    torch.set_num_threads(options.threads)
    store_px = round(options.size * 1.15)
    images = pictures(options.batch, store_px)
    step, precision = training_step(options)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(options.threads))
        peers = [stack.enter_context(get_context("spawn").Pool(1)) for _ in range(options.threads)]
        for peer, piece in zip(peers, np.array_split(images, options.threads), strict=True):
            peer.apply(peer_ready, (piece, options.size))  # so that only the work is timed, not the pipes
        arms: dict[str, Callable[[], object]] = {"step": step}
        for name, pipeline in PIPELINES.items():
            arms[name] = ours(pipeline, images, options, pool)
            arms[f"torchvision {name}"] = partial(all_peers, peers, name)
        rows = [{name: timed(work) for name, work in arms.items()} for _ in range(options.repeats + 1)][1:]
    result = summary(rows, precision, options)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    for name, row in result["arms"].items():
        sys.stderr.write(f"{name:<24}{row['us_an_image']['median']:9.1f} us an image\n")
    for name, ratio in result["ratios"].items():
        sys.stderr.write(f"{name:<40}{ratio['median']:8.3f}   {ratio['min']} to {ratio['max']}\n")


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="output side in pixels")
    parser.add_argument("--batch", type=int, default=64, help="images a batch")
    parser.add_argument("--threads", type=int, default=2, help="threads of every arm")
    parser.add_argument("--repeats", type=int, default=9, help="repetitions, after one to warm up")
    return parser.parse_args()


def pictures(count: int, side_px: int) -> np.ndarray:
    """Return smooth random images (count, side, side, 3) uint8."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 12, 12, 3), np.uint8)
    return np.stack([cv2.resize(image, (side_px, side_px), interpolation=cv2.INTER_CUBIC) for image in coarse])


def ours(
    pipeline: Pipeline, images: np.ndarray, options: argparse.Namespace, pool: ThreadPoolExecutor
) -> Callable[[], object]:
    """Return the work of one batch: the plan and the pixels, normalised, channels last."""
    table, means = pipeline.draw(len(images), 0, 0), images.mean((1, 2))
    normal, recycler = Normal.of(MEAN, STD, (options.size, options.size)), Recycler()

    def work() -> object:
        plan = pipeline.matrices(table, images.shape[1:3], (options.size, options.size), means)
        out = recycler.take((len(images), options.size, options.size, 3))
        return apply_cpu(list(images), plan, normal=normal, out=out, pool=pool, parts=2 * options.threads)

    return work


class Peer:
    """The same operations by torchvision, in a process of its own."""

    work: dict[str, Callable[[], object]] = {}


def peer_ready(images: np.ndarray, size: int) -> None:
    """Prepare a process of the peer."""
    torch.set_num_threads(1)
    v2 = tv.load("torchvision.transforms.v2")
    bilinear = v2.InterpolationMode.BILINEAR
    affine = v2.RandomAffine(12, translate=(0.1, 0.1), scale=(0.85, 1.25), interpolation=bilinear)
    moves = {
        "medium": [v2.RandomHorizontalFlip(), affine, v2.ColorJitter(0.2, 0.2, 0.2)],
        "randaugment": [v2.RandAugment(interpolation=bilinear)],
    }
    normalise = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    tensors = [torch.from_numpy(image).permute(2, 0, 1).contiguous() for image in images]

    def work(transform: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        return torch.stack([transform(tensor) for tensor in tensors])

    for name, moving in moves.items():
        Peer.work[name] = partial(work, v2.Compose([v2.Resize(size, antialias=True), *moving, *normalise]))


def peer_work(name: str) -> None:
    """Do a process's part of a batch."""
    Peer.work[name]()


def all_peers(peers: list[Any], name: str) -> None:
    """Do a batch, a piece in each process."""
    for begun in [peer.apply_async(peer_work, (name,)) for peer in peers]:
        begun.get()


def training_step(options: argparse.Namespace) -> tuple[Callable[[], object], str]:
    """Return one training step on a batch that is there, and the precision at which it is fastest."""
    layers: list[nn.Module] = []
    for c_in, c_out in ((3, 32), (32, 64), (64, 128), (128, 256)):
        layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    model = device.place(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 2)), "cpu")
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    images = torch.randn(options.batch, 3, options.size, options.size).to(memory_format=torch.channels_last)
    labels = torch.arange(options.batch) % 2

    def work(precision: str) -> None:
        optimiser.zero_grad()
        with autocast(torch.device("cpu"), precision):
            outputs = model(images)
        nn.functional.cross_entropy(outputs.float(), labels).backward()
        optimiser.step()

    took_s = {name: min(timed(lambda name=name: work(name)) for _ in range(2)) for name in ("float32", "bf16")}
    fastest = min(took_s, key=lambda name: took_s[name])
    return lambda: work(fastest), fastest


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def summary(rows: list[dict[str, float]], precision: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the result document."""
    ratios = {"medium / step": spread([row["medium"] / row["step"] for row in rows])}
    for name in PIPELINES:
        ratios[f"torchvision / ours, {name}"] = spread([row[f"torchvision {name}"] / row[name] for row in rows])
    return {
        "benchmark": "augment",
        "size_px": options.size,
        "batch": options.batch,
        "threads": options.threads,
        "step_precision": precision,
        "arms": {name: {"us_an_image": spread([1e6 * row[name] / options.batch for row in rows])} for name in rows[0]},
        "ratios": ratios,
        "device": device.describe(torch.device("cpu")),
        "versions": device.versions(),
    }


if __name__ == "__main__":
    main()
