"""Images with masks: the loader against torchvision's v2 transforms in a DataLoader, same files, operations, threads.

One JSON document on stdout, a short table on stderr; what warm and cold mean is said in loader.py.

    python benchmarks/loader_masks.py --data oxford_pets            files as they are
    python benchmarks/loader_masks.py --data oxford_pets --enlarge  pairs of natural size, shorter side 375 px or more
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from loader import MAX_DEG, MEAN, STD, ZOOM, enlarged, faster_backend, parse, repetition, summary, table
from PIL import Image

from striate.base import torchvision as tv
from striate.data import Dataset, open_dataset


def main() -> None:
    """Run the benchmark."""
    options = parse()
    torch.set_num_threads(options.threads)
    with ExitStack() as stack:
        dataset = open_dataset(str(options.data), task="segment")
        if options.enlarge:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            dataset = open_dataset(str(enlarge(dataset, folder, options.short_side)))
        dataset = replace(dataset, targets={"mask": dataset.target()}, splits={"train": np.arange(len(dataset))})
        new_peer = partial(peer_loader, dataset, options)
        backend = faster_backend(new_peer)
        rows = [repetition(dataset, partial(new_peer, backend), options) for _ in range(options.repeats)]
        peer = f"torchvision v2 + DataLoader, {options.threads} workers, {backend} backend"
        result = summary(dataset, backend, rows, options) | {"benchmark": "loader with masks", "peer": peer}
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    sys.stderr.write(table(result))


def enlarge(dataset: Dataset, folder: Path, short_side_px: int) -> Path:
    """Write pairs of the same content with a longer shorter side, as `images/` and `masks/`; return the folder."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for index in range(len(dataset)):
        path = dataset.images.path(index)
        image = enlarged(path, short_side_px) if path else Image.fromarray(dataset.images.read(index))
        image.save(folder / "images" / f"{index:05d}.jpg", quality=90)
        mask = Image.fromarray(dataset.target().read(index)).resize(image.size, Image.Resampling.NEAREST)
        mask.save(folder / "masks" / f"{index:05d}.png")
    return folder


class Pairs(torch.utils.data.Dataset[Any]):
    """The peer's dataset: two files decoded by Pillow, both given to the same transforms."""

    def __init__(self, dataset: Dataset, transform: Any, indices: Sequence[int] | None = None) -> None:
        files, wanted = dataset.target().images, range(len(dataset)) if indices is None else indices
        self.pairs = [(dataset.images.path(index), files.path(index)) for index in wanted]
        self.mask = tv.load("torchvision.tv_tensors").Mask
        self.transform = transform

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Any:
        image, mask = self.pairs[index]
        with Image.open(image) as picture, Image.open(mask) as levels:
            return self.transform(picture.convert("RGB"), self.mask(torch.from_numpy(np.array(levels))))


def peer_loader(
    dataset: Dataset, options: argparse.Namespace, backend: str, indices: Sequence[int] | None = None
) -> Iterable[Any]:
    """Return a DataLoader with the transforms torchvision documents for masks, of all images or of some."""
    v2 = tv.load("torchvision.transforms.v2")
    moves = [
        v2.Resize(options.size, antialias=True),
        v2.CenterCrop(options.size),
        v2.RandomHorizontalFlip(),
        v2.RandomAffine(MAX_DEG, scale=ZOOM, interpolation=v2.InterpolationMode.BILINEAR),
    ]
    opening = [v2.ToImage(), *moves] if backend == "tensor" else [*moves, v2.ToImage()]
    transform = v2.Compose([*opening, v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    return torch.utils.data.DataLoader(
        Pairs(dataset, transform, indices), batch_size=options.batch, shuffle=True, num_workers=options.threads,
        persistent_workers=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
