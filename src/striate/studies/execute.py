"""Carry out a study: do what is missing, nothing twice; open the test split once, after everything is trained."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from striate.base import device as devices
from striate.base.errors import ModelError, SettingsError, UserError
from striate.base.files import write_json
from striate.base.folder import named_folder, new_folder
from striate.base.lock import locked
from striate.base.progress import Progress
from striate.base.run_info import PrecisionInfo, StudyInfo
from striate.base.rundir import RunDir, StudyDir, resumable
from striate.base.seeds import rng_for
from striate.base.sums import break_seal
from striate.data import open_dataset
from striate.data.open import absolute_path, options_again, where_again
from striate.data.sample import Dataset
from striate.run.execute import resume, train
from striate.run.finish import open_test
from striate.run.network import build_network, is_file, require
from striate.run.prepare import Prepared, describe_dataset, is_same_data, outline, prepare, restore_splits, split_ids
from striate.run.start import require_start
from striate.verdict.verdict import decide

from .budget import Seconds, expectation, expected_s
from .parallel import Job, Pool, at_once
from .plan import Variant, check_names
from .prune import clearly_worse


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
    parallel: int | str = 1,
    prune: bool = False,
    keep_checkpoints: bool = False,
    plan: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> StudyDir:
    """Train every variant with every seed on the same split, decide, and return the study folder.

    Args:
        datasets: one dataset, or one a fold.
        variants: what is compared; the first called "baseline" (else the first) is what the others are held against.
        out: the study's folder; one that holds this study already is continued. By default the newest one below `root`
            that is this study and was not finished, else a new one.
        parallel: runs at once, each a process with one thread; "auto" is 2 where that is faster.
        prune: after two seeds and more, give up variants whose validation interval lies wholly on the worse
            side of the best one's; never the baseline, nor a point of a learning curve (`num_train`).
        keep_checkpoints: keep the resumable states of finished runs, not their best weights only.
        plan: the grid or random plan that the variants come from, for study.json.

    Raises:
        SettingsError: the folder holds another study.
        Interrupted: stopped; the same call goes on.
    """
    progress, variants = progress or Progress(), list(variants)
    check_names(variants)
    for variant in variants:
        _require_named(variant)
        require(variant.model)
        require_start(variant.recipe, variant.model)
    names = [variant.name for variant in variants]
    baseline = baseline or ("baseline" if "baseline" in names else names[0])
    if prune and len(datasets) > 1:
        raise SettingsError("folds have different images", where="--prune", fix="leave --folds out")
    conditions = Conditions(dict(enumerate(datasets)), target, device, progress)
    for variant in variants:
        if is_file(variant.model):  # networks of the zoo fit every task
            build_network(variant.model, conditions.prepare(variant, 0), 0)
    info = _describe(conditions, variants, seeds, baseline, command, name)
    info |= {"plan": plan, "parallel": parallel, "drop_hopeless": prune, "dropped": {}}
    info["keep_checkpoints"] = keep_checkpoints
    folder = _folder(info, out, root, name, progress)
    found = StudyDir(folder)
    with locked(folder):
        break_seal(folder)
        write_json(folder / "split.json", [split_ids(dataset) for dataset in datasets])
        found.save_info({**info, "status": "running"})
        with resumable(found, lambda said: said or "stopped; finished runs are saved"):
            num = _announce(conditions, variants, jobs_of(found, names, info["seeds"], len(datasets)), parallel)
            with Pool(folder, num, device=device, progress=progress) as pool:
                jobs, dropped = _train_all(found, conditions, variants, info, pool)
                _open_tests(conditions, variants, jobs, pool)
            info["dropped"] = dropped
            verdict = decide(found, dropped)
            verdict["sentences"] += [row["text"] for row in dropped.values()]
            write_json(folder / "verdict.json", verdict)
            found.save_info({**info, "status": "finished"})
            found.seal()
    return found


def _require_named(variant: Variant) -> None:
    if not isinstance(variant.model, str):
        what = f"a study makes a new network for every seed; this {type(variant.model).__name__} is one already"
        fix = "name a network or a .toml file, or train it with striate.train"
        raise SettingsError(what, where=f"variant {variant.name}", fix=fix)


def resume_study(
    path: Path, *, where: str | None = None, device: str = "auto", progress: Progress | None = None
) -> StudyDir:
    """Go on with a study from its folder alone: the data are opened again from where they were, or are now.

    Raises:
        ModelError: this is no study, or its data came from Python.
        DataError: the data are not what they were.
    """
    info = StudyDir(path).info()
    datasets = [reopened(StudyDir(path), fold, where) for fold in range(info["folds"] or 1)]
    if where:
        info["dataset"] |= {"where": where, "path": absolute_path(where)}
        StudyDir(path).save_info(info)
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
        parallel=info.get("parallel", 1),
        prune=info.get("drop_hopeless", False),
        keep_checkpoints=info.get("keep_checkpoints", False),
        plan=info.get("plan"),
        progress=progress,
    )


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


def _train_all(
    found: StudyDir, conditions: Conditions, variants: list[Variant], info: StudyInfo, pool: Pool
) -> tuple[list[Job], dict[str, Any]]:
    """Train what is missing; return the runs, and the variants that were given up."""
    seeds, folds, names = info["seeds"], len(conditions.datasets), [variant.name for variant in variants]
    is_dropping, done, dropped = info["drop_hopeless"], list[Job](), dict[str, Any]()
    for part in [[seed] for seed in seeds] if is_dropping else [seeds]:
        left = [name for name in names if name not in dropped]
        jobs = jobs_of(found, left, part, folds)
        _train_part(found, conditions, variants, jobs, pool)
        done += jobs
        if is_dropping and part[-1] != seeds[-1]:
            kept = {info["baseline"], *(variant.name for variant in variants if variant.num_train)}
            new = clearly_worse(found, left, seeds[: part[-1] + 1])
            dropped |= {name: row for name, row in new.items() if name not in kept}
            for row in (row for name, row in new.items() if name not in kept):
                conditions.progress.line(row["text"])
    return done, dropped


def jobs_of(found: StudyDir, names: Sequence[str], seeds: Sequence[int], folds: int) -> list[Job]:
    return [
        Job(name, seed, fold, found.run(name, seed, fold if folds > 1 else None))
        for seed in seeds
        for fold in range(folds)
        for name in names
    ]


def _announce(conditions: Conditions, variants: list[Variant], jobs: Sequence[Job], wanted: int | str) -> int:
    """Prepare every variant's data, say what the study will take, and return how many runs are trained at once."""
    times_s, runs, num = expected_of(conditions, variants, jobs, wanted)
    if runs:
        conditions.progress.line(expectation(runs, times_s, num))
    return num


