"""Train a run from nothing, or go on with one; both end in the same finished folder."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from striate.base import device as devices
from striate.base import plugin
from striate.base.errors import DataError, DivergedError, LostError, ModelError, SettingsError
from striate.base.files import require_room, write_json
from striate.base.folder import named_folder, new_folder
from striate.base.lock import locked
from striate.base.memory import require_memory
from striate.base.processes import ALONE, Processes
from striate.base.progress import Progress, say
from striate.base.run_info import PrecisionInfo, RunInfo
from striate.base.rundir import RunDir, resumable
from striate.base.text import plural
from striate.data import open_dataset
from striate.data.channels import in_channels
from striate.data.open import absolute_path, options_again, where_again
from striate.data.sample import Dataset
from striate.engine import checkpoint
from striate.engine.interrupt import listen
from striate.engine.sync_norm import share_statistics
from striate.task import from_json, usual_task
from striate.transfer.features import cut, has_head
from striate.transfer.rcnn import training_of
from striate.transfer.regions import sees_regions
from striate.transfer.stages import stages
from striate.transfer.training import ProbeTraining, fit_linear_probe

from .changes import fixed_of, refuse_changes
from .describe import describe, state_bytes
from .finish import finish
from .hold_out import with_val_trained
from .launch import join_as, launch, progress_of, refuse_processes, refuse_unsent
from .longer import lengthened
from .memory import require_batch, told_of_memory
from .network import (
    Model,
    begin_network,
    build_network,
    model_of,
    name_of,
    refuse_single,
    start_network,
    stored_blueprint,
)
from .outputs import require_outputs, require_same_shapes
from .precision import precision_of
from .prepare import (
    Prepared,
    prepare,
    restore_or_fork,
    restore_splits,
    split_ids,
)
from .recipe import Recipe, named
from .track import tracked, trackers_of
from .training import Training, differences, make_update, training_data

LARGE_BYTES = 1 << 30  # from here on the memory is said before it is taken
NUM_STATES = 3  # checkpoints at once: two that are kept, one being written


def train(
    dataset: Dataset,
    model: Model | None = None,
    recipe: str | Recipe = "regularized",
    *,
    recipe_name: str = "",
    seed: int = 0,
    target: str | None = None,
    name: str = "",
    out: Path | None = None,
    root: Path = Path("runs"),
    overwrite: bool | None = False,
    device: str = "auto",
    prepared: Prepared | None = None,
    precision: PrecisionInfo | None = None,
    is_test_open: bool = True,
    keep_checkpoints: bool = False,
    processes: int = 1,
    tensorboard: Path | str | None = None,
    mlflow: str | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> RunDir:
    """Train one network and return its run folder.

    Under `torchrun` all processes train it together; the first one writes the folder.

    Args:
        dataset: images, targets and splits.
        model: a name of the zoo, a blueprint, or any module that maps (N, C, H, W) to (N, outputs); by default the
            network that the recipe is made for, else bipyramid.
        recipe: a named recipe or a recipe; `recipe_name` is how the run calls it.
        seed: of init, order, augmentation and dropout.
        target: the target to predict; by default the dataset's first.
        name: what the run is called, in lists, in its report and in `NNN-name`; by default network and recipe.
        out: the run folder; by default the next `NNN-name` below `root`.
        prepared, precision: taken over from another run of the same study.
        is_test_open: whether the test split is scored at the end; a study opens it later.
        keep_checkpoints: keep the resumable states when the run is finished, not the best weights only.
        processes: start so many on this machine and share each batch among them; see docs/cluster.md.
        tensorboard, mlflow: a folder, and the address of a tracking store, that show the run too; see `run.track`.
        command: written into the run, so that it can be typed again.

    Raises:
        UserError: see its subclasses; a folder that was there is never changed.
        Interrupted: Ctrl-C or SIGTERM; the state is saved and `resume` goes on.
    """
    group, track = join_as(processes), trackers_of(tensorboard, mlflow)
    progress = progress_of(group, progress)
    recipe_name = recipe_name or (recipe if isinstance(recipe, str) else "custom")
    recipe = named(recipe) if isinstance(recipe, str) else recipe
    task = dataset.options.get("task") or usual_task(dataset.targets, target)
    model = recipe.network_or(model, task, dataset.usual.form)
    place = group.place(devices.pick(device))
    if prepared is None:
        dataset = with_val_trained(dataset, recipe.data.hold_out_from, progress)
    prepared = prepared or prepare(
        dataset, recipe, target=target, device=place, progress=progress, model=model, processes=group
    )
    refuse_processes(max(processes, group.size), prepared)
    model = model_of(model, prepared)
    if processes > 1:
        refuse_unsent(dataset, model)
    network, loaded = begin_network(model, prepared, seed, progress)
    require_batch(prepared, network)
    with told_of_memory(prepared, network):
        require_outputs(network, prepared, seed)
        refuse_single(network, prepared)
        network = devices.place(network, prepared.device)
        precision = group.same(precision or precision_of(network, prepared))
        refuse_misfits(prepared, network, precision["name"], seed)
    if prepared.device.type == "cpu":
        num_bytes, what = state_bytes(network), f"weights, gradients and optimiser of {name_of(model)}"
        require_memory(num_bytes, what)
        if num_bytes > LARGE_BYTES:
            progress.line(f"{what} take about {num_bytes / 1e9:.1f} GB of memory")
    if not group.is_first:
        folder, info = group.same(None)
        return _follow(RunDir(folder), prepared, network, info, None)
    require_room(out or root, NUM_STATES * state_bytes(network), "the checkpoints of a run")
    folder = (
        named_folder(out, overwrite=overwrite) if out else new_folder(root, name or f"{name_of(model)}-{recipe_name}")
    )
    info = describe(prepared, network, model, recipe_name, seed, precision, command)
    info["name"] = name or info["name"]
    info |= {"keep_checkpoints": keep_checkpoints, "processes": max(processes, group.size), "track": track}
    for note in info["notes"]:
        progress.line(note)
    info["start"] = {"source": loaded.source, "text": loaded.summary} if loaded else None
    run = RunDir(folder)
    with locked(folder), resumable(run, _kept):
        write_json(folder / "split.json", split_ids(dataset))
        run.save_info({**info, "is_test_open": is_test_open})
        if processes == 1:
            group.same([str(folder), info])
            with tracked(run, track):
                return _carry_out(run, prepared, network, info, None, is_test_open, progress)
    launch(folder, processes, device=device, progress=progress)
    return run


def resume(
    path: Path,
    *,
    dataset: Dataset | None = None,
    where: str | None = None,
    model: nn.Module | None = None,
    epochs: int | None = None,
    processes: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> RunDir:
    """Go on with an interrupted run and return its folder; a finished one is left as it is, unless it gets more epochs.

    One that was stopped before its first checkpoint starts from the beginning, as it would have.

    Args:
        dataset: the run's dataset, when it cannot be opened again from what run.json says.
        where: the place of the run's data, when it is not the one run.json says any more.
        model: the run's network, when it was not made from a blueprint.
        epochs: how many it is to have in the end, if more than it began with; see `longer.lengthened`.
        processes: that go on with it on this machine; by default as many as it began with.

    Raises:
        SettingsError: it cannot have that many epochs.
        ModelError: every checkpoint is damaged, or the recipe or the dataset are not those of the run.
        Interrupted: stopped again.
    """
    group, run = join_as(processes or 1), RunDir(path)
    progress = progress_of(group, progress)
    info = run.info()
    from_json(info["task"])  # refuses what is no run folder before a lock is left in it
    is_done = info["status"] == "finished" and epochs is None
    own = dataset is not None or model is not None
    num = processes or (1 if own else info.get("processes", 1))
    if group.size == 1 and num > 1 and not is_done:
        launch(path, num, device=device, where=where, epochs=epochs, progress=progress)
        return run
    if not group.is_first:
        info = group.same(None)
        if info is None:
            return run
        state = checkpoint.load(run.checkpoints) if any(run.checkpoints.glob("step-*")) else None
        prepared, network = _again(run, info, state, reopen(run, dataset, where), model, device, progress, group)
        return _follow(run, prepared, network, info, state)
    with locked(path), resumable(run, _kept):
        info = run.info()
        if is_done:
            more = ", --epochs N trains it longer" if any(run.checkpoints.glob("step-*")) else ""
            progress.line(f"{path} is finished: nothing to do{more}")
            if not run.is_sealed:  # killed just before, edited by its owner, or of an earlier version
                run.seal()
            group.same(None)
            return run
        is_begun = any(run.checkpoints.glob("step-*"))
        state = checkpoint.load(run.checkpoints) if is_begun else None
        if epochs is not None:
            info = lengthened(run, info, state, epochs)
            progress.line(info["notes"][-1])
        for change in plugin.changes(info.get("plugins", [])):
            say(f"warning: {change} since the run began; the result may differ")
        recipe = Recipe.parse(info["recipe"], path / "run.json")
        if state is None and recipe.transfer.head != "only" and (lost := len(run.history())):
            say(f"warning: no checkpoint is left of {plural(lost, 'epoch')}; training starts from the beginning")
        dataset = reopen(run, dataset, where)
        if where:
            info["dataset"] |= {"where": where, "path": absolute_path(where)}
        info["processes"] = group.size
        refuse_changes(info, state, dataset, path)
        prepared, network = _again(run, info, state, dataset, model, device, progress, group)
        group.same(info)
        with tracked(run, info.get("track", {})):
            return _carry_out(run, prepared, network, info, state, info.get("is_test_open", True), progress)


def _again(
    run: RunDir, info: RunInfo, state: checkpoint.State | None, dataset: Dataset, model: nn.Module | None, device: str,
    progress: Progress, group: Processes,
) -> tuple[Prepared, nn.Module]:  # fmt: skip
    """What a run that was begun goes on with."""
    recipe = Recipe.parse(info["recipe"], run.path / "run.json")
    prepared = prepare(
        dataset, recipe, target=info["task"]["target"], task=info["task"]["name"],
        device=group.place(devices.pick(device)), progress=progress, processes=group, network=info["model"]["name"],
        model=info["model"]["name"] if recipe.transfer.weights else None,
    )  # fmt: skip
    refuse_processes(group.size, prepared)
    make = start_network if state is None else build_network
    network = model or make(stored_blueprint(info, run), prepared, info["seed"])
    require_outputs(network, prepared, info["seed"])
    if state is not None:
        require_same_shapes(network, state.tensors["weights"], run.path)
    return prepared, devices.place(network, prepared.device)


def _carry_out(
    run: RunDir,
    prepared: Prepared,
    network: nn.Module,
    info: RunInfo,
    state: checkpoint.State | None,
    is_test_open: bool,
    progress: Progress,
) -> RunDir:
    info = {**info, "status": "running", "is_test_open": is_test_open}
    if state is not None and (note := differences(state, prepared)):
        say(f"warning: {note}")
        info["notes"] = [*info.get("notes", []), note]
    run.save_info(info)
    if state is None:
        run.keep_epochs(0)  # those of an attempt that was stopped, or whose checkpoints are gone
    try:
        training, ended = _train(run, prepared, network, info, state, progress)
        with told_of_memory(prepared, network, run), prepared.processes.alone():
            training.prepared = replace(prepared, processes=ALONE)
            finish(run.path, training, info, ended, is_test_open)
        prepared.processes.wait()
        return run
    except LostError:
        run.save_info({**info, "status": "interrupted"})
        raise
    except DataError as problem:  # images that could be read when the run began
        run.save_info({**info, "status": "interrupted"})
        if not any(run.checkpoints.glob("step-*")):
            raise
        fix = f"restore it, then striate resume {shlex.quote(str(run.path))}"
        what = f"{problem.what}; the state is saved"
        raise DataError(what, where=problem.where, fix=fix, details=problem.details) from problem
    except DivergedError as problem:
        run.save_info({**info, "status": "diverged"})
        raise DivergedError(problem.what, where=run.path, fix=problem.fix) from None


def _follow(
    run: RunDir, prepared: Prepared, network: nn.Module, info: RunInfo, state: checkpoint.State | None
) -> RunDir:
    """Train with the first process, which writes the folder, and wait until it has."""
    _train(run, prepared, network, info, state, Progress("quiet"))
    prepared.processes.wait()
    return run


def _train(
    run: RunDir, prepared: Prepared, network: nn.Module, info: RunInfo, state: checkpoint.State | None,
    progress: Progress,
) -> tuple[Training | ProbeTraining, str]:  # fmt: skip
    """Train to the end, and return how that came."""
    options: dict[str, Any] = {"precision": info["precision"]["name"], "progress": progress}
    processes, command = prepared.processes, shlex.join(["striate", "resume", str(run.path), *plugin.typed()])
    with (
        told_of_memory(prepared, network, run),
        listen(processes) as interrupt,
        processes.together(run.path, command),
    ):
        training: Training | ProbeTraining
        if prepared.recipe.transfer.head == "only":
            kind = training_of(prepared.task)
            training = kind(run, prepared, network, seed=info["seed"], **options)
        else:
            if prepared.recipe.transfer.head == "solved" and state is None and has_head(network) and processes.is_first:
                fit_linear_probe(prepared, network, seed=info["seed"], **options)
            if prepared.recipe.train.sync_norm and processes.size > 1:
                share_statistics(network)
            options |= {"fixed": fixed_of(info), "since": info.get("longer_since", 0)}
            training = Training(run, prepared, network, seed=info["seed"], **options)
        return training, training.train(interrupt, state)


def refuse_misfits(prepared: Prepared, network: nn.Module, precision: str, seed: int) -> None:
    """Refuse settings that do not go with this network or these targets, before a folder is begun.

    Raises:
        SettingsError: a frozen row that is not there, Muon without filters, wrong labels for numbers, a head on maps or
            solved for boxes or points.
    """
    target = prepared.dataset.target(prepared.task.target)
    is_solved = prepared.recipe.transfer.head in {"only", "solved"} and has_head(network)
    if is_solved and target.is_ragged and not sees_regions(prepared.task):
        what = f"a head is solved for one answer an image, not for {target.noun[1]}"
        raise SettingsError(what, where="transfer.head", fix="use --recipe frozen, or --set transfer.head=fresh")
    if prepared.recipe.transfer.head == "only":
        cut(network, precision)
    else:
        for stage in stages(prepared.recipe.train, prepared.num_epochs):
            make_update(prepared, network, precision, stage, steps_per_epoch=1)
    training_data(prepared, seed)


def _kept(said: str) -> str:
    return said or "stopped at once; the last saved state is kept"


def reopen(run: RunDir, dataset: Dataset | None = None, where: str | None = None) -> Dataset:
    """Return the run's dataset with the run's splits, opened again from what run.json says unless it is given."""
    dataset = in_channels(dataset or open_again(run, where), run.info()["dataset"]["channels"])
    return restore_splits(dataset, run.splits(), restore_or_fork(run.path))


def open_again(run: RunDir, where: str | None = None) -> Dataset:
    """Return the run's dataset as it is now, opened with the run's options: from `where`, or where it was.

    Raises:
        ModelError: the data never had a place.
        DataError: they are not there any more.
    """
    info = run.info()["dataset"]
    if not info["where"]:
        what = "the run's data came from Python, not from a path"
        raise ModelError(what, where=run.path, fix="give run.resume, evaluate or export the dataset")
    return open_dataset(where or where_again(info), **options_again(info, where))
