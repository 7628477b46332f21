"""Carry out a study: do what is missing, nothing twice; open the test split once, after everything is trained."""

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from striate.base import device as devices
from striate.base.errors import ModelError, SettingsError, UserError
from striate.base.files import write_json
from striate.base.folder import named_folder, new_folder
from striate.base.lock import locked
from striate.base.progress import Progress
from striate.base.run_info import StudyInfo
from striate.base.rundir import StudyDir, resumable
from striate.base.sums import break_seal
from striate.data.open import absolute_path
from striate.data.sample import Dataset
from striate.run.network import build_network, is_file, require
from striate.run.prepare import Prepared, describe_dataset, is_same_data, split_ids
from striate.run.start import require_start
from striate.run.track import trackers_of
from striate.verdict.verdict import decide

from .budget import Seconds, expectation, expected_s
from .cluster.connect import Cluster
from .cluster.runner import OnCluster
from .jobs import Job, Jobs, jobs_of
from .one import Conditions, InTurn, is_finished, reopened, require_path, variant_of
from .parallel import Pool, at_once
from .plan import Variant, check_names, require_plan
from .prune import clearly_worse
from .worker import Worker


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
    tensorboard: Path | str | None = None,
    mlflow: str | None = None,
    plan: dict[str, Any] | None = None,
    on: str | Cluster | None = None,
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
        tensorboard, mlflow: a folder, and the address of a tracking store, that show its runs too; see `run.track`.
        plan: the grid or random plan that the variants come from, for study.json.
        on: the Ray cluster that trains the runs, or its address: "ray://HOST:10001", or "local:4" for one with 4 CPUs
            on this machine; instead of `parallel`.

    Raises:
        SettingsError: the folder holds another study.
        Interrupted: stopped; the same call goes on.
    """
    progress, variants, track = progress or Progress(), list(variants), trackers_of(tensorboard, mlflow)
    require_plan(variants, seeds)
    check_names(variants)
    for variant in variants:
        _require_named(variant)
        require(variant.model)
        require_start(variant.recipe, variant.model)
    names = [variant.name for variant in variants]
    baseline = baseline or ("baseline" if "baseline" in names else names[0])
    if prune and len(datasets) > 1:
        raise SettingsError("folds have different images", where="--prune", fix="leave --folds out")
    if on and str(parallel) != "1":  # the command's options are words
        raise SettingsError("a cluster knows how many runs it has room for", where="--parallel", fix="leave it out")
    cluster = Cluster.of(on)
    conditions = Conditions(dict(enumerate(datasets)), target, "auto" if cluster else device, progress)
    for variant in variants:
        if is_file(variant.model):  # networks of the zoo fit every task
            build_network(variant.model, conditions.prepare(variant, 0), 0)
    info = _describe(conditions, variants, seeds, baseline, command, name)
    info |= {"plan": plan, "parallel": parallel, "drop_hopeless": prune, "dropped": {}}
    info |= {"keep_checkpoints": keep_checkpoints, "track": track}
    with cluster or nullcontext():
        if cluster:
            cluster.num_slots()  # a run that wants too much is refused before a folder is begun
        found = StudyDir(_folder(info, out, root, name, progress))
        with locked(found.path), resumable(found, _kept, words=cluster.words if cluster else ()):
            break_seal(found.path)
            write_json(found.path / "split.json", [split_ids(dataset) for dataset in datasets])
            found.save_info({**info, "status": "running"})
            num = _announce(
                conditions, variants, jobs_of(found, names, info["seeds"], len(datasets)), parallel, cluster
            )
            with _runner(found, conditions, variants, num, device, cluster) as runner:
                _carry_out(found, conditions, variants, info, runner)
    return found


def _runner(
    found: StudyDir,
    conditions: Conditions,
    variants: Sequence[Variant],
    num: int,
    device: str,
    cluster: Cluster | None,
) -> InTurn | Pool | OnCluster:
    """What carries out the runs: a cluster, processes of this machine where there are to be several, else this one."""
    if cluster:
        return OnCluster(cluster, found, Worker, device=device, progress=conditions.progress)
    if num > 1:
        return Pool(found.path, num, device=device, progress=conditions.progress)
    return InTurn(found, conditions, variants)


def _carry_out(found: StudyDir, conditions: Conditions, variants: list[Variant], info: StudyInfo, runner: Jobs) -> None:
    jobs, dropped = _train_all(found, conditions, variants, info, runner)
    _open_tests(jobs, runner)
    info["dropped"] = dropped
    verdict = decide(found, dropped)
    verdict["sentences"] += [row["text"] for row in dropped.values()]
    write_json(found.path / "verdict.json", verdict)
    found.save_info({**info, "status": "finished"})
    found.seal()


def _kept(said: str) -> str:
    return said or "stopped; finished runs are saved"


def _require_named(variant: Variant) -> None:
    if not isinstance(variant.model, str):
        what = f"a study makes a new network for every seed; this {type(variant.model).__name__} is one already"
        fix = "name a network or a .toml file, or train it with striate.train"
        raise SettingsError(what, where=f"variant {variant.name}", fix=fix)


def resume_study(
    path: Path,
    *,
    datasets: Sequence[Dataset] | None = None,
    where: str | None = None,
    device: str = "auto",
    on: str | Cluster | None = None,
    progress: Progress | None = None,
) -> StudyDir:
    """Go on with a study from its folder alone: the data are opened again from where they were, or are now.

    Args:
        datasets: the study's, one a fold, when they cannot be opened again.

    Raises:
        ModelError: this is no study, or its data came from Python.
        DataError: the data are not what they were.
    """
    info = StudyDir(path).info()
    datasets = datasets or [reopened(StudyDir(path), fold, where) for fold in range(info["folds"] or 1)]
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
        parallel=1 if on else info.get("parallel", 1),
        prune=info.get("drop_hopeless", False),
        keep_checkpoints=info.get("keep_checkpoints", False),
        **info.get("track", {}),
        plan=info.get("plan"),
        on=on,
        progress=progress,
    )


def _train_all(
    found: StudyDir, conditions: Conditions, variants: list[Variant], info: StudyInfo, runner: Jobs
) -> tuple[list[Job], dict[str, Any]]:
    """Train what is missing; return the runs, and the variants that were given up."""
    seeds, folds, names = info["seeds"], len(conditions.datasets), [variant.name for variant in variants]
    is_dropping, done, dropped = info["drop_hopeless"], list[Job](), dict[str, Any]()
    for part in [[seed] for seed in seeds] if is_dropping else [seeds]:
        left = [name for name in names if name not in dropped]
        jobs = jobs_of(found, left, part, folds)
        runner.carry_out([job for job in jobs if not is_finished(job.run)])
        done += jobs
        if is_dropping and part[-1] != seeds[-1]:
            kept = {info["baseline"], *(variant.name for variant in variants if variant.num_train)}
            new = clearly_worse(found, left, seeds[: part[-1] + 1])
            dropped |= {name: row for name, row in new.items() if name not in kept}
            for row in (row for name, row in new.items() if name not in kept):
                conditions.progress.line(row["text"])
    return done, dropped


def _announce(
    conditions: Conditions,
    variants: list[Variant],
    jobs: Sequence[Job],
    wanted: int | str,
    cluster: Cluster | None,
) -> int:
    """Prepare every variant's data, say what the study will take, and return how many runs are trained at once."""
    times_s, runs, num = expected_of(conditions, variants, jobs, wanted, cluster)
    if runs:
        conditions.progress.line(expectation(runs, times_s, num))
    return num


