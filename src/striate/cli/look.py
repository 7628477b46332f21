"""striate report, striate evaluate."""

from pathlib import Path
from typing import Annotated, Any

import typer

from striate.base.columns import fitted, terminal_width
from striate.base.errors import SettingsError
from striate.base.progress import Progress
from striate.base.text import plural, shown

from . import help as h
from . import options as o


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(short_help="Write the report of a run or study again", rich_help_panel=h.USE)(report)
    app.command(short_help="Score a run on its test images or on other data", rich_help_panel=h.USE)(evaluate)


def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN|STUDY", help="A run or study folder.")],
    notebook: Annotated[
        Path | None, typer.Option(metavar="FILE.ipynb", help="Write a study as a notebook that computes its numbers.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing notebook.")] = False,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Write the report again: one HTML file that opens from disk; or a study as a notebook to hand in.

    The notebook shows as code what was done, and computes the study's numbers from its folder. It is for studies of
    classes, tags, numbers, boxes and masks.

    \b
    Examples:
      striate report runs/001-bipyramid-regularized
      striate report runs/002-study-birds
      striate report runs/002-study-birds --notebook homework.ipynb
    """
    from striate.base.folder import kind_of
    from striate.base.rundir import RunDir, StudyDir
    from striate.report import report_run, report_runs, report_study

    is_run = kind_of(folder) == "run"
    if notebook is not None:
        from striate.report.homework import write_notebook

        if is_run:
            raise SettingsError("a notebook is of a study, and this is a run", where=folder, fix="name a study folder")
        made = write_notebook(StudyDir(folder), notebook, overwrite=overwrite)
        o.give({"command": "report", "notebook": str(made)}, str(made), as_json)
        return
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
    adversarial: Annotated[
        bool, typer.Option("--adversarial", help="Under attack: FGSM and PGD change each image by at most --eps.")
    ] = False,
    eps: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="Of attacks, in levels 0..1 or of 255 (4: 4/255); by default 1,2,4,8 of 255."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Of PGD; by default 10.", min=1, max=1000)] = None,
    images: Annotated[
        int | None, typer.Option(help="Images to attack, evenly spread; by default 500, 0 for all.", min=0)
    ] = None,
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
      striate evaluate runs/001-bipyramid-regularized --adversarial --eps 4
      striate evaluate runs/002-study-birds --ensemble
    """
    if other is not None and data is not None:
        raise SettingsError("--data is the place of the run's own data", where=other, fix="leave one of the two out")
    seen = "--tta" if tta else "--views"
    modes = {"--ensemble": ensemble, "--calibrate": calibrate, seen: tta or views != 1}
    _refuse_mixed(other, {**modes, "--adversarial": adversarial}, variant)
    settings = {"eps": eps, "steps": steps, "images": images}
    if not adversarial:
        _refuse_settings(settings)
    o.use_threads(threads)
    if ensemble:
        document, text = _ensemble(run, variant, split or "test")
    elif adversarial:
        from . import attack

        document, text = attack.show(run, other, settings, data, split, device, o.progress_for(quiet))
    elif calibrate:
        document, text = _calibrate(run, data, device, o.progress_for(quiet))
    else:
        document, text = _scores(run, other, data, split, 6 if tta else views, device, o.progress_for(quiet))
    o.give({"command": "evaluate", **document}, text, as_json)


def _refuse_mixed(data: str | None, modes: dict[str, bool], variant: str | None) -> None:
    chosen = [name for name, is_on in modes.items() if is_on]
    if len(chosen) > 1:
        raise SettingsError(f"{' and '.join(chosen)} do not go together", where=chosen[1], fix="leave one out")
    if data is not None and chosen and not {*chosen} <= {"--tta", "--views", "--adversarial"}:
        raise SettingsError(f"{chosen[0]} is of the run's own data", where=data, fix="leave DATA out")
    if variant is not None and chosen != ["--ensemble"]:
        raise SettingsError("a variant is one of an ensemble's", where="--variant", fix="add --ensemble")


def _refuse_settings(of_attacks: dict[str, Any]) -> None:
    for name, value in of_attacks.items():
        if value is not None:
            raise SettingsError(f"--{name} is of attacks", where=f"--{name}", fix="add --adversarial, or leave it out")


def _scores(
    run: Path, other: str | None, data: str | None, split: str | None, views: int, device: str, progress: Progress
) -> tuple[dict[str, Any], str]:
    from striate.data.check.finding import listed
    from striate.report.text import score_text
    from striate.run.evaluate import evaluate_run

    found = evaluate_run(run, other, data=data, split=split, views=views, device=device, progress=progress)
    task = found.pop("task")
    rows = [f"{name:<18} {_number(value)}" for name, value in found["scores"].items() if _is_score(value)]
    absent = [row["name"] for row in found["scores"].get("per_class", ()) if 0 in map(row.get, AMOUNTS)]
    own = found["scores"].get("own_size")
    lines = [
        f"{found['split']}.{task['monitor']} {score_text(found['scores'], task['monitor'])}",
        *([f"mean of {views} views of each image"] if views > 1 else []),
        *rows,
        *([_own_text(own, task["monitor"])] if own else []),
        *([_dice_text(dice)] if (dice := found["scores"].get("image_dice")) else []),
        *([f"n/a: {plural(len(absent), 'class', 'classes')} without images ({listed(absent)})"] if absent else []),
    ]
    return {"run": str(run), **found}, "\n".join(
        [*map(progress.noun.put, lines), f"every {progress.noun.one}: {found['predictions']}"]
    )


MAX_CLASSES = 12  # in a line
AMOUNTS = ("support", "pixels", "objects")  # of a class in a split, as its task counts them


def _dice_text(dice: dict[str, float | None]) -> str:
    """A line with the Dice of each class."""
    parts = [f"{shown(name, 30)} {_number(value)}" for name, value in dice.items()]
    return f"Dice, mean over images: {', '.join(parts[:MAX_CLASSES])}{', ...' if len(parts) > MAX_CLASSES else ''}"


def _own_text(scores: dict[str, Any], monitor: str) -> str:
    """A line on scores in the images' own pixels, and on what the network did not see of them."""
    from striate.report.text import score_text

    cut = 1 - scores["seen"]
    loss = f"; {cut:.1%} of the pixels are cut away and count as wrong, data.fit=squash keeps them" if cut else ""
    return f"in the images' own pixels: {monitor} {score_text(scores, monitor)}{loss}"


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
    return {"run": str(run), **found}, "\n".join(map(progress.noun.put, lines))


def _ensemble(study: Path, variant: str | None, split: str) -> tuple[dict[str, Any], str]:
    from striate.base.rundir import StudyDir
    from striate.run.evaluate import ensemble_study

    found = ensemble_study(StudyDir(study), variant=variant, split=split)
    metric, rows = found["metric"], found["rows"]
    cells = [("ensemble of", "runs", "val", split, "95 % interval", "one run", "gain")]
    for row in rows:
        interval = row["scores"]["intervals"].get(metric)
        scores = (_number(row["val"]), _number(row["scores"][metric]), _span(interval), _number(row["single"]))
        gain = f"{row['gain']:+.4f} ({_span(row['gain_interval'])})"
        cells.append((row["name"], str(row["num_runs"]), *scores, gain))
    lines = [f"{found['combined']} of the runs; {metric}", *fitted(cells, {0}, terminal_width(), drop=(2, 5, 4))]
    lines.append(f"best on validation: {found['best']}; gain: better than the mean of its single runs is positive")
    return {"study": str(study), **found}, "\n".join(lines)


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"


def _span(interval: list[float] | None) -> str:
    return "n/a" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
