"""striate demo."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from striate.base.choose import choose

from . import help as h
from . import options as o
from .train import give_study


@dataclass(frozen=True)
class Demo:
    """A small study of built-in images: how they are opened, settings of all variants, runs of each."""

    images: str
    opening: dict[str, Any]
    settings: tuple[str, ...]
    seeds: int = 3


DEMOS = {
    "classify": Demo("toy:shapes?n=1200", {}, ("train.epochs=10", "train.patience=0")),
    "segment": Demo(
        "toy:shapes?n=400&size=32&clutter=0&noise=0.02",
        {"task": "segment"},
        ("train.epochs=9", "train.patience=0", "train.lr=0.01", "model.depth=4"),
        seeds=2,
    ),
    "localise": Demo(
        "toy:shapes?n=600&size=48&clutter=4",
        {"task": "localise"},
        ("train.epochs=10", "train.patience=0"),
        seeds=2,
    ),
    "restore": Demo(
        "toy:shapes?n=400&size=48&noise=0",
        {"task": "superresolve"},
        ("train.epochs=14", "train.patience=0", "model.width=8", "model.depth=2", "model.activation=gelu"),
        seeds=2,
    ),
    "series": Demo("toy:order", {}, ("train.epochs=12",), seeds=2),
}


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(short_help="A study of built-in images or series, in two minutes", rich_help_panel=h.START)(demo)


def demo(
    what: Annotated[
        str, typer.Argument(metavar="[classify|segment|localise|restore|series]", help="What the networks predict.")
    ] = "classify",
    seeds: Annotated[int | None, typer.Option(help="Runs a variant.", min=1, max=1000)] = None,
    out: o.Out = None,
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Run a study on built-in images (drawn shapes) or series, and write its verdict and report. About two minutes.

    \b
    Examples:
      striate demo
      striate demo segment
      striate demo localise
      striate demo restore
      striate demo series
    """
    chosen = choose("demo", what, DEMOS)
    o.use_threads(threads)
    from striate.api import study_ladder
    from striate.base.rundir import StudyDir

    found = study_ladder(
        chosen.images,
        chosen.opening,
        changes=list(chosen.settings),
        seeds=seeds or chosen.seeds,
        folds=None,
        out=out,
        command=o.command_line(),
        progress=o.progress_for(quiet),
    )
    assert isinstance(found, StudyDir)  # no dry run was asked for
    give_study(found, "demo", as_json)
