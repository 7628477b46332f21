"""From a dataset and a recipe to what a run trains with: geometry, store, statistics, task, loaders."""

import hashlib
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from striate.base.device import num_cpus
from striate.base.errors import DataError, ModelError, SettingsError
from striate.base.memory import keep_blocks
from striate.base.processes import ALONE, Processes
from striate.base.progress import Progress
from striate.base.run_info import DatasetInfo
from striate.base.text import listed, plural
from striate.data.augment import Pipeline
from striate.data.augment.mix import Mixing, refuse_unmixable
from striate.data.augment.operation import Operation
from striate.data.augment.suits import refuse_unsuited, suiting
from striate.data.geometry import Geometry
from striate.data.loader import Loader
from striate.data.open import absolute_path
from striate.data.planes import open_plane
from striate.data.sample import Dataset
from striate.data.store import Indices, Store, open_store, statistics
from striate.data.target import Target
from striate.model.ablate import split_name
from striate.task import Task, fit_task

from .geometry import choose_geometry, depth_of
from .recipe import Recipe
from .start import Start, start_of

EVAL_PIXELS = 3 << 16  # a batch of so many is near the fastest, for large and small networks and images
MAX_EVAL_BATCH = 256
_PART = 256  # images a thread hashes at a time
MAX_READ_BYTES, SAMPLED_BYTES = 4 << 30, 64 << 10  # a fingerprint reads files whole up to so many bytes in all


