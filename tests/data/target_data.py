"""Images of different sizes in files, and whatever target belongs to them."""

from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from striate.base.progress import Progress
from striate.data.augment import Pipeline
from striate.data.augment.operation import Numbers
from striate.data.augment.plan import Plan
from striate.data.geometry import Geometry
from striate.data.loader import Loader
from striate.data.sample import Dataset
from striate.data.sources.images import FileImages
from striate.data.store import open_store
from striate.data.target import Place, Target

SIZES_HW = ((40, 60), (60, 40), (50, 50), (80, 30), (33, 71))


def sizes(count: int) -> list[tuple[int, int]]:
    return [SIZES_HW[index % len(SIZES_HW)] for index in range(count)]


def plain_masks(count: int, num_classes: int = 3, seed: int = 0) -> list[np.ndarray]:
    """Masks of areas: a few rectangles of classes on background, of the sizes above."""
    rng, found = np.random.default_rng(seed), []
    for height, width in sizes(count):
        mask = np.zeros((height, width), np.uint8)
        for label in range(1, num_classes):
            top, left = rng.integers(0, height - 12), rng.integers(0, width - 12)
            mask[top : top + rng.integers(8, 20), left : left + rng.integers(8, 20)] = label
        found.append(mask)
    return found


def save_images(folder: Path, images: list[np.ndarray]) -> FileImages:
    names = tuple(f"{index:03d}.png" for index in range(len(images)))
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in zip(names, images, strict=True):
        Pillow.fromarray(image).save(folder / name)
    return FileImages(folder, names, 3)


def dataset_of(folder: Path, images: list[np.ndarray], targets: dict[str, Target]) -> Dataset:
    files = save_images(folder, images)
    splits = {"train": np.arange(len(images), dtype=np.intp)}
    return Dataset("t", str(folder), files, files.names, targets, splits, 3)


def loader_of(dataset: Dataset, *, size: int = 32, fit: str = "crop", pipeline: Pipeline | None = None, **options):
    geometry = square(size, fit)
    store = open_store(dataset, geometry, Progress("quiet"), max_bytes=options.pop("max_bytes", None))
    options = {"mean": [0.5] * 3, "std": [0.25] * 3, "batch_size": 4, "threads": 2} | options
    return Loader(store, dataset, "train", pipeline=pipeline, **options)


def square(size: int, fit: str = "crop") -> Geometry:
    return Geometry((size, size), fit)


def plan_of(pipeline: Pipeline, count: int, side: int, epoch: int = 0) -> Plan:
    return pipeline.matrices(pipeline.draw(count, 0, epoch), (side, side), (side, side), np.full((count, 3), 128.0))


def place_of(count: int, side: int, fit: str = "crop", squares=None) -> Place:
    found = sizes(count)
    return Place(square(side, fit), lambda index: found[index], squares)


def nearest_moved(square_u8: np.ndarray, warp: Numbers, out: int) -> tuple[np.ndarray, np.ndarray]:
    """The value under each output pixel's centre by plain arithmetic, mirrored; and where rounding is a toss-up."""
    y, x = np.mgrid[:out, :out]
    spot = np.stack([x, y, np.ones_like(x)], -1) @ warp.T
    side = len(square_u8)
    place = np.floor(spot + 0.5).astype(int)
    is_close = (np.abs(spot + 0.5 - np.rint(spot + 0.5)) < 0.04).any(-1)
    mirrored = np.mod(place, 2 * side)
    mirrored = np.where(mirrored >= side, 2 * side - 1 - mirrored, mirrored)
    return square_u8[mirrored[..., 1], mirrored[..., 0]], is_close
