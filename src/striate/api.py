"""The verbs in Python: open, train, study, predict, report. The command line calls these too."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.base.errors import SettingsError
from striate.base.folder import kind_of
from striate.base.rundir import RunDir, StudyDir
from striate.data import open_dataset
from striate.data.check.skip import without_bad, write_skipped
from striate.data.open import name_of
from striate.data.sample import Dataset
from striate.model import zoo
from striate.model.blueprint import Blueprint
from striate.run.inside import Inside

if TYPE_CHECKING:
    from torch import nn

    from striate.data.given import Given
    from striate.export.bundle import Exported
    from striate.predict.prediction import Prediction
    from striate.predict.predictor import Tiles
    from striate.report.explained import ExplainedImage
    from striate.run.recipe import Recipe
    from striate.studies.plan import Variant

    Model = str | Blueprint | nn.Module


class Run(Inside):
    """A finished run: its scores, its history, predictions on new images, its report.

    Example:
        >>> run = train(open_dataset("birds/"), "bipyramid", seed=0)        # doctest: +SKIP
        >>> run.scores["test"]["accuracy"], run.predict(["robin.jpg"])      # doctest: +SKIP
    """

    def __init__(self, folder: RunDir | Path | str) -> None:
        self.folder = folder if isinstance(folder, RunDir) else RunDir(folder)
        self.info = self.folder.info()

    def __repr__(self) -> str:
        from striate.report.text import facts_text, safe_text

        return safe_text(self.folder, facts_text)

    def __str__(self) -> str:
        from striate.report.text import run_text, safe_text

        return safe_text(self.folder, run_text)

    def _repr_html_(self) -> str:
        from striate.report.card import run_card

        return run_card(self.folder)

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def scores(self) -> dict[str, Any]:
        """The scores of each evaluated split."""
        return self.folder.scores()

    @property
    def history(self) -> list[dict[str, Any]]:
        """One document an epoch."""
        return self.folder.history()

    def predict(
        self,
        pictures: "Given | Iterable[Given]",
        network: "nn.Module | None" = None,
        *,
        tiles: "Tiles | None" = None,
    ) -> "list[Prediction]":
        """Return a prediction for each image: a path, an (H, W, C) array, a tensor, a Pillow image, or many of them.

        Args:
            tiles: cut large images into tiles at this scale, or at that of training ("auto"), see `Predictor`.
        """
        from striate.predict import Predictor

        return Predictor.load(self.folder, network)(pictures, tiles=tiles)

    def explain(
        self,
        image: "Given",
        *,
        methods: Sequence[str] = (),
        target: str | None = None,
        network: "nn.Module | None" = None,
        sanity: bool = False,
    ) -> "ExplainedImage":
        """Return which pixels the answer to an image hangs on: maps as arrays, and a figure.

        Args:
            methods: gradient, smoothgrad, integrated, gradcam, occlusion; by default all of them.
            target: the class, tag or field to explain; by default what the network says.
            sanity: whether to look what random weights make of the map.
        """
        from striate.predict import Predictor
        from striate.report.explained import explain_image

        predictor = Predictor.load(self.folder, network)
        return explain_image(predictor, image, methods=methods, target=target, has_sanity=sanity)

    def export(
        self, to: str = "onnx", *, out: Path | str | None = None, data: str | None = None,
        network: "nn.Module | None" = None, progress: Any = None, **options: bool,
    ) -> "Exported":  # fmt: skip
        """Write the network for other programs, checked on images of the run; see `striate.export.export`.

        Args:
            out: the folder to make; by default RUN/exports/TO.
            data: where the run's own data are now, if moved.
        """
        from striate.export import export
        from striate.run.images import stored_images

        stored = stored_images(self.folder, data=data, network=network, progress=progress)
        folder = Path(out) if out is not None else self.path / "exports" / to
        return export(self.folder, stored, to, folder, network=network, **options)

    def report(self) -> Path:
        """Write the report and return its path."""
        from striate.report import report_run

        return report_run(self.folder)


class Study:
    """A finished study: its verdict, its runs, its report."""

    def __init__(self, folder: StudyDir | Path | str) -> None:
        self.folder = folder if isinstance(folder, StudyDir) else StudyDir(folder)
        self.info = self.folder.info()

    def __repr__(self) -> str:
        with contextlib.suppress(Exception):
            return self.verdict or f"Study({str(self.path)!r}: not finished)"
        return f"Study({str(self.path)!r}: its verdict cannot be read)"

    def _repr_html_(self) -> str:
        from striate.report.card import study_card

        return study_card(self.folder)

    @property
    def path(self) -> Path:
        """The study folder."""
        return self.folder.path

    @property
    def verdict(self) -> str:
        """The verdict as text; empty while the study is not finished."""
        from striate.verdict.verdict import render

        found = self.folder.verdict()
        return render(found) if found else ""

    def run(self, variant: str, seed: int = 0, fold: int = 0) -> Run:
        """Return one of its runs; `fold` counts in a study over folds only."""
        return Run(self.folder.run(variant, seed, fold if self.info["folds"] else None))

    def report(self) -> Path:
        """Write the report and return its path."""
        from striate.report import report_runs, report_study

        report_runs(self.folder)
        return report_study(self.folder)


def train(
    data: Dataset | str | Path, model: "Model | None" = None, recipe: "str | Recipe | None" = None, **options: Any
) -> Run:
    """Train one network; writes the report too.

    Args:
        recipe: by default what `striate train` takes: "regularized", of series "series", of restoration "restore", of
            detection "detect".
        options: `epochs`, `lr`, `batch_size`, `augment`, `optimiser` and `patience` change the recipe; for the others
            see `striate.run.execute.train`.

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
    return Run(train_run(dataset, network, settings, recipe_name=name, **options))


