"""The verbs in Python: open, train, study, predict, report. The command line calls these too."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.base import rank
from striate.base.errors import Interrupted, SettingsError
from striate.base.folder import kind_of
from striate.base.progress import Progress, in_notebook
from striate.base.rundir import RunDir, StudyDir, reporting
from striate.data import open_dataset
from striate.data.check.skip import without_bad, write_skipped
from striate.data.open import name_of
from striate.data.sample import Dataset
from striate.model import zoo
from striate.model.blueprint import Blueprint

from .results import Run, Study

__all__ = ["Run", "Study", "fork", "resume", "study", "study_file", "study_ladder", "train", "train_run"]

if TYPE_CHECKING:
    from torch import nn

    from striate.run.recipe import Recipe
    from striate.studies.plan import Variant

    Model = str | Blueprint | nn.Module


def train(
    data: Dataset | str | Path, model: "Model | None" = None, recipe: "str | Recipe | None" = None, **options: Any
) -> Run:
    """Train one network; writes the report too.

    In a notebook an interrupted cell gives the run as it is, with its best weights so far; `run.resume()` goes on.

    Args:
        recipe: by default what `striate train` takes: "regularized", of series "series", of restoration "restore", of
            detection "detect".
        options: `epochs`, `lr`, `batch_size`, `augment`, `optimiser`, `patience`, `size`, `fit` and `weights` change
            the recipe; for the others see `striate.run.execute.train`.

    Raises:
        SettingsError: no such option; it names the nearest.
    """
    from striate.run.execute import train as carry_out
    from striate.run.keywords import recipe_changes
    from striate.run.recipe import named, usual
    from striate.task import usual_task

    pairs = recipe_changes(options, carry_out)

    def settings_of(recipe: "str | Recipe") -> "Recipe":
        return (named(recipe) if isinstance(recipe, str) else recipe).with_values(pairs)

    settings_of(recipe or usual(None))  # a mistake is said before any data are read
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    task = dataset.options.get("task") or usual_task(dataset.targets, options.get("target"))
    recipe = recipe or usual(task, dataset.usual.form)
    name = f"{recipe} changed" if pairs and isinstance(recipe, str) else recipe if isinstance(recipe, str) else "custom"
    settings = settings_of(recipe)
    network = settings.network_or(model, task, dataset.usual.form)
    own = None if isinstance(network, str | Blueprint) else network
    options["progress"] = options.get("progress") or Progress()  # one for all, so that a notebook has one place of it
    try:
        return Run(train_run(dataset, network, settings, recipe_name=name, **options), own, dataset)
    except Interrupted as stop:
        return Run(_to_look_at(stop, options["progress"]), own, dataset)


def study(
    data: Dataset | str | Path, variants: "Sequence[Variant] | None" = None, *, seeds: int = 3, **options: Any
) -> Study:
    """Compare variants (by default the task's own, else the ladder) and decide; writes the report too.

    In a notebook an interrupted cell gives the study as it is, with the runs that are done; `study.resume()` goes on.

    Args:
        variants: of `st.ladder()` or `st.variant(...)`.
        seeds: how many runs each variant has, at least 1.
        options: `epochs`, `lr`, `batch_size`, `augment`, `optimiser`, `patience`, `size`, `fit` and `weights` change
            the recipe of every variant; for the others see `striate.studies.execute.study`.

    Raises:
        SettingsError: no such option; it names the nearest. No variant, or one that is none.
    """
    from striate.run.keywords import recipe_changes
    from striate.studies.execute import study as carry_out
    from striate.studies.plan import require_plan, task_series

    pairs = recipe_changes(options, carry_out)
    require_plan(variants, seeds)
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    if variants is None:
        variants = task_series(_task_class(dataset, options.get("target")), form=dataset.usual.form)
    variants = [replace(one, recipe=one.recipe.with_values(pairs)) for one in variants]
    options["progress"] = options.get("progress") or Progress()
    dataset, _ = without_bad(dataset, options.pop("on_bad", "stop"), options["progress"])
    try:
        result = Study(carry_out([dataset], variants, seeds=seeds, **_with_path(options)), [dataset])
    except Interrupted as stop:
        return Study(_half_done(stop, options["progress"]), [dataset])
    result.report()
    return result


def _half_done(stop: Interrupted, progress: Progress) -> StudyDir:
    """The folder of a study that was stopped in a notebook.

    Raises:
        Interrupted: elsewhere, or before it was begun.
    """
    folder = StudyDir(stop.where)
    if not (in_notebook() and (folder.path / "study.json").is_file()):
        raise stop
    info = folder.info()
    runs = [folder.run(one["name"], seed) for one in info["variants"] for seed in info["seeds"]]
    done = sum((run.path / "run.json").is_file() and run.info()["status"] == "finished" for run in runs)
    progress.line(f"stopped after {done} of {len(runs)} runs; study.curves() shows them, study.resume() goes on")
    return folder


def _to_look_at(stop: Interrupted, progress: Progress) -> Path:
    """The folder of a run that was stopped in a notebook, with weights to predict by.

    Raises:
        Interrupted: elsewhere, or before its first epoch was done.
    """
    from striate.run.partial import with_weights

    folder = RunDir(stop.where)
    if not (in_notebook() and (folder.path / "run.json").is_file() and with_weights(folder)):
        raise stop
    done, planned = len(folder.history()), folder.info()["num_epochs"]
    progress.line(
        f"stopped after {done} of {planned} epochs; the run has the best weights so far, run.resume() goes on"
    )
    return folder.path


def train_run(dataset: Dataset, model: "Model", recipe: "Recipe", *, on_bad: str = "stop", **options: Any) -> RunDir:
    """Look at the data, train, and write the report."""
    from striate.report import report_run
    from striate.run.execute import train as carry_out
    from striate.run.network import require

    require(model)
    dataset, skipped = without_bad(dataset, on_bad, options.get("progress"))
    run = carry_out(dataset, model, recipe, **_with_path(options))
    if rank.rank() == 0:
        with reporting(run.path):
            write_skipped(run.path, skipped)
            report_run(run)
    return run


def _with_path(options: dict[str, Any]) -> dict[str, Any]:
    """The options with `out`, which may be text in Python, as a path."""
    return options | {"out": Path(options["out"])} if options.get("out") is not None else options


def resume(path: Path | str, **options: Any) -> RunDir | StudyDir:
    """Go on with a run or a study, and write its report."""
    from striate.report import report_run, report_runs, report_study

    path = Path(path)
    if kind_of(path) == "study":
        from striate.studies.execute import resume_study

        study = resume_study(path, **options)
        with reporting(study.path):
            report_runs(study, options.get("progress"))
            report_study(study)
        return study
    from striate.run.execute import resume as resume_run

    run = resume_run(path, **options)
    if rank.rank() == 0:
        with reporting(run.path):
            report_run(run)
    return run


def fork(path: Path | str, *, data: str | None = None, epochs: int | None = None, **options: Any) -> RunDir:
    """Start a new run with a run's network, recipe and seed on its data as they are now; see `train_run`.

    Args:
        epochs: for the new run, instead of the recipe's.
    """
    from striate.run.execute import open_again
    from striate.run.network import stored_blueprint
    from striate.run.recipe import Recipe

    run = RunDir(path)
    info = run.info()
    recipe = Recipe.parse(info["recipe"], run.path / "run.json")
    recipe = recipe.changed([f"train.epochs={epochs}"]) if epochs else recipe
    dataset, plan = open_again(run, data), stored_blueprint(info, run)
    name = info["recipe_name"].removesuffix(" changed") + " changed" if epochs else info["recipe_name"]
    same: dict[str, Any] = {"recipe_name": name, "seed": info["seed"], "target": info["task"]["target"]}
    return train_run(dataset, plan, recipe, **same, **{"overwrite": None, **options})


def study_ladder(
    where: str,
    opening: dict[str, Any],
    *,
    changes: list[str],
    seeds: int,
    folds: int | None,
    model: str | None = None,
    is_full: bool = False,
    weights: str | None = None,
    base: str = zoo.PRETRAINED,
    has_curve: bool = False,
    **options: Any,
) -> "StudyDir | list[str]":
    """Carry out the task's own study of a dataset, or the classic ladder, or the full one up to transfer.

    Args:
        model: the network of the ladder.
        has_curve: with a learning curve of the step with all regularization, or of the task's last one.
    """
    from striate.studies.plan import full_ladder, ladder, task_series, with_learning_curve

    first = model or zoo.DEFAULT  # made before any data are read, so that a mistake in a setting is said at once

    def exercise(network: str) -> "list[Variant]":
        return full_ladder(network, changes, weights=weights, base=base) if is_full else ladder(network, changes)

    usual = exercise(first)

    def variants(dataset: Dataset) -> "list[Variant]":
        task = _task_class(dataset, options.get("target"))
        own, form = usual, dataset.usual.form
        if task.steps or (model is None and not weights):
            own = task_series(task, changes, model=model, is_full=is_full, form=form, weights=weights, base=base)
        of = next((one.name for one in own if one.name == "regularized"), own[-1].name)
        return with_learning_curve(own, of, len(dataset.splits["train"])) if has_curve else own

    options.setdefault("name", f"study-{name_of(where)}")
    return _study(where, opening, variants, seeds=seeds, folds=folds, **options)


def study_file(
    path: Path, *, seeds: int | None = None, allow_empty: bool = False, **options: Any
) -> "StudyDir | list[str]":
    """Carry out a study file; `seeds` instead of its own number of them."""
    from striate.base.settings import read_toml
    from striate.studies.grid import plan_of
    from striate.studies.plan import read_plan

    table, variants = read_plan(path)
    if table.data is None or not table.data.strip():
        raise SettingsError("no data named", where=f"{path}: data", fix='add data = "FOLDER"')
    where = (
        table.data
        if table.data.startswith("toy:") or not (path.parent / table.data).exists()
        else str(path.parent / table.data)
    )
    options |= {
        "plan": plan_of(read_toml(path)),
        "seeds": seeds or table.seeds,
        "baseline": table.baseline,
        "target": table.target,
    }
    options.setdefault("name", path.stem)
    opening = table.options | ({"allow_empty": True} if allow_empty else {})
    return _study(where, opening, lambda _: variants, folds=table.folds, **options)


def _study(
    where: str,
    opening: dict[str, Any],
    variants: "Callable[[Dataset], list[Variant]]",
    *,
    folds: int | None,
    on_bad: str = "stop",
    dry_run: bool = False,
    **options: Any,
) -> "StudyDir | list[str]":
    from striate.report import report_runs, report_study
    from striate.studies.execute import study as carry_out
    from striate.studies.rehearse import rehearse
    from striate.task.table import options_of

    plans = [{**opening, "folds": folds, "fold": fold} for fold in range(folds)] if folds else [opening]
    found = [without_bad(open_dataset(where, **plan), on_bad, options.get("progress")) for plan in plans]
    datasets = [dataset for dataset, _ in found]
    compared = variants(datasets[0])
    task = _task_class(datasets[0], options.get("target"))
    for variant in compared:  # before a folder is begun that the mended study could not go on in
        options_of(task, variant.recipe.task, f"variant {variant.name}: ")
    if dry_run:
        return rehearse(datasets, compared, **options)
    result = carry_out(datasets, compared, **options)
    with reporting(result.path):
        write_skipped(result.path, found[0][1])
        report_runs(result, options.get("progress"))
        report_study(result)
    return result


def _task_class(dataset: Dataset, target: str | None) -> Any:
    from striate.task import task_class

    return task_class(dataset.targets, dataset.options.get("task"), target)
