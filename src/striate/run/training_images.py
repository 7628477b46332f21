"""The images of a finished run as its training saw them: any image of it, in any epoch, bit for bit."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from striate.base.choose import choose
from striate.base.errors import DataError
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.data.augment import Pipeline
from striate.data.check.check import prescan
from striate.data.check.leaks import KIND
from striate.data.geometry import Geometry
from striate.data.loader import Loader
from striate.data.sample import Dataset, ImageU8
from striate.data.store import open_store
from striate.task import from_json

from .execute import reopen
from .prepare import Prepared
from .recipe import Recipe
from .training import training_data

SIDES = ("depth", "height", "width")
BINS = 12  # of a histogram


@dataclass(frozen=True)
class Variant:
    """What the network got of an image in an epoch: `values` (C, ...) float32, in the update `step` of it (from 0)."""

    values: npt.NDArray[np.float32]
    step: int


class TrainingImages:
    """The dataset of a run, opened again with the run's splits, recipe and seed.

    Nothing is decoded before it is asked for: a store that is in the cache is read, else images are decoded one by one.

    Raises:
        DataError: the data are not there any more, or are not those of the run.
        ModelError: the run's data came from Python.
    """

    def __init__(self, run: RunDir) -> None:
        self._info = run.info()
        quiet = Progress("quiet")
        self.seed, dataset, task = int(self._info["seed"]), reopen(run), from_json(self._info["task"])
        shape = self._info["input"]
        geometry, recipe = Geometry.from_json(shape), Recipe.parse(self._info["recipe"])
        store = open_store(dataset, geometry.times(task.scale), progress=quiet, max_bytes=0)
        size, num = self._info["batch_size"], self._info["num_epochs"]
        prepared = Prepared(
            dataset, recipe, task, geometry, store, shape["mean"], shape["std"], size, num, torch.device("cpu")
        )
        self._prepared = training_data(prepared, self.seed)

    @property
    def _dataset(self) -> Dataset:
        return self._prepared.dataset

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self._dataset.ids)}

    @property
    def num_epochs(self) -> int:
        """How many epochs the run was planned for."""
        return self._prepared.num_epochs

    def splits(self) -> dict[str, int]:
        """Return how many images each split has."""
        return {name: len(found) for name, found in self._dataset.splits.items()}

    def page(self, split: str, first: int, count: int) -> list[dict[str, Any]]:
        """Return the id and what is known of some images of a split, in order."""
        chosen = choose("split", split, self._dataset.splits)[first : first + count]
        target = self._dataset.target(self._prepared.task.target)
        return [{"id": self._dataset.ids[index], "text": target.text(int(index))} for index in chosen]

    def stored(self, name: str) -> ImageU8:
        """Return an image as it is stored, (H, W, C), before augmentation.

        Raises:
            DataError: there is none of that id, or its file cannot be read.
        """
        return self._prepared.store.image(self._index(name))

    def size_hw(self, name: str) -> tuple[int, ...]:
        """Return the size of an image's file."""
        return self._prepared.store.size_hw(self._index(name))

    def operations(self) -> list[dict[str, Any]]:
        """Return the settings of each operation of the augmentation, in order."""
        return [op.model_dump(mode="json") for op in self._prepared.pipeline.ops]

    def variant(self, name: str, epoch: int, *, seed: int | None = None, off: Collection[int] = ()) -> Variant | None:
        """Return what the network got of a training image in an epoch (from 0); None where it did not come up in it.

        Args:
            seed: another one than the run's.
            off: places of operations that are left out; the others draw what they drew.

        Raises:
            DataError: there is none of that id in train.
        """
        index, prepared = self._index(name), self._prepared
        loader = self._loader(self.seed if seed is None else seed, frozenset(off))
        (found,) = np.nonzero(loader.order(epoch) == index)[:1]
        if not len(found):
            if index in prepared.dataset.splits["train"]:
                return None
            raise DataError(f"{name} is no training image", where=name, fix="choose one of train")
        step = min(int(found[0]) // prepared.batch_size, len(loader) - 1)  # the last batch may have one more
        batch = next(loader.batches(epoch, step))
        row = int(np.flatnonzero(batch.index == index)[0])
        return Variant(batch.images[row].contiguous().numpy(), step)

    @lru_cache(maxsize=2)  # noqa: B019 (two loaders may live as long as the page keeps this object)
    def _loader(self, seed: int, off: frozenset[int]) -> Loader:
        whole = self._prepared.pipeline
        pipeline = Pipeline(whole.ops, is_in_space=whole.is_in_space, off=off)
        return self._prepared.loader("train", seed=seed, is_training=True, pipeline=pipeline)

    def levels(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Return what the network got as levels 0..255."""
        shape = (-1, *(1,) * (values.ndim - 1))
        mean, std = (np.array(one, np.float32).reshape(shape) for one in (self._prepared.mean, self._prepared.std))
        levels: npt.NDArray[np.uint8] = np.rint((values * std + mean) * 255).clip(0, 255).astype(np.uint8)
        return levels

    def sizes(self) -> dict[str, list[int]]:
        """Return the smallest, the median and the largest size of a file, by its area; empty where that is not kept."""
        rows = self._prepared.store.rows
        if rows is None or not len(rows.sizes_hw):
            return {}
        order = np.argsort(rows.sizes_hw.prod(1), kind="stable")
        places = {"smallest": 0, "median": len(order) // 2, "largest": -1}
        return {name: rows.sizes_hw[order[at]].tolist() for name, at in places.items()}

    def side_counts(self) -> dict[str, dict[str, list[int]]]:
        """Return how many files have which length of each side, in at most 12 bins: {"edges", "counts"} by side.

        A bin holds the lengths from its edge up to below the next. Empty where sizes are not kept.
        """
        rows = self._prepared.store.rows
        if rows is None or not len(rows.sizes_hw):
            return {}
        found = {}
        for name, sides in zip(SIDES[-rows.sizes_hw.shape[1] :], rows.sizes_hw.T, strict=True):
            low, high = int(sides.min()), int(sides.max()) + 1
            edges = np.unique(np.linspace(low, high, min(BINS, high - low) + 1).round().astype(int))
            found[name] = {"edges": edges.tolist(), "counts": np.histogram(sides, edges)[0].tolist()}
        return found

    def leaks(self) -> list[dict[str, str]]:
        """Return each image of val and test that is a copy of one of another split, with that one. Reads every file."""
        sides = {int(index): split for split, found in self._dataset.splits.items() for index in found}
        found = []
        for finding in prescan(self._dataset, Progress("quiet")).of(KIND):
            for copy, original in zip(finding.ids[::2], finding.ids[1::2], strict=True):
                a, b = (sides.get(self._place[name], "") for name in (copy, original))
                found.append({"copy": copy, "split": a, "original": original, "of": b})
        return found

    def _index(self, name: str) -> int:
        if name not in self._place:
            raise DataError("the run has no such image", where=name, fix="choose one of the list")
        return self._place[name]