def expected_of(
    conditions: Conditions, variants: list[Variant], jobs: Sequence[Job], wanted: int | str
) -> tuple[list[Seconds], list[tuple[str, Prepared]], int]:
    """Return the seconds of each missing run, its network and data side, and how many are trained at once."""
    missing = [job for job in jobs if not _is_finished(job.run)]
    planned = [(job, _called(job.variant, variants)) for job in missing]
    runs = [(variant.model, conditions.prepare(variant, job.fold)) for job, variant in planned]
    times_s = expected_s(runs)
    sizes, has_place = [max(one.geometry.size_hw) for _, one in runs], bool(conditions.datasets[0].where)
    num = at_once(wanted, devices.pick(conditions.device).type, sizes, [one.free for one in times_s])
    if num > 1 and not has_place:
        if wanted != "auto":
            raise SettingsError("the data came from Python, not from a path", where="--parallel", fix="leave it out")
        num = 1
    return times_s, runs, num


def _train_part(
    found: StudyDir, conditions: Conditions, variants: list[Variant], jobs: Sequence[Job], pool: Pool
) -> None:
    if pool.num > 1:
        pool.carry_out([job for job in jobs if not _is_finished(job.run)])
        return
    for number, job in enumerate(jobs, 1):
        fold = f", fold {job.fold}" if len(conditions.datasets) > 1 else ""
        conditions.progress.line(f"run {number}/{len(jobs)}: {job.variant}, seed {job.seed}{fold}")
        train_one(found, job.run, conditions, _called(job.variant, variants), job.seed, job.fold)


