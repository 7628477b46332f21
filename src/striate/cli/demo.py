"""striate demo."""

import typer

from . import options as o
from .train import give_study

SETTINGS = ("train.epochs=10", "train.patience=0")
IMAGES = "toy:shapes?n=1200"


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(demo)


def demo(
    seeds: int = typer.Option(3, help="Runs a variant.", min=1, max=1000),
    out: o.Out = None,
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Run a study on built-in images (drawn shapes), and write its verdict and report. About two minutes."""
    o.use_threads(threads)
    from striate.api import study_ladder
    from striate.base.rundir import StudyDir
    from striate.model import zoo

    found = study_ladder(
        IMAGES,
        {},
        model=zoo.DEFAULT,
        changes=list(SETTINGS),
        seeds=seeds,
        folds=None,
        out=out,
        command=o.command_line(),
        progress=o.progress_for(quiet),
    )
    assert isinstance(found, StudyDir)  # no dry run was asked for
    give_study(found, "demo", as_json)
