"""Carry out a study: do what is missing, nothing twice; open the test split once, after everything is trained."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from striate.base import device as devices
from striate.base.errors import Interrupted, ModelError, SettingsError
from striate.base.files import read_json, write_json
from striate.base.progress import Progress
from striate.base.rundir import RunDir, StudyDir, locked, named_folder, new_folder
from striate.base.seeds import rng_for
from striate.data import open_dataset
from striate.data.sample import Dataset
from striate.run.execute import resume, train
from striate.run.finish import open_test
from striate.run.network import require
from striate.run.prepare import Prepared, describe_dataset, fingerprint, prepare, restore_splits, split_ids

from .plan import Variant, check_names
from .verdict import decide


@dataclass
class Conditions:
    """What all runs of a study share: the dataset of each fold, and one prepared data side a variant and fold."""

    datasets: Sequence[Dataset]
    target: str | None
    device: str
    progress: Progress
    prepared: dict[tuple[str, int], Prepared] = field(default_factory=dict)
    precision: dict[str, dict[str, Any]] = field(default_factory=dict)

    def prepare(self, variant: Variant, fold: int) -> Prepared:
        """Return the data side of a variant's runs, made on first use."""
        key = (variant.name, fold)
        if key not in self.prepared:
            dataset = limit_training(self.datasets[fold], variant.num_train, self.target)
            found = prepare(
                dataset, variant.recipe, target=self.target, device=devices.pick(self.device), progress=self.progress
            )
            self.prepared[key] = found
        return self.prepared[key]


def study(
    datasets: Sequence[Dataset],
    variants: Sequence[Variant],
    *,
    seeds: int = 3,
    baseline: str | None = None,
    target: str | None = None,
    out: Path | None = None,
    root: Path = Path("runs"),
    name: str = "study",
    device: str = "auto",
    command: str = "",
    progress: Progress | None = None,
) -> StudyDir:
    """Train every variant with every seed on the same split, decide, and return the study folder.

    Args:
        datasets: one dataset, or one a fold.
        variants: what is compared; the first called "baseline" (else the first) is what the others are held against.
        out: the study's folder; one that holds this study already is continued.

    Raises:
        SettingsError: the folder holds another study.
        Interrupted: stopped; the same call goes on.
    """
    progress, variants = progress or Progress(), list(variants)
    check_names(variants)
    for variant in variants:
        require(variant.model)
    names = [variant.name for variant in variants]
    baseline = baseline or ("baseline" if "baseline" in names else names[0])
    conditions = Conditions(datasets, target, device, progress)
    info = _describe(conditions, variants, seeds, baseline, command, name)
    folder = _folder(info, out, root, name)
    found = StudyDir(folder)
    with locked(folder):
        found.save_info({**info, "status": "running"})
        write_json(folder / "split.json", [split_ids(dataset) for dataset in datasets])
        try:
            runs = _train_all(found, conditions, variants, seeds)
        except Interrupted as stop:
            found.save_info({**info, "status": "interrupted"})
            raise Interrupted(
                stop.what, where=folder, fix=f"striate resume {folder}", signal_number=stop.exit_code - 128
            ) from None
        for variant, fold, run in runs:
            open_test(run, conditions.prepare(variant, fold))
        found.save_info({**info, "status": "finished"})
        write_json(folder / "verdict.json", decide(found))
    return found


def resume_study(path: Path, *, device: str = "auto", progress: Progress | None = None) -> StudyDir:
    """Go on with a study from its folder alone: the data are opened again from where they were.

    Raises:
        ModelError: this is no study, or its data came from Python.
        DataError: the data are not what they were.
    """
    info = StudyDir(path).info()
    where, options = info["dataset"]["where"], info["dataset"]["options"]
    if not where:
        raise ModelError(
            "the study's data came from Python, not from a path", where=path, fix="call study() again with out=..."
        )
    plans = [{**options, "fold": fold} for fold in range(info["folds"])] if info["folds"] else [options]
    splits = read_json(path / "split.json", "split list")
    datasets = [restore_splits(open_dataset(where, **plan), found) for plan, found in zip(plans, splits, strict=True)]
    return study(
        datasets,
        [Variant.from_json(values) for values in info["variants"]],
        seeds=len(info["seeds"]),
        baseline=info["baseline"],
        target=info["target"],
        out=path,
        name=info["name"],
        device=device,
        command=info["command"],
        progress=progress,
    )


