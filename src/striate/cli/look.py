"""striate report, striate evaluate, striate predict."""

from pathlib import Path
from typing import Annotated, Any

import typer

from striate.base.choose import choose
from striate.base.errors import DataError, SettingsError, combined
from striate.base.progress import Progress, say
from striate.base.text import plural, shown

from . import options as o


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(report)
    app.command()(evaluate)
    app.command()(predict)


def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN|STUDY", help="A run or study folder.")],
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Write the report again: one HTML file that opens from disk."""
    from striate.base.folder import kind_of
    from striate.base.rundir import RunDir, StudyDir
    from striate.report import report_run, report_runs, report_study

    is_run = kind_of(folder) == "run"
    if not is_run:
        report_runs(StudyDir(folder))
    path = report_run(RunDir(folder)) if is_run else report_study(StudyDir(folder))
    o.give({"command": "report", "report": str(path)}, str(path), as_json)


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN|STUDY", help="A run folder; with --ensemble a study folder.")],
    other: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="Another dataset; by default the run's own.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="Where the run's own data are now, if moved.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="train, val, test or all; by default test, and all of another dataset without test images."),
    ] = None,
    views: Annotated[
        int, typer.Option(help="Ways to see each image, averaged: 2 with its mirror image, up to 10 also moved.")
    ] = 1,
    tta: Annotated[bool, typer.Option("--tta", help="Test-time augmentation: --views 6.")] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Fit a temperature on the validation split, for `striate predict`.")
    ] = False,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="The runs of each variant of a study as one network.")
    ] = False,
    variant: Annotated[str | None, typer.Option(metavar="NAME", help="With --ensemble, only this variant.")] = None,
    device: o.Device = "auto",
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Score a run on its own test split, or on other data: a folder or table with some or all of its classes.

    Scores and a row for every image are written to a folder of these data in RUN/evaluations.

    \b
    Examples:
      striate evaluate runs/001-bipyramid-regularized
      striate evaluate runs/001-bipyramid-regularized newer-birds/
      striate evaluate runs/001-bipyramid-regularized --tta
      striate evaluate runs/001-bipyramid-regularized --calibrate
      striate evaluate runs/002-study-birds --ensemble
    """
    if other is not None and data is not None:
        raise SettingsError("--data is the place of the run's own data", where=other, fix="leave one of the two out")
    _refuse_mixed(other, {"--ensemble": ensemble, "--calibrate": calibrate, "--views": tta or views != 1}, variant)
    o.use_threads(threads)
    if ensemble:
        document, text = _ensemble(run, variant, split or "test")
    elif calibrate:
        document, text = _calibrate(run, data, device, o.progress_for(quiet))
    else:
        document, text = _scores(run, other, data, split, 6 if tta else views, device, o.progress_for(quiet))
    o.give({"command": "evaluate", **document}, text, as_json)


def _refuse_mixed(data: str | None, modes: dict[str, bool], variant: str | None) -> None:
    chosen = [name for name, is_on in modes.items() if is_on]
    if len(chosen) > 1:
        raise SettingsError(f"{' and '.join(chosen)} do not go together", where=chosen[1], fix="leave one out")
    if data is not None and chosen and chosen != ["--views"]:
        raise SettingsError(f"{chosen[0]} is of the run's own data", where=data, fix="leave DATA out")
    if variant is not None and chosen != ["--ensemble"]:
        raise SettingsError("a variant is one of an ensemble's", where="--variant", fix="add --ensemble")


def _scores(
    run: Path, other: str | None, data: str | None, split: str | None, views: int, device: str, progress: Progress
) -> tuple[dict[str, Any], str]:
    from striate.api import score_text
    from striate.data.check.finding import listed
    from striate.run.evaluate import evaluate_run

    found = evaluate_run(run, other, data=data, split=split, views=views, device=device, progress=progress)
    task = found.pop("task")
    rows = [f"{name:<18} {_number(value)}" for name, value in found["scores"].items() if _is_score(value)]
    absent = [row["name"] for row in found["scores"].get("per_class", ()) if not row["support"]]
    lines = [
        f"{found['split']}.{task['monitor']} {score_text(found['scores'], task['monitor'])}",
        *([f"mean probability of {views} views of each image"] if views > 1 else []),
        *rows,
        *([f"n/a: {plural(len(absent), 'class', 'classes')} without images ({listed(absent)})"] if absent else []),
        f"every image: {found['predictions']}",
    ]
    return {"run": str(run), **found}, "\n".join(lines)


def _is_score(value: object) -> bool:
    """Whether a value is a score, or None for one that is not defined."""
    return value is None or isinstance(value, float)


