"""striate study."""

from pathlib import Path
from typing import Annotated, Any

import typer

from striate.base.errors import SettingsError
from striate.base.progress import say

from . import help as h
from . import options as o
from .place import OnCluster
from .train import give_study

BESIDE_A_FILE = {
    "data",
    "seeds",
    "out",
    "name",
    "allow_empty",
    "on_bad",
    "keep_checkpoints",
    "tensorboard",
    "mlflow",
    "parallel",
    "on",
    "cpus_per_run",
    "gpus_per_run",
    "prune",
    "drop_hopeless",
    "device",
    "threads",
    "as_json",
    "quiet",
    "debug",
    "dry_run",
}


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(short_help="Compare variants over seeds, with a verdict", rich_help_panel=h.LEARN)(study)


@o.takes_groups
def study(
    context: typer.Context,
    data: Annotated[str, typer.Argument(metavar="DATA|FILE.toml", help="A dataset, or a study file.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="A network's name (see `striate models`) or a .toml blueprint.")
    ] = None,
    ladder: Annotated[
        bool, typer.Option("--ladder", help="The whole ladder: also a small residual network, and transfer.")
    ] = False,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Also train on 25 and 50 % of the images: would more of them help?")
    ] = False,
    weights: o.Weights = None,
    base: Annotated[
        str | None, typer.Option(metavar="NAME", help="The network that --weights are of; by default a small one.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs a variant.", min=1, max=1000)] = 3,
    folds: Annotated[int | None, typer.Option(help="Cross-validation over this many folds.", min=2, max=100)] = None,
    target: o.TargetName = None,
    task: o.TaskName = None,
    size: o.Size = None,
    fit: o.Fit = None,
    training: o.Training = o.Training(),
    set_: o.Set = None,
    name: o.Name = None,
    out: o.Out = None,
    opening: o.Opening = o.Opening(),
    allow_empty: o.AllowEmpty = False,
    on_bad: o.OnBad = "stop",
    keep_checkpoints: o.KeepCheckpoints = False,
    tensorboard: o.Tensorboard = None,
    mlflow: o.Mlflow = None,
    parallel: Annotated[
        str,
        typer.Option(metavar="N|auto", help="Runs at once, each a process with one thread; auto: 2 where faster."),
    ] = "1",
    place: OnCluster = OnCluster(),
    prune: Annotated[
        bool, typer.Option("--prune", help="After two seeds, give up variants clearly worse on validation.")
    ] = False,
    drop_hopeless: Annotated[bool, typer.Option("--drop-hopeless", hidden=True, help="Old name of --prune.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Train nothing: say what it would take, and what it could find.")
    ] = False,
    device: o.Device = "auto",
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Compare variants over several seeds on one split, and give a verdict with intervals.

    Without a study file: an MLP to beat, then the network alone, with augmentation, and with all regularization. Of
    masks (`--task segment`): strided convolutions, unpooling to positions, nearest-neighbour unpooling, and U-Net;
    with `--ladder` also U-Net with regularization. Of boxes (`--task detect`): Fast R-CNN, Faster R-CNN and one look,
    with `--weights` R-CNN too, with `--ladder` five more.

    \b
    Examples:
      striate study birds/ --seeds 3
      striate study birds/ --limit train=2000,val=1000,test=1000 --epochs 20
      striate study birds/ --ladder --weights imagenet --base mobilenet_v2
      striate study birds/ --learning-curve
      striate study pets/ --task segment --epochs 30
      striate study cells/ --task detect --weights imagenet --size 320
      striate study variants.toml --seeds 5
      striate study variants.toml --on ray://head:10001 --cpus-per-run 2
    """
    if weights and not ladder and not _starts_from_weights(task):
        raise SettingsError("weights are for the steps of transfer", where="--weights", fix="add --ladder")
    if drop_hopeless:
        say("note: --drop-hopeless is called --prune now")
    from striate.api import study_file, study_ladder
    from striate.model import zoo

    changes = o.assignments(set_, size, fit, tuning=training)
    shared: dict[str, Any] = {
        "out": out,
        **({"name": name} if name else {}),
        "device": device,
        "parallel": parallel,
        "on": place.cluster(),
        "prune": prune or drop_hopeless,
        "on_bad": on_bad,
        "dry_run": dry_run,
        "keep_checkpoints": keep_checkpoints,
        "tensorboard": tensorboard,
        "mlflow": mlflow,
        "command": o.command_line(),
        "progress": o.progress_for(quiet),
    }
    words = opening.words(target, task, allow_empty=allow_empty)
    o.use_threads(threads)
    if data.endswith(".toml"):
        _refuse_beside_a_file(context, data)
        found = study_file(
            Path(data), seeds=seeds if o.is_typed(context, "seeds") else None, allow_empty=allow_empty, **shared
        )
    else:
        steps: dict[str, Any] = {"is_full": ladder, "weights": weights, "base": base or zoo.PRETRAINED}
        steps["has_curve"] = learning_curve
        plan: dict[str, Any] = {
            "model": model,
            "changes": changes,
            "seeds": seeds,
            "folds": folds,
            "target": target,
        }
        found = study_ladder(data, words, **steps, **plan, **shared)
    if isinstance(found, list):
        o.give({"command": "study", "plan": found}, "\n".join(found), as_json)
    else:
        give_study(found, "study", as_json)


def _starts_from_weights(task: str | None) -> bool:
    """Whether the steps that a study of a task always has start from weights."""
    from striate.studies.plan import takes_weights
    from striate.task import TASKS

    return task in TASKS and takes_weights(TASKS[task], is_full=False)


def _refuse_beside_a_file(context: typer.Context, file: str) -> None:
    if option := o.first_typed(context, besides=BESIDE_A_FILE):
        fix = "give variants num_train = ..." if option == "--learning-curve" else "write it into the file"
        raise SettingsError(f"{option} does not go with a study file", where=file, fix=fix)