def _train_all(
    found: StudyDir, conditions: Conditions, variants: list[Variant], seeds: int
) -> list[tuple[Variant, int, RunDir]]:
    folds = range(len(conditions.datasets))
    jobs = [(variant, seed, fold) for seed in range(seeds) for fold in folds for variant in variants]
    runs = []
    for number, (variant, seed, fold) in enumerate(jobs, 1):
        run = found.run(variant.name, seed, fold if len(conditions.datasets) > 1 else None)
        conditions.progress.line(
            f"run {number}/{len(jobs)}: {variant.name}, seed {seed}" + (f", fold {fold}" if len(folds) > 1 else "")
        )
        _train_one(run, conditions, variant, seed, fold)
        runs.append((variant, fold, run))
    return runs


def _train_one(run: RunDir, conditions: Conditions, variant: Variant, seed: int, fold: int) -> None:
    prepared = conditions.prepare(variant, fold)
    if (run.path / "run.json").exists():
        status = run.info()["status"]
        if status == "finished":
            return
        if any(run.checkpoints.glob("step-*")):
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
        precision=conditions.precision.get(variant.name),
        is_test_open=False,
        progress=conditions.progress,
    )
    conditions.precision[variant.name] = run.info()["precision"]


def _describe(
    conditions: Conditions, variants: list[Variant], seeds: int, baseline: str, command: str, name: str
) -> dict[str, Any]:
    dataset = conditions.datasets[0]
    target = conditions.target or next(iter(dataset.targets))
    return {
        "name": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "dataset": describe_dataset(dataset, target),
        "target": conditions.target,
        "folds": len(conditions.datasets) if len(conditions.datasets) > 1 else None,
        "seeds": list(range(seeds)),
        "baseline": baseline,
        "variants": [variant.to_json() for variant in variants],
    }


def _folder(info: dict[str, Any], out: Path | None, root: Path, name: str) -> Path:
    if out is None:
        return new_folder(root, name)
    if not (out / "study.json").exists():
        return named_folder(out)
    before = StudyDir(out).info()
    for key, what in (("variants", "variants"), ("target", "target"), ("folds", "folds")):
        if before[key] != info[key]:
            raise SettingsError(
                f"the folder holds a study with other {what}",
                where=out,
                fix="choose another --out, or the same settings",
            )
    if before["dataset"]["fingerprint"] != info["dataset"]["fingerprint"]:
        raise ModelError(
            "the folder holds a study of other data", where=out, fix="choose another --out, or restore the data"
        )
    return out


def limit_training(dataset: Dataset, num_train: int | None, target: str | None) -> Dataset:
    """Return the dataset with at most `num_train` training images, the same ones for the same dataset."""
    train = dataset.splits["train"]
    if num_train is None or num_train >= len(train):
        return dataset
    order = rng_for(fingerprint(dataset), "num_train").permutation(len(train))
    found = dataset.target(target)
    if found.kind == "label":  # every class gets its share: take the k-th image of each class before the k+1-th
        labels = np.asarray(found.values[train])[order]
        turn = np.empty(len(labels))
        for label in np.unique(labels):
            where = np.flatnonzero(labels == label)
            turn[where] = (np.arange(len(where)) + 0.5) / len(where)
        order = order[np.argsort(turn, kind="stable")]
    return dataset.with_splits({**dataset.splits, "train": np.sort(train[order[:num_train]])})
