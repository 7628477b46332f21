"""striate train, striate resume."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.base import rank
from striate.base.errors import SettingsError

from . import help as h
from . import options as o
from .place import OnCluster

if TYPE_CHECKING:
    from striate.base.rundir import RunDir, StudyDir


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(short_help="Train one network: a run folder with a report", rich_help_panel=h.LEARN)(train)
    app.command(short_help="Go on with what was stopped, or train it longer", rich_help_panel=h.LEARN)(resume)


@o.takes_groups
def train(
    data: o.Where,
    model: o.OwnModelName = None,
    without: o.Without = None,
    pool: o.Pool = None,
    recipe: o.RecipeOrUsual = None,
    weights: o.Weights = None,
    seed: o.Seed = 0,
    target: o.TargetName = None,
    task: o.TaskName = None,
    size: o.Size = None,
    fit: o.Fit = None,
    training: o.Training = o.Training(),
    set_: o.Set = None,
    name: o.Name = None,
    out: o.Out = None,
    overwrite: o.Overwrite = False,
    opening: o.Opening = o.Opening(),
    allow_empty: o.AllowEmpty = False,
    on_bad: o.OnBad = "stop",
    keep_checkpoints: o.KeepCheckpoints = False,
    tensorboard: o.Tensorboard = None,
    mlflow: o.Mlflow = None,
    device: o.Device = "auto",
    threads: o.Threads = None,
    processes: o.Processes = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Train one network: a run folder with best weights, scores, every prediction and a report.

    \b
    Examples:
      striate train birds/ --model bipyramid --recipe regularized --seed 0
      striate train toy:shapes --task regress --target angle
      striate train birds/ --model resnet20 --without skip
      striate train cifar10 --recipe fast-small
      striate train photos/ --task denoise --set task.noise=25
      striate train birds/ -m mobilenet_v2 --weights imagenet -r finetune
      striate train birds/ --size 128 --epochs 60 --lr 0.003 --name longer
      striate train birds/ --limit train=400,val=100,test=100
      striate train birds/ --processes 2
    """
    from striate.run.recipe import usual
    from striate.task import usual_task

    o.recipe_of(recipe or usual(task), set_, size, fit, weights, training)  # a mistake is said before data are read
    dataset = opening.open(data, target, task, allow_empty=allow_empty)
    task = task or usual_task(dataset.targets, target)
    recipe = recipe or usual(task, dataset.usual.form)
    settings = o.recipe_of(recipe, set_, size, fit, weights, training)
    o.use_threads(threads)
    from striate.api import train_run
    from striate.model.ablate import ablated_name

    run = train_run(
        dataset,
        ablated_name(settings.network_or(model, task, dataset.usual.form), without or (), pool),
        settings,
        recipe_name=o.recipe_title(recipe, set_, size, fit, training),
        seed=seed,
        target=target,
        name=name or "",
        out=out,
        overwrite=overwrite,
        device=device,
        on_bad=on_bad,
        keep_checkpoints=keep_checkpoints,
        processes=processes or 1,
        tensorboard=tensorboard,
        mlflow=mlflow,
        command=o.command_line(),
        progress=o.progress_for(quiet),
    )
    give_run(run, "train", as_json)


@o.takes_groups
def resume(
    folder: Annotated[Path, typer.Argument(metavar="RUN|STUDY|SEARCH", help="A run, study or search folder.")],
    data: Annotated[str | None, typer.Option(metavar="DATA", help="Where the data are now, if moved.")] = None,
    fork: Annotated[
        bool, typer.Option("--fork", help="Start a new run with a run's settings on its data as they are now.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(help="Train a run longer: how many epochs it is to have in all.", min=1, max=10**6)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the new run, with --fork.")] = None,
    place: OnCluster = OnCluster(),
    device: o.Device = "auto",
    threads: o.Threads = None,
    processes: o.Processes = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Go on with a run or study that Ctrl-C, a kill or a crash stopped; the result is as if it had never stopped.

    \b
    Examples:
      striate resume runs/001-bipyramid-regularized
      striate resume runs/002-study-birds
      striate resume runs/001-bipyramid-regularized --epochs 60
      striate resume runs/001-bipyramid-regularized --processes 2
      striate resume runs/001-bipyramid-regularized --fork
    """
    if out and not fork:
        raise SettingsError("a resumed run stays in its folder", where="--out", fix="leave it out, or use --fork")
    o.use_threads(threads)
    from striate import api
    from striate.base.folder import kind_of
    from striate.base.rundir import StudyDir

    options: dict[str, Any] = {"device": device, "progress": o.progress_for(quiet)}
    moved: dict[str, Any] = {"where": data} if data else {}
    longer: dict[str, Any] = {"epochs": epochs} if epochs else {}
    kind = kind_of(folder)
    if processes and kind != "run":
        what = f"runs of a {kind} have one process each"
        raise SettingsError(what, where="--processes", fix="leave --processes out")
    if longer and kind != "run":
        raise SettingsError(f"a {kind} keeps its number of epochs", where="--epochs", fix="leave --epochs out")
    if cluster := place.cluster():
        if kind == "run":
            raise SettingsError("a run goes on here; a study's runs go to a cluster", where="--on", fix="leave it out")
        options["on"] = cluster
    longer |= {"processes": processes} if processes else {}
    if kind == "search":
        from striate.search.execute import resume_search

        from .search import give_search

        give_search(resume_search(folder, **options, **moved), "resume", as_json)
        return
    if fork:
        options |= {"out": out, "command": o.command_line()}
        found: RunDir | StudyDir = api.fork(folder, data=data, **longer, **options)
    else:
        found = api.resume(folder, **options, **moved, **longer)
    if isinstance(found, StudyDir):
        give_study(found, "resume", as_json)
    else:
        give_run(found, "resume", as_json)


def give_run(run: "RunDir", command: str, as_json: bool) -> None:
    """Give a finished run as the result of a command; one of several processes does."""
    if rank.rank():
        return
    from striate.diagnose import narrate
    from striate.report.text import run_text

    info = run.info()
    summary: dict[str, Any] = {"command": command, "run": str(run.path), "status": info["status"]}
    summary |= {"result": info["result"], "scores": run.scores(), "report": str(run.report)}
    summary["remarks"] = [remark.to_json() for remark in narrate(run)]
    o.give(summary, run_text(run, shutil.get_terminal_size().columns), as_json)


def give_study(study: "StudyDir", command: str, as_json: bool) -> None:
    """Give a finished study as the result of a command."""
    from striate.verdict.verdict import render

    verdict = study.verdict() or {}
    text = f"{render(verdict, shutil.get_terminal_size().columns)}\n\nreport: {study.report}"
    summary = {"command": command, "study": str(study.path), "verdict": verdict, "report": str(study.report)}
    o.give(summary, text, as_json)
