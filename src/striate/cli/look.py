"""striate report, striate evaluate, striate predict."""

from pathlib import Path
from typing import Annotated

import typer

from striate.base.errors import SettingsError
from striate.base.text import shown

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
    from striate.base.rundir import RunDir, StudyDir, kind_of
    from striate.report import report_run, report_study

    is_run = kind_of(folder) == "run"
    path = report_run(RunDir(folder)) if is_run else report_study(StudyDir(folder))
    o.give({"command": "report", "report": str(path)}, str(path), as_json)


def evaluate(
    run: o.RunPath,
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="Another dataset; by default the run's own.")
    ] = None,
    split: Annotated[str, typer.Option(help="The split to score: train, val, test or all.")] = "test",
    device: o.Device = "auto",
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Score a run on its own test split, or on another dataset with the same classes.

    Another dataset's scores and its row for every image are written to RUN/evaluations/NAME.
    """
    o.use_threads(threads)
    from striate.api import score_text
    from striate.run.evaluate import evaluate_run

    found = evaluate_run(run, data, split=split, device=device, progress=o.progress_for(quiet))
    task = found.pop("task")
    rows = [f"{name:<18} {value:.4f}" for name, value in found["scores"].items() if isinstance(value, float)]
    lines = [
        f"{split}.{task['monitor']} {score_text(found['scores'], task['monitor'])}",
        *rows,
        f"every image: {found['predictions']}",
    ]
    o.give({"command": "evaluate", "run": str(run), **found}, "\n".join(lines), as_json)


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN|imagenet:NAME", help="A run folder, or a published network.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Picture files, or folders of them.")],
    top: Annotated[int, typer.Option(help="Classes to show for each picture.", min=1)] = 3,
    weights: Annotated[
        Path | None, typer.Option(help="With imagenet:NAME, a weights file instead of a download.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="How those weights want their pictures, e.g. torchvision.")] = None,
    threads: o.Threads = None,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Say what is in pictures: class and probabilities, or numbers.

    \b
    Examples:
      striate predict runs/001-bipyramid-regularized new/*.jpg
      striate predict imagenet:mobilenet_v2 photo.jpg
    """
    o.use_threads(threads)
    from striate.data.sources.walk import Walk
    from striate.predict import Predictor, pretrained

    is_published = run.startswith(pretrained.PREFIX)
    if (weights or preset) and not is_published:
        raise SettingsError("--weights and --preset go with imagenet:NAME", where=run, fix="leave them out")
    folders = {path: [path / name for name in Walk(path).files(path)] for path in images if path.is_dir()}
    files = [file for path in images for file in folders.get(path, [path])]
    predictor = pretrained.load(run, weights, preset=preset) if is_published else Predictor.load(run)
    found = predictor(files)
    lines = []
    for one in found:
        if one.probabilities is None:
            says = ", ".join(f"{name} {value:.4g}" for name, value in zip(one.names, one.values, strict=True))
        else:
            best = sorted(one.probabilities.items(), key=lambda item: -item[1])[:top]
            says = ", ".join(f"{name} {value:.3f}" for name, value in best)
        lines.append(f"{shown(one.id)}: {says}")
    o.give({"command": "predict", "predictions": [one.to_json() for one in found]}, "\n".join(lines), as_json)
