"""Loader against torchvision's ImageFolder + DataLoader: the same files, size, operations and number of threads.

One JSON document on stdout, a short table on stderr. Arms alternate; ratios are within a repetition.

    python benchmarks/loader.py --data cats_dogs            files as they are
    python benchmarks/loader.py --data cats_dogs --enlarge  copies of natural size, shorter side 375 px or more
    python benchmarks/loader.py --data cats_dogs --enlarge --short-side 750

warm: an epoch with the store built, against an epoch with running workers.
cold: building the store and the first epoch, against starting the workers and the first epoch.
The peer gets the faster of its two documented backends (PIL images or uint8 tensors), found by a trial.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

from striate.base import device
from striate.base import torchvision as tv
from striate.base.progress import Progress
from striate.data import Dataset, open_dataset
from striate.data.augment import Flip, Pipeline, Rotate, Zoom
from striate.data.geometry import Geometry
from striate.data.loader import Loader
from striate.data.store import open_store, statistics

MAX_DEG, ZOOM, MARGIN = 15, (0.9, 1.1), 1.15
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main() -> None:
    """Run the benchmark."""
    options = parse()
    torch.set_num_threads(options.threads)
    with ExitStack() as stack:
        folder = options.data / "train" if (options.data / "train").is_dir() else options.data
        if options.enlarge or options.limit:
            copies = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder = copy(folder, copies, options.limit, options.short_side if options.enlarge else 0)
        dataset = open_dataset(str(folder))
        dataset = dataset.with_splits({"train": np.arange(len(dataset))})
        backend = faster_backend(lambda backend: peer_loader(folder, backend, options))
        new_peer = partial(peer_loader, folder, backend, options)
        rows = [repetition(dataset, new_peer, options) for _ in range(options.repeats)]
        result = summary(dataset, backend, rows, options)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    sys.stderr.write(table(result))


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="class folders, or a folder with train/")
    parser.add_argument("--enlarge", action="store_true", help="make copies of natural size in a temporary folder")
    parser.add_argument("--short-side", type=int, default=375, help="pixels of the copies' shorter side, at least")
    parser.add_argument("--limit", type=int, default=0, help="use this many images only")
    parser.add_argument("--size", type=int, default=128, help="output side in pixels")
    parser.add_argument("--batch", type=int, default=64, help="images a batch")
    parser.add_argument("--threads", type=int, default=2, help="our threads, the peer's workers")
    parser.add_argument("--repeats", type=int, default=5, help="repetitions of both arms")
    return parser.parse_args()


def copy(folder: Path, target: Path, limit: int, short_side_px: int) -> Path:
    """Fill `target` with every k-th image of each class, enlarged to the shorter side (0: as it is)."""
    files = sorted(path for path in folder.glob("*/*") if path.is_file())
    step = max(1, len(files) // limit) if limit else 1
    for path in files[::step][: limit or None]:
        (target / path.parent.name).mkdir(exist_ok=True)
        if short_side_px:
            enlarged(path, short_side_px).save(target / path.parent.name / f"{path.stem}.jpg", quality=90)
        else:
            shutil.copyfile(path, target / path.parent.name / path.name)
    return target


def enlarged(path: Path, short_side_px: int) -> Image.Image:
    """Return the image with a shorter side of at least `short_side_px`."""
    with Image.open(path) as image:
        picture = image.convert("RGB")
    scale = max(1.0, short_side_px / min(picture.size))
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC)


def repetition(
    dataset: Dataset, new_peer: Callable[[], Iterable[Any]], options: argparse.Namespace
) -> dict[str, float]:
    """Time both arms, cold then warm, and return images a second."""
    count = len(dataset)
    peer = new_peer()
    rates = {"peer_cold": count / timed(peer)}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["STRIATE_CACHE"] = cache
        start = time.perf_counter()
        loader = our_loader(dataset, options)
        build_s = time.perf_counter() - start
        rates["our_cold"] = count / (build_s + timed(loader.batches(0)))
        rates["peer_warm"] = count / timed(peer)
        rates["our_warm"] = 3 * count / sum(timed(loader.batches(epoch)) for epoch in (1, 2, 3))
    return rates


def timed(batches: Iterable[Any]) -> float:
    """Return the seconds that going through all batches takes."""
    start = time.perf_counter()
    for _ in batches:
        pass
    return time.perf_counter() - start


def our_loader(dataset: Dataset, options: argparse.Namespace) -> Loader:
    """Return a loader on the store, which is built when it is not in the cache."""
    store = open_store(
        dataset, Geometry((options.size, options.size), margin=MARGIN), Progress("quiet"), threads=options.threads
    )
    statistics(store, dataset.splits["train"])
    pipeline = Pipeline([Flip(), Rotate(max_deg=MAX_DEG), Zoom(min=ZOOM[0], max=ZOOM[1])])
    return Loader(
        store, dataset, "train", pipeline=pipeline, mean=MEAN, std=STD, batch_size=options.batch, shuffle=True,
        threads=options.threads,
    )  # fmt: skip


def peer_loader(folder: Path, backend: str, options: argparse.Namespace) -> Iterable[Any]:
    """Return ImageFolder + DataLoader with the transforms torchvision documents."""
    datasets, v2 = tv.load("torchvision.datasets"), tv.load("torchvision.transforms.v2")
    moves = [
        v2.Resize(options.size, antialias=True),
        v2.CenterCrop(options.size),
        v2.RandomHorizontalFlip(),
        v2.RandomAffine(MAX_DEG, scale=ZOOM, interpolation=v2.InterpolationMode.BILINEAR),
    ]
    opening = [v2.ToImage(), *moves] if backend == "tensor" else [*moves, v2.ToImage()]
    transform = v2.Compose([*opening, v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    return torch.utils.data.DataLoader(
        datasets.ImageFolder(str(folder), transform), batch_size=options.batch, shuffle=True,
        num_workers=options.threads, persistent_workers=True,
    )  # fmt: skip


def faster_backend(new_peer: Callable[[str], Iterable[Any]]) -> str:
    """Return the peer's backend that is faster here, by one warm epoch each."""
    took_s = {}
    for backend in ("pil", "tensor"):
        loader = new_peer(backend)
        timed(loader)
        took_s[backend] = timed(loader)
    return min(took_s, key=lambda name: took_s[name])