def _calibrate(run: Path, data: str | None, device: str, progress: Progress) -> tuple[dict[str, Any], str]:
    from striate.run.evaluate import calibrate_run

    found = calibrate_run(run, data=data, device=device, progress=progress)
    lines = [f"temperature {found['temperature']:.3f}, fitted on {found['splits']['val']['num_images']:,} val images"]
    for name, row in found["splits"].items():
        for what, title in (("ece", "calibration error"), ("loss", "loss")):
            lines.append(f"{name:<5} {title:<18} {row['before'][what]:.4f} -> {row['after'][what]:.4f}")
    lines.append(f"`striate predict {run}` uses it from now on: {run / 'calibration.json'}")
    return {"run": str(run), **found}, "\n".join(lines)


def _ensemble(study: Path, variant: str | None, split: str) -> tuple[dict[str, Any], str]:
    from striate.base.rundir import StudyDir
    from striate.run.evaluate import ensemble_study

    found = ensemble_study(StudyDir(study), variant=variant, split=split)
    metric, rows = found["metric"], found["rows"]
    width = max(len("ensemble of"), *(len(row["name"]) for row in rows))
    heading = f"{'ensemble of':<{width}}  runs  {'val':>8}  {split:>8}  {'95 % interval':>18}  {'one run':>8}  gain"
    lines = [f"{found['combined']} of the runs; {metric}", heading]
    for row in rows:
        interval = row["scores"]["intervals"].get(metric)
        cells = (_number(row["val"]), _number(row["scores"][metric]), _span(interval), _number(row["single"]))
        gain = f"{row['gain']:+.4f} ({_span(row['gain_interval'])})"
        lines.append(
            f"{row['name']:<{width}}  {row['num_runs']:>4}  {cells[0]:>8}  {cells[1]:>8}  {cells[2]:>18}  "
            f"{cells[3]:>8}  {gain}"
        )
    lines.append(f"best on validation: {found['best']}; gain: better than the mean of its single runs is positive")
    return {"study": str(study), **found}, "\n".join(lines)


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"


def _span(interval: list[float] | None) -> str:
    return "n/a" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"


def _with_images(given: list[Path], folders: dict[Path, list[Path]]) -> list[Path]:
    """Return the files to look at; a folder that adds none is a warning, and an error where there are none at all."""
    files = [file for path in given for file in folders.get(path, [path])]
    for empty in (path for path, found in folders.items() if not found):
        if not files:
            raise DataError("no images found", where=empty, fix="name images, or a folder that holds some")
        say(f"warning: no images found: {shown(empty)}")
    return files


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN|imagenet:NAME", help="A run folder, or a published network.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files, or folders of them.")],
    top: Annotated[int, typer.Option(help="Classes to show for each image.", min=1, max=1_000_000)] = 3,
    weights: Annotated[
        Path | None, typer.Option(help="With imagenet:NAME, a weights file instead of a download.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="How those weights want their images, e.g. torchvision.")] = None,
    on_bad: o.OnBad = "stop",
    threads: o.Threads = None,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Say what is in images: class and probabilities, or numbers.

    A run that `striate evaluate --calibrate` has seen gives calibrated probabilities.

    \b
    Examples:
      striate predict runs/001-bipyramid-regularized new/*.jpg
      striate predict imagenet:mobilenet_v2 photo.jpg
    """
    o.use_threads(threads)
    from striate.data.sources.walk import Walk
    from striate.predict import Predictor, pretrained

    choose("policy", on_bad, dict.fromkeys(("stop", "skip")))
    is_published = run.startswith(pretrained.PREFIX)
    if (weights or preset) and not is_published:
        raise SettingsError("--weights and --preset go with imagenet:NAME", where=run, fix="leave them out")
    walks = {path: Walk(path) for path in images if path.is_dir()}
    folders = {path: [path / name for name in walk.images()] for path, walk in walks.items()}
    for missed in (missed for walk in walks.values() for missed in walk.left_out() if missed.is_serious):
        say(f"warning: {missed.text}")
    files = _with_images(images, folders)
    predictor = pretrained.load(run, weights, preset=preset) if is_published else Predictor.load(run)
    bad: list[DataError] = []
    doubtful: list[DataError] = []
    found, temperature = predictor(files, bad, doubtful), predictor.temperature
    if bad and on_bad == "stop":
        raise combined(bad)
    if temperature != 1 and not as_json:
        say(f"calibrated probabilities: temperature {temperature:.3f}, from {Path(run) / 'calibration.json'}")
    lines = [f"{shown(one.id)}: {one.line(top)}" for one in found]
    for problem in doubtful:
        say(f"warning: {problem}")
    for problem in bad:
        say(f"skipped: {problem}")
    document = {"command": "predict", "temperature": temperature, "predictions": [one.to_json() for one in found]}
    document["doubtful"] = [{"id": str(problem.where), "text": problem.what} for problem in doubtful]
    document["skipped"] = [problem.where for problem in bad]
    o.give(document, "\n".join(lines), as_json)
