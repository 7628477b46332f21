"""What a process holds while it loads and evaluates 5,000 images of 512 px with masks: JPEG and PNG files, made here.

One JSON document on stdout. What counts is memory that is no file's (pages of a mapped store are the system's cache):
the highest, looked at every 20 ms, over what there was before. The network is one convolution,
so that what is measured is what an epoch holds beyond the network.

    python benchmarks/memory_pairs.py                     5,000 pairs, 512 px; about 8 GB of disk, which it clears
    python benchmarks/memory_pairs.py --num 200 --size 256
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NUM_KINDS = 40  # different images: the others are copies under other names, moved by some pixels


def main() -> None:
    """Make the pairs, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num", type=int, default=5000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STRIATE_CACHE"] = str(Path(folder) / "cache")
        os.environ["STRIATE_CACHE_LIMIT"] = "40"
        make(Path(folder) / "pairs", options.num, options.size)
        sys.stdout.write(json.dumps(measure(Path(folder) / "pairs", options), indent=1) + "\n")


def make(folder: Path, num: int, size: int) -> None:
    """Write `images/*.jpg` and `masks/*.png` of three classes: ellipses on waves with noise."""
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:size, :size] / size
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    kinds = []
    for _ in range(NUM_KINDS):
        across, down, width, height, wave = rng.uniform([0.3, 0.3, 0.1, 0.1, 3], [0.7, 0.7, 0.3, 0.3, 20])
        mask = (((x - across) / width) ** 2 + ((y - down) / height) ** 2 < 1).astype(np.uint8) + (y > 0.8)
        level = 90 * mask[..., None] + 60 * np.sin(wave * (x + y))[..., None] + rng.normal(0, 12, (size, size, 3))
        kinds.append((np.clip(level + 64, 0, 255).astype(np.uint8), mask.astype(np.uint8)))
    for number in range(num):
        image, mask = (np.roll(one, number // NUM_KINDS, axis=1) for one in kinds[number % NUM_KINDS])
        Image.fromarray(image).save(folder / "images" / f"{number:05d}.jpg", quality=80)
        Image.fromarray(mask).save(folder / "masks" / f"{number:05d}.png", compress_level=1)


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the highest memory and the time of opening, decoding, an epoch of training batches, and an evaluation."""
    import torch

    import striate as st
    from striate.base.progress import Progress
    from striate.data.augment.pipeline import Pipeline
    from striate.data.geometry import Geometry
    from striate.data.loader import Loader
    from striate.data.planes import open_plane
    from striate.data.store import open_store, statistics
    from striate.evaluate.run import evaluate
    from striate.task.segment import Segment

    torch.set_num_threads(options.threads)
    found: dict[str, Any] = {"num": options.num, "size_px": options.size, "batch": options.batch}
    with watched(found, "open"):
        dataset = st.open(folder, task="segment", split=(0.9, 0.05, 0.05))
    geometry = Geometry((options.size, options.size), "squash")
    with watched(found, "decode"):
        store = open_store(dataset, geometry, progress=Progress("quiet"))
        open_plane(store, dataset.target(), progress=Progress("quiet"))
    mean, std = statistics(store, dataset.splits["train"])
    shared: dict[str, Any] = {"mean": mean, "std": std, "batch_size": options.batch, "threads": options.threads}
    task = Segment("mask", dataset.target().names)
    network = torch.nn.Conv2d(3, len(task.names), 3, padding=1)
    with watched(found, "epoch"):
        for batch in Loader(store, dataset, "train", pipeline=Pipeline.named("medium"), shuffle=True, **shared).batches(
            0
        ):
            sum(task.loss(network(batch.images), batch).values()).backward()
    with watched(found, "evaluate"):
        evaluate(network, task, Loader(store, dataset, "train", **shared))
    return found


class watched:
    """Take the highest anonymous memory of a block, over what lay there before it, and its seconds."""

    def __init__(self, found: dict[str, Any], name: str) -> None:
        self.found, self.name, self.is_over = found, name, threading.Event()

    def __enter__(self) -> None:
        self.before = self.highest = anonymous()
        self.start = time.monotonic()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while not self.is_over.wait(0.02):
            self.highest = max(self.highest, anonymous())

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self.thread.join()
        held = (self.highest - self.before) / 1e9
        self.found[self.name] = {"held_gb": round(held, 3), "time_s": round(time.monotonic() - self.start, 1)}
        sys.stderr.write(f"{self.name}: {self.found[self.name]}\n")


def anonymous() -> int:
    """Return the bytes of this process that are no file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