@dataclass(frozen=True)
class Prepared:
    """Everything about the data side of a run, made once and shared by the runs of a study.

    `geometry` is of what the network gets; that of the store is larger where images are to be made larger.
    """

    dataset: Dataset
    recipe: Recipe
    task: Task
    geometry: Geometry
    store: Store
    mean: list[float]
    std: list[float]
    batch_size: int
    num_epochs: int
    device: torch.device
    start: Start | None = None
    inputs: Mapping[str, Target] = field(default_factory=dict)  # see `Task.inputs`
    lost: dict[int, str] = field(default_factory=dict)  # images that became unreadable since, see `Loader`
    processes: Processes = ALONE

    @property
    def pipeline(self) -> Pipeline:
        """The augmentation of training images."""
        return suited(self.recipe, self.dataset, self.geometry.depth, self.task.targets)

    @property
    def _eval_batch_size(self) -> int:
        """Images a batch where nothing is trained: on a CPU as many as its cache holds the maps of."""
        if self.device.type != "cpu":
            return max(64, self.batch_size)
        few = 1 if self.geometry.store_hw != self.geometry.size_hw and len(self.geometry.size_hw) == 3 else 2
        return min(MAX_EVAL_BATCH, max(few, EVAL_PIXELS // math.prod(self.geometry.size_hw)))

    def loader(
        self,
        split: str,
        *,
        seed: int = 0,
        is_training: bool = False,
        indices: Indices | None = None,
        pipeline: Pipeline | None = None,
        batch_size: int | None = None,
    ) -> Loader:
        """Return the loader of a split: shuffled, augmented and balanced for training, else in order and plain.

        Args:
            indices: only these images of the split.
            pipeline: augmentation; by default that of the recipe for training, else none.
            batch_size: images a batch; by default the recipe's for training, else what is fast to look at.
        """
        chosen = self.dataset.splits[split] if indices is None else indices
        is_balanced = is_training and self.recipe.data.balance == "sampling"
        return Loader(
            self.store,
            replace(self.dataset, targets={**self.dataset.targets, **self.inputs}),
            chosen,
            targets=[*self.task.targets, *self.inputs],
            pipeline=pipeline or (self.pipeline if is_training else None),
            mean=self.mean,
            std=self.std,
            batch_size=batch_size or (self.batch_size if is_training else self._eval_batch_size),
            seed=seed,
            device=self.device,
            shuffle=is_training,
            weights=self.dataset.target(self.task.target).weights(chosen) if is_balanced else None,
            lost=self.lost,
            see=self.task.see,
            min_seen=self.recipe.data.min_seen,
            threads=self.processes.threads,
            processes=self.processes if is_training and self.processes.size > 1 else None,
        )


def prepare(
    dataset: Dataset,
    recipe: Recipe,
    *,
    target: str | None,
    device: torch.device,
    progress: Progress,
    model: object = None,
    task: str | None = None,
    network: str = "",
    processes: Processes = ALONE,
) -> Prepared:
    """Return what a run of `recipe` on `dataset` trains with; builds the store when it is not there.

    From here on the process keeps the memory of large maps, see `keep_blocks`.

    Args:
        model: the network, which decides what published weights are and how they want their images.
        task: its name in the table of tasks; by default the one that the data were opened for, else the target's.
        network: its name, by which some tasks know how its outputs are read; by default that of `model`.
        processes: that train it together.

    Raises:
        DataError: no training or validation images, an unusable file, a constant channel, an unknown target.
        SettingsError: mixing or balance that the target does not allow, or see `start_of`.
    """
    for split in ("train", "val"):
        if not len(dataset.splits.get(split, ())):
            fix = f"add {dataset.noun.many}, or raise their limit"
            raise DataError(f"the {split} split is empty", where=dataset.where, fix=fix)
    if progress:
        progress.noun = dataset.noun
    train = dataset.splits["train"]
    network = network or split_name(str(getattr(model, "name", model)))[0]
    fitted = task_for(dataset, recipe, target, task, network)
    name, ops = fitted.target, suited(recipe, dataset, depth_of(dataset, recipe), fitted.targets, progress).ops
    _refuse_mixing(fitted, dataset, ops)
    if recipe.data.balance != "none":
        dataset.target(name).refuse_balance(name)
    if recipe.transfer.head in {"only", "solved"} and len(fitted.targets) > 1:
        what = f"a head is solved for one target, the task {fitted.name} has {len(fitted.targets)}"
        raise SettingsError(what, where="transfer.head", fix="use the recipe finetune or frozen")
    start = start_of(recipe, model)
    size_hw = start.size_hw if start else None
    geometry = choose_geometry(
        dataset, recipe, size_hw=size_hw, multiple=fitted.scale, fit=fitted.usual_fit, most_px=fitted.usual_px
    )
    seen = geometry.over(fitted.scale)
    store = open_store(dataset, geometry, progress=progress)
    for name in fitted.targets:
        if dataset.target(name).has_plane:  # here, where progress is shown; loaders find it in the store
            open_plane(store, dataset.target(name), progress=progress)
    keep_blocks()  # now that images of any size are decoded: what was needed for a large one would be kept too
    mean, std = start.normal(geometry.channels) if start else statistics(store, train, names=dataset.bands)
    automatic = automatic_batch_size(len(train), is_dense=fitted.head.is_dense, most=dataset.usual.batch_size)
    batch_size = recipe.train.batch_size or automatic
    num_epochs = recipe.train.epochs or automatic_epochs(len(train))
    _say_odd_batches(len(train), batch_size, progress)
    fitted = fitted.with_levels(mean, std)
    inputs = fitted.inputs(dataset, seen.size_hw, progress)
    settings = (mean, std, batch_size, num_epochs, device, start, inputs)
    return Prepared(dataset, recipe, fitted, seen, store, *settings, processes=processes)


def task_for(dataset: Dataset, recipe: Recipe, target: str | None, name: str | None = None, network: str = "") -> Task:
    """Return the task of a recipe for a target, with the weights and scales of its training images.

    Args:
        target: its name; by default the task's own, else the dataset's first.
        name: of the task; by default the one that the data were opened for, else the target's usual one.
        network: its name, by which some tasks know how its outputs are read.

    Raises:
        DataError: no task predicts such targets, or these cannot be learnt.
    """
    name = name or dataset.options.get("task")
    settings: dict[str, Any] = {"label_smoothing": recipe.train.label_smoothing}
    settings["is_balanced"] = recipe.data.balance == "weights"
    settings["options"] = recipe.task
    settings["network"] = network
    return fit_task(dataset.targets, dataset.splits["train"], name=name, target=target, **settings)


def suited(
    recipe: Recipe, dataset: Dataset, depth: int, targets: Sequence[str], progress: Progress | None = None
) -> Pipeline:
    """Return the augmentation of a recipe for a dataset's images of so many bits, and for targets of these names.

    What the automatic augmentation or a named strength has that does not suit the images, or that may make a target
    untrue, is left out, and said so; operations that are named themselves are taken.

    Raises:
        SettingsError: an operation that is named itself does not suit the images.
    """
    channels = dataset.channels
    ops = recipe.pipeline(len(dataset.splits["train"])).ops
    if not recipe.strength():
        refuse_unsuited(ops, channels, depth)
        return Pipeline(ops, is_in_space=dataset.usual.is_in_space)
    chosen = suiting(ops, channels, depth)
    _say_left_out(ops, chosen, f"not for images of {channels} channels and {depth} bits", progress)
    kept = tuple(op for op in chosen if op.kind not in dataset.usual.untrue_after)
    _say_left_out(chosen, kept, f"not for {dataset.usual.form}", progress)
    untrue = frozenset[str]().union(*(dataset.target(name).untrue_after for name in targets))
    safe = tuple(op for op in kept if op.kind not in untrue)
    why = f"{listed(list(targets))} may no longer be right after it; where it is, name it in --augment"
    _say_left_out(kept, safe, why, progress)
    return Pipeline(safe, is_in_space=dataset.usual.is_in_space)


def _say_left_out(before: Sequence[Any], after: Sequence[Any], why: str, progress: Progress | None) -> None:
    if progress is not None and (left_out := listed([op.kind for op in before if op not in after])):
        progress.line(f"augmentation without {left_out}: {why}")


def _refuse_mixing(task: Task, dataset: Dataset, ops: tuple[Operation, ...]) -> None:
    for name in task.targets:
        refuse_unmixable(ops, name, dataset.target(name))
    if not task.is_mixable and (mixing := next((op for op in ops if isinstance(op, Mixing)), None)):
        what = f"the task {task.name} has no loss for targets that {getattr(mixing, 'kind', '')} has mixed"
        raise SettingsError(what, where=f"augment, target {task.target}", fix="leave the mixing operation out")


def _say_odd_batches(num_train: int, batch_size: int, progress: Progress) -> None:
    """Say what becomes of batches that do not come out even; see `Loader` for the last one."""
    if num_train < batch_size:
        progress.line(f"{num_train:,} training images are fewer than the batch of {batch_size}: it holds them all")
    elif batch_size > 1 and num_train > batch_size and num_train % batch_size == 1:
        said = f"{num_train:,} training images in batches of {batch_size}"
        progress.line(f"{said}: the last batch takes {batch_size + 1}, none is of one image")


def automatic_batch_size(num_train: int, *, is_dense: bool = False, most: int | None = None) -> int:
    """Return 32 up to 1,000 training images, 64 up to 20,000, else 128; a quarter where each pixel has an answer.

    An image of many answers says enough alone, and few images then make many steps: U-Net on 198 pets has a mean IoU of
    0.63 with 8 an update, 0.58 with 32.

    Args:
        most: a limit, with which a tenth of the training images is taken, but at least 8.

    Example:
        >>> [automatic_batch_size(count) for count in (500, 2000, 60000)], automatic_batch_size(500, is_dense=True)
        ([32, 64, 128], 8)
        >>> [automatic_batch_size(count, most=16) for count in (40, 500)]
        [8, 16]
    """
    if most is not None:
        return min(most, max(8, num_train // 10))
    batch_size = 32 if num_train <= 1000 else 64 if num_train <= 20_000 else 128
    return batch_size // 4 if is_dense else batch_size


def automatic_epochs(num_train: int) -> int:
    """Return 40 epochs up to 4,000 training images, fewer beyond, but at least 16.

    Example:
        >>> [automatic_epochs(count) for count in (500, 2000, 8000, 60000)]
        [40, 40, 20, 16]
    """
    return min(40, max(16, 160_000 // num_train))


def fingerprint(dataset: Dataset) -> str:
    """Return a SHA-256 of what a run's data are: splits, ids, target values, class names and the images' content.

    Every byte counts in a dataset of up to 4 GiB; of a larger one 64 KiB of each file, in 16 pieces from its first to
    its last byte. Images in no split do not count, so leaving files out and never having had them are the same.
    """
    images = dataset.images
    max_bytes = SAMPLED_BYTES if images.num_bytes() > MAX_READ_BYTES else MAX_READ_BYTES

    def digests(part: Indices) -> str:
        return "".join(images.digest(int(index), max_bytes) for index in part)

    with ThreadPoolExecutor(num_cpus()) as pool:
        return _digest_of(
            dataset,
            lambda found: "".join(pool.map(digests, np.split(found, range(_PART, len(found), _PART)))).encode(),
        )


def outline(dataset: Dataset) -> str:
    """Return a SHA-256 like `fingerprint` that knows of each file no more than its size, but costs next to nothing."""

    def sizes(found: Indices) -> bytes:
        paths = (dataset.images.path(int(index)) for index in found)
        known = [path.stat().st_size for path in paths if path is not None and path.exists()]
        return np.asarray(known, dtype=np.int64).tobytes()

    return _digest_of(dataset, sizes)


def _digest_of(dataset: Dataset, content: Callable[[Indices], bytes]) -> str:
    digest = hashlib.sha256()
    for split, found in dataset.splits.items():
        names = "\x00".join([split, *(dataset.ids[index] for index in found)])
        digest.update(names.encode("utf-8", "surrogatepass") + b"\x00\x00")
        digest.update(content(found))
        for name, target in dataset.targets.items():
            for part in target.digest(name, found):
                digest.update(part)
    return digest.hexdigest()


def is_same_data(before: DatasetInfo, now: DatasetInfo) -> bool:
    """Return whether two descriptions are of the same data; one by an older version has an outline only."""
    return bool(before["fingerprint"] == now["fingerprint" if "outline" in before else "outline"])


def describe_dataset(dataset: Dataset, target: str) -> DatasetInfo:
    """Return the run folder's description of the dataset."""
    found = dataset.target(target)
    description: DatasetInfo = {
        "name": dataset.name,
        "where": dataset.where,
        "form": dataset.usual.form,
        "path": absolute_path(dataset.where),
        "options": dict(dataset.options),
        "fingerprint": fingerprint(dataset),
        "outline": outline(dataset),
        "counts": {name: len(indices) for name, indices in dataset.splits.items()},
        "classes": list(found.classes),
        "target": {"kind": found.kind, "names": list(found.names)},
        "channels": dataset.channels,
        "notes": list(dataset.notes),
        "findings": list(dataset.findings),
    }
    if found.classes:
        description["class_counts"] = {name: found.counts(indices).tolist() for name, indices in dataset.splits.items()}
    return description


def split_ids(dataset: Dataset) -> dict[str, list[str]]:
    """Return the ids of each split, as split.json holds them."""
    return {name: [dataset.ids[index] for index in found] for name, found in dataset.splits.items()}


def restore_or_fork(run: Path) -> str:
    """What to do where data or settings are not what they were when a run began."""
    command = f"striate resume {shlex.quote(str(run))} --fork"
    return f"restore it, or start a new run with `{command if len(command) < 70 else 'striate resume RUN --fork'}`"


def restore_splits(dataset: Dataset, splits: dict[str, list[str]], fix: str = "restore it, or start anew") -> Dataset:
    """Return the dataset with the splits a run folder lists.

    Args:
        fix: what to do where an image is gone.

    Raises:
        ModelError: a listed image is not in the dataset any more.
    """
    position = {sample_id: index for index, sample_id in enumerate(dataset.ids)}
    missing = [sample_id for ids in splits.values() for sample_id in ids if sample_id not in position]
    if missing:
        what = f"dataset changed since the run began: {plural(len(missing), 'image')} gone, first {missing[0]!r}"
        raise ModelError(what, where=dataset.where, fix=fix)
    restored = {
        name: np.sort(np.array([position[sample_id] for sample_id in ids], dtype=np.intp))
        for name, ids in splits.items()
    }
    return dataset.with_splits(restored)