def study(
    data: Dataset | str | Path, variants: "Sequence[Variant] | None" = None, *, seeds: int = 3, **options: Any
) -> Study:
    """Compare variants (by default the task's own, else the ladder) and decide; writes the report too.

    Args:
        options: `epochs`, `lr`, `batch_size`, `augment`, `optimiser` and `patience` change the recipe of every
            variant; for the others see `striate.studies.execute.study`.

    Raises:
        SettingsError: no such option; it names the nearest.
    """
    from striate.run.keywords import recipe_changes
    from striate.studies.execute import study as carry_out
    from striate.studies.plan import task_series

    pairs = recipe_changes(options, carry_out)
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    variants = variants or task_series(_task_class(dataset, options.get("target")), form=dataset.usual.form)
    variants = [replace(one, recipe=one.recipe.with_values(pairs)) for one in variants]
    dataset, _ = without_bad(dataset, options.pop("on_bad", "stop"), options.get("progress"))
    found = Study(carry_out([dataset], variants, seeds=seeds, **_with_path(options)))
    found.report()
    return found


def train_run(dataset: Dataset, model: "Model", recipe: "Recipe", *, on_bad: str = "stop", **options: Any) -> RunDir:
    """Look at the data, train, and write the report."""
    from striate.report import report_run
    from striate.run.execute import train as carry_out
    from striate.run.network import require

    require(model)
    dataset, skipped = without_bad(dataset, on_bad, options.get("progress"))
    run = carry_out(dataset, model, recipe, **_with_path(options))
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
        report_runs(study, options.get("progress"))
        report_study(study)
        return study
    from striate.run.execute import resume as resume_run

    run = resume_run(path, **options)
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
    write_skipped(result.path, found[0][1])
    report_runs(result, options.get("progress"))
    report_study(result)
    return result


def _task_class(dataset: Dataset, target: str | None) -> Any:
    from striate.task import task_class

    return task_class(dataset.targets, dataset.options.get("task"), target)
