"""A few of a finished run's own images, as its store keeps them: what an export is checked on."""

from collections.abc import Iterator
from typing import Any

import numpy.typing as npt
from torch import nn

from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.data.sample import Batch, Dataset

from .evaluate import open_split, spread

NUM_IMAGES = 32


def stored_images(
    run: RunDir,
    most: int = NUM_IMAGES,
    *,
    split: str | None = None,
    data: str | Dataset | None = None,
    network: nn.Module | None = None,
    progress: Progress | None = None,
) -> list[npt.NDArray[Any]]:
    """Return images (H, W, C) of a split, evenly spread; by default of validation, of test where there is none.

    Args:
        data: where the run's own data are now, if moved, or its dataset.
        network: the module, when the run was not made from a blueprint.

    Raises:
        ModelError: the run is not finished.
        DataError: its data are not where they were.
    """
    split = split or ("val" if run.splits().get("val") else "test")
    opened = open_split(run.path, data=data, split=split, device="cpu", network=network, progress=progress)
    return [opened.prepared.store.image(int(index)) for index in spread(opened, most)]


def validation_batches(
    run: RunDir,
    *,
    data: str | Dataset | None = None,
    network: nn.Module | None = None,
    progress: Progress | None = None,
) -> Iterator[Batch]:
    """Yield the validation images with their targets, normalised, on the CPU.

    Raises:
        ModelError: the run is not finished.
        DataError: its data are not where they were, or it has no validation images.
    """
    opened = open_split(run.path, data=data, split="val", device="cpu", network=network, progress=progress)
    yield from opened.prepared.loader("val").batches(0)