def _open_tests(conditions: Conditions, variants: list[Variant], jobs: Sequence[Job], pool: Pool) -> None:
    """Score the test split with every run for which that was not done before."""
    missing = [job for job in jobs if "test" not in job.run.scores() or not job.run.is_sealed]
    if pool.num > 1:
        pool.carry_out([replace(job, task="test") for job in missing])
        return
    with _threads_of(jobs[0].run):
        for job in missing:
            open_test(job.run, conditions.prepare(_called(job.variant, variants), job.fold))


def train_one(study: StudyDir, run: RunDir, conditions: Conditions, variant: Variant, seed: int, fold: int) -> None:
    """Train one run of a study or go on with it; a finished one is left as it is."""
    prepared = conditions.prepare(variant, fold)
    if _is_finished(run):
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
        precision=_known_precision(study, variant.name),
        is_test_open=False,
        keep_checkpoints=study.info().get("keep_checkpoints", False),
        progress=conditions.progress,
    )


def _is_finished(run: RunDir) -> bool:
    return (run.path / "run.json").exists() and run.info()["status"] == "finished"


def _known_precision(study: StudyDir, variant: str) -> PrecisionInfo | None:
    """The precision that a run of the variant has chosen already: all of them compute in the same one."""
    info = study.info()
    for job in jobs_of(study, [variant], info["seeds"], info["folds"] or 1):
        if job.is_begun:
            return job.run.info()["precision"]
    return None


def _called(name: str, variants: Sequence[Variant]) -> Variant:
    return next(variant for variant in variants if variant.name == name)


@contextmanager
def _threads_of(run: RunDir) -> Iterator[None]:
    """Compute with no more threads than the runs did, so that scores do not depend on which process takes them."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, run.info()["device"]["threads"]))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _describe(
    conditions: Conditions, variants: list[Variant], seeds: int, baseline: str, command: str, name: str
) -> StudyInfo:
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


def _folder(info: StudyInfo, out: Path | None, root: Path, name: str, progress: Progress) -> Path:
    if out is None:
        begun = _unfinished(info, root)
        if begun is None:
            return new_folder(root, name)
        progress.line(f"going on with {begun}, which is this study and was not finished (--out FOLDER starts another)")
        return begun
    if not (out / "study.json").exists():
        return named_folder(out)
    if what := _difference(StudyDir(out).info(), info):
        fix = f"choose another --out, or {'restore the data' if what == 'data' else 'the same settings'}"
        raise (ModelError if what == "data" else SettingsError)(
            f"the folder holds a study with other {what}", where=out, fix=fix
        )
    return out


def _unfinished(info: StudyInfo, root: Path) -> Path | None:
    """The newest study below `root` that is this one and was not finished."""
    for path in sorted(root.glob("*/study.json"), reverse=True):
        with suppress(UserError, KeyError):  # a folder that cannot be read is not this study
            before = StudyDir(path.parent).info()
            is_same = before["seeds"] == info["seeds"] and not _difference(before, info)
            if is_same and before["status"] != "finished":
                return path.parent
    return None


def _difference(before: StudyInfo, info: StudyInfo) -> str:
    """What two studies differ in, "" when one can go on with the other's runs."""
    variants = [Variant.from_json(values).to_json() for values in before["variants"]]  # of an older version, too
    if variants != info["variants"]:
        return "variants"
    if before["target"] != info["target"]:
        return "target"
    if before["folds"] != info["folds"]:
        return "folds"
    return "" if is_same_data(before["dataset"], info["dataset"]) else "data"


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