def expected_of(
    conditions: Conditions,
    variants: list[Variant],
    jobs: Sequence[Job],
    wanted: int | str,
    cluster: Cluster | None = None,
) -> tuple[list[Seconds], list[tuple[str, Prepared]], int]:
    """Return the seconds of each missing run, its network and data side, and how many are trained at once."""
    missing = [job for job in jobs if not is_finished(job.run)]
    planned = [(job, variant_of(job.variant, variants)) for job in missing]
    runs = [(variant.model, conditions.prepare(variant, job.fold)) for job, variant in planned]
    times_s = expected_s(runs)
    dataset = conditions.datasets[0]
    if cluster:
        require_path(dataset, "--on")
        return times_s, runs, cluster.num_slots()
    sizes = [max(one.geometry.size_hw) for _, one in runs]
    num = at_once(wanted, devices.pick(conditions.device).type, sizes, [one.free for one in times_s])
    if num > 1 and wanted == "auto" and not dataset.where:
        num = 1
    if num > 1:
        require_path(dataset, "--parallel")
    return times_s, runs, num


def _open_tests(jobs: Sequence[Job], runner: Jobs) -> None:
    """Score the test split with every run for which that was not done before."""
    missing = [job for job in jobs if "test" not in job.run.scores() or not job.run.is_sealed]
    runner.carry_out([replace(job, task="test") for job in missing])


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