def summary(
    dataset: Dataset, backend: str, rows: list[dict[str, float]], options: argparse.Namespace
) -> dict[str, Any]:
    """Return the result document."""
    sizes = [dataset.images.read(index).shape[:2] for index in range(0, len(dataset), max(1, len(dataset) // 50))]
    return {
        "benchmark": "loader",
        "images": len(dataset),
        "median_size_px": [int(median(size[axis] for size in sizes)) for axis in (1, 0)],
        "output_px": options.size,
        "batch": options.batch,
        "threads": options.threads,
        "peer": f"ImageFolder + DataLoader, {options.threads} workers, {backend} backend",
        "warm_ratio": spread([row["our_warm"] / row["peer_warm"] for row in rows]),
        "cold_ratio": spread([row["our_cold"] / row["peer_cold"] for row in rows]),
        **{f"{name}_images_per_s": spread([row[name] for row in rows]) for name in sorted(rows[0])},
        "device": device.describe(torch.device("cpu")),
        "versions": device.versions(),
    }


def spread(values: list[float]) -> dict[str, float]:
    """Return median, least and greatest, to four digits."""
    found = {"median": median(values), "min": min(values), "max": max(values)}
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def table(result: dict[str, Any]) -> str:
    """Return the result as a few lines of text."""
    head = (
        f"{result['images']:,} images of {' x '.join(map(str, result['median_size_px']))} to {result['output_px']} px"
    )
    lines = [f"{head}, {result['threads']} threads", f"{'':6}{'ours':>10}{'peer':>10}{'ratio':>8}   spread"]
    for name in ("warm", "cold"):
        ours, peer = (result[f"{who}_{name}_images_per_s"]["median"] for who in ("our", "peer"))
        ratio = result[f"{name}_ratio"]
        lines.append(f"{name:6}{ours:10,.0f}{peer:10,.0f}{ratio['median']:8.1f}   {ratio['min']} to {ratio['max']}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
