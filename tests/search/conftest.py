"""A tiny dataset, a quick recipe, and searches whose candidates train for an epoch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from striate.base.progress import Progress
from striate.data.sample import Dataset
from striate.data.sources.arrays import ArrayImages
from striate.data.target import Label
from striate.run.recipe import Recipe, named
from striate.search.execute import search
from striate.search.folder import SearchDir
from striate.search.plan import Plan


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny() -> Dataset:
    """96 images of 12 px in 3 classes: a bright band at the top, in the middle or at the bottom."""
    rng = np.random.default_rng(0)
    labels = np.arange(96) % 3
    images = rng.integers(0, 120, (96, 12, 12, 1), dtype=np.uint8)
    for index, label in enumerate(labels):
        images[index, 4 * label : 4 * label + 4] += 100
    targets = {"label": Label(labels.astype(np.int64), ("top", "middle", "bottom"))}
    order = rng.permutation(96)
    splits = {"train": np.sort(order[:60]), "val": np.sort(order[60:78]), "test": np.sort(order[78:])}
    return Dataset("tiny", "", ArrayImages(images), tuple(f"{i}.png" for i in range(96)), targets, splits, 1)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Two epochs in float32 of a narrow network."""
    changes = ["train.epochs=2", "train.batch_size=16", "train.precision=float32", "model.width=8", "data.margin=1"]
    return named("regularized").changed(changes)


@pytest.fixture(scope="session")
def plan(recipe: Recipe) -> Plan:
    """Six candidates of two epochs, and one seed in the study."""
    return Plan(recipe, num_candidates=6, epochs=2, seeds=1)


@pytest.fixture(scope="session")
def do_search(tiny: Dataset) -> Callable[..., SearchDir]:
    """Carry out a search on the tiny dataset, quietly."""

    def carry_out(plan: Plan, out: Path, **options: Any) -> SearchDir:
        return search(options.pop("dataset", tiny), plan, out=out, device="cpu", progress=Progress("quiet"), **options)

    return carry_out


@pytest.fixture(scope="session")
def searched(do_search: Callable[..., SearchDir], plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> SearchDir:
    """A finished search."""
    torch.set_num_threads(1)
    return do_search(plan, tmp_path_factory.mktemp("search") / "search")
