"""One run of a study: its data side, which the runs of a variant share, and its training."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import torch

from striate.base import device as devices
from striate.base.errors import ModelError, SettingsError
from striate.base.progress import Progress
from striate.base.run_info import PrecisionInfo
from striate.base.rundir import RunDir, StudyDir
from striate.base.seeds import rng_for
from striate.data import open_dataset
from striate.data.open import options_again, where_again
from striate.data.sample import Dataset
from striate.run.execute import resume, train
from striate.run.finish import open_test
from striate.run.prepare import Prepared, outline, prepare, restore_splits

from .jobs import Job, jobs_of
from .plan import Variant


@dataclass
class Conditions:
    """What all runs of a study share: the dataset of each fold, and one prepared data side a variant and fold."""

    datasets: Mapping[int, Dataset]
    target: str | None
    device: str
    progress: Progress
    prepared: dict[tuple[str, int], Prepared] = field(default_factory=dict)

    def prepare(self, variant: Variant, fold: int) -> Prepared:
        """Return the data side of a variant's runs, made on first use."""
        key = (variant.name, fold)
        if key not in self.prepared:
            dataset = limit_training(self.datasets[fold], variant.num_train, self.target)
            found = prepare(
                dataset,
                variant.recipe,
                target=self.target,
                device=devices.pick(self.device),
                progress=self.progress,
                model=variant.model,
            )
            self.prepared[key] = found
        return self.prepared[key]


def limit_training(dataset: Dataset, num_train: int | None, target: str | None) -> Dataset:
    """Return the dataset with at most `num_train` training images, the same ones for the same dataset."""
    train = dataset.splits["train"]
    if num_train is None or num_train >= len(train):
        return dataset
    order = rng_for(outline(dataset), "num_train").permutation(len(train))
    found = dataset.target(target)
    if found.is_exclusive:  # every class gets its share: take the k-th image of each class before the k+1-th
        labels = found.strata()[train][order]
        turn = np.empty(len(labels))
        for label in np.unique(labels):
            where = np.flatnonzero(labels == label)
            turn[where] = (np.arange(len(where)) + 0.5) / len(where)
        order = order[np.argsort(turn, kind="stable")]
    return dataset.with_splits({**dataset.splits, "train": np.sort(train[order[:num_train]])})


def variant_of(name: str, variants: Sequence[Variant]) -> Variant:
    """Return the variant of this name."""
    return next(variant for variant in variants if variant.name == name)


def reopened(study: StudyDir, fold: int, where: str | None = None) -> Dataset:
    """Return the dataset of a study's fold (0 without folds) with the study's split, from `where` or where it was.

    Raises:
        ModelError: the data came from Python, or are not what they were.
    """
    info = study.info()
    if not info["dataset"]["where"]:
        raise ModelError(
            "the study's data came from Python, not from a path",
            where=study.path,
            fix="call study() again with out=...",
        )
    options = options_again(info["dataset"], where)
    plan = {**options, "fold": fold} if info["folds"] else options
    dataset = restore_splits(open_dataset(where or where_again(info["dataset"]), **plan), study.splits(fold))
    return replace(dataset, findings=tuple(info["dataset"].get("findings", ())))


def require_path(dataset: Dataset, option: str) -> None:
    """Require that another process can open a dataset too, as an option of the command line asks for.

    Raises:
        SettingsError: the data came from Python.
    """
    if not dataset.where:
        raise SettingsError("the data came from Python, not from a path", where=option, fix="leave it out")


class InTurn:
    """Does the jobs of a study in this process, one after the other."""

    def __init__(self, study: StudyDir, conditions: Conditions, variants: Sequence[Variant]) -> None:
        self.study, self.conditions, self.variants = study, conditions, variants

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def carry_out(self, jobs: Sequence[Job]) -> None:
        """Do jobs; see `Jobs`."""
        for number, job in enumerate(jobs, 1):
            variant = variant_of(job.variant, self.variants)
            if job.task == "test":
                with _threads_of(job.run):
                    open_test(job.run, self.conditions.prepare(variant, job.fold))
                continue
            fold = f", fold {job.fold}" if len(self.conditions.datasets) > 1 else ""
            self.conditions.progress.line(f"run {number}/{len(jobs)}: {job.variant}, seed {job.seed}{fold}")
            train_one(self.study, job.run, self.conditions, variant, job.seed, job.fold)


@contextmanager
def _threads_of(run: RunDir) -> Iterator[None]:
    """Compute with no more threads than the runs did, so that scores do not depend on which process takes them."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, run.info()["device"]["threads"]))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train_one(
    study: StudyDir,
    run: RunDir,
    conditions: Conditions,
    variant: Variant,
    seed: int,
    fold: int,
    precision: PrecisionInfo | None = None,
) -> None:
    """Train one run of a study or go on with it; a finished one is left as it is.

    Args:
        precision: that of the variant's other runs, where these do not lie in the study's folder.
    """
    prepared = conditions.prepare(variant, fold)
    if is_finished(run):
        return
    if (run.path / "run.json").exists():
        resume(run.path, dataset=prepared.dataset, device=conditions.device, progress=conditions.progress)
        return
    train(
        prepared.dataset,
        variant.model,
        variant.recipe,
        recipe_name=variant.recipe_name,
        seed=seed,
        target=conditions.target,
        out=run.path,
        overwrite=True,
        device=conditions.device,
        prepared=prepared,
        precision=precision or known_precision(study, variant.name),
        is_test_open=False,
        keep_checkpoints=study.info().get("keep_checkpoints", False),
        **study.info().get("track", {}),
        progress=conditions.progress,
    )


def is_finished(run: RunDir) -> bool:
    """Return whether a run was trained to its end; its test split may not be open yet."""
    return (run.path / "run.json").exists() and run.info()["status"] == "finished"


def known_precision(study: StudyDir, variant: str) -> PrecisionInfo | None:
    """Return the precision that a run of the variant has chosen already: all of them compute in the same one."""
    info = study.info()
    for job in jobs_of(study, [variant], info["seeds"], info["folds"] or 1):
        if job.is_begun:
            return job.run.info()["precision"]
    return None
