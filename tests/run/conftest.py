"""A tiny dataset and a recipe that trains in a second."""

import numpy as np
import pytest
import torch

from striate.base.progress import Progress
from striate.data.sample import Dataset, Target
from striate.data.sources.arrays import ArrayImages
from striate.run.recipe import named


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def quiet() -> Progress:
    return Progress("quiet")


@pytest.fixture
def tiny() -> Dataset:
    """96 pictures of 16 px in 3 classes: a bright band at the top, in the middle or at the bottom."""
    rng = np.random.default_rng(0)
    labels = np.arange(96) % 3
    images = rng.integers(0, 120, (96, 16, 16, 3), dtype=np.uint8)
    for index, label in enumerate(labels):
        images[index, 5 * label : 5 * label + 5] += 100
    values = np.stack([labels * 2.0 + 1, rng.normal(size=96)], 1).astype(np.float32)
    tags = np.stack([labels == 0, labels > 0], 1).astype(np.uint8)
    targets = {
        "label": Target("label", labels.astype(np.int64), ("top", "middle", "bottom")),
        "place": Target("value", values[:, :1], ("place",)),
        "tags": Target("tags", tags, ("high", "low")),
    }
    order = rng.permutation(96)
    splits = {"train": np.sort(order[:60]), "val": np.sort(order[60:78]), "test": np.sort(order[78:])}
    return Dataset("tiny", "", ArrayImages(images), tuple(f"{i}.png" for i in range(96)), targets, splits, 3)


@pytest.fixture
def recipe():
    """Everything on that has state: augmentation, dropout, batch norm, averaging, a schedule."""
    changes = [
        "train.epochs=4",
        "train.patience=0",
        "train.batch_size=16",
        "train.ema=0.9",
        "train.precision=float32",
        "train.lr=0.01",
        "model.width=8",
        "model.head=flatten",
        "model.depth=2",
    ]
    return named("regularized").changed(changes)
