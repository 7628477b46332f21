"""Train a run from nothing, or go on with one; both end in the same finished folder."""

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from torch import nn

from striate.base import device as devices
from striate.base import plugin
from striate.base.errors import DataError, DivergedError, ModelError
from striate.base.files import require_room, to_json, write_json
from striate.base.folder import named_folder, new_folder
from striate.base.lock import locked
from striate.base.memory import require_memory
from striate.base.progress import Progress, say
from striate.base.run_info import InputInfo, PrecisionInfo, RunInfo, TaskInfo
from striate.base.rundir import RunDir, resumable
from striate.base.text import plural, shown
from striate.data import open_dataset
from striate.data.channels import in_channels
from striate.data.open import absolute_path, options_again, where_again
from striate.data.sample import Dataset
from striate.engine import checkpoint
from striate.engine.interrupt import listen
from striate.model.walk import walk
from striate.task import from_json, usual_task
from striate.transfer.features import cut, has_head
from striate.transfer.rcnn import training_of
from striate.transfer.stages import stages
from striate.transfer.training import ProbeTraining, fit_linear_probe

from .finish import finish
from .geometry import training_scale
from .hold_out import with_val_trained
from .longer import as_begun, lengthened
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
    describe_dataset,
    is_same_data,
    prepare,
    restore_or_fork,
    restore_splits,
    split_ids,
)
from .recipe import Recipe, named
from .resolved import resolved
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
    command: str = "",
    progress: Progress | None = None,
) -> RunDir:
    """Train one network and return its run folder.

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
        command: written into the run, so that it can be typed again.

    Raises:
        UserError: see its subclasses; a folder that was there is never changed.
        Interrupted: Ctrl-C or SIGTERM; the state is saved and `resume` goes on.
    """
    progress = progress or Progress()
    recipe_name = recipe_name or (recipe if isinstance(recipe, str) else "custom")
    recipe = named(recipe) if isinstance(recipe, str) else recipe
    task = dataset.options.get("task") or usual_task(dataset.targets, target)
    model = recipe.network_or(model, task, dataset.usual.form)
    place = devices.pick(device)
    if prepared is None:
        dataset = with_val_trained(dataset, recipe.data.hold_out_from, progress)
    prepared = prepared or prepare(dataset, recipe, target=target, device=place, progress=progress, model=model)
    model = model_of(model, prepared)
    network, loaded = begin_network(model, prepared, seed, progress)
    require_batch(prepared, network)
    with told_of_memory(prepared, network):
        require_outputs(network, prepared, seed)
        refuse_single(network, prepared)
        network = devices.place(network, prepared.device)
        precision = precision or precision_of(network, prepared)
        refuse_misfits(prepared, network, precision["name"], seed)
    if prepared.device.type == "cpu":
        num_bytes, what = _state_bytes(network), f"weights, gradients and optimiser of {name_of(model)}"
        require_memory(num_bytes, what)
        if num_bytes > LARGE_BYTES:
            progress.line(f"{what} take about {num_bytes / 1e9:.1f} GB of memory")
    require_room(out or root, NUM_STATES * _state_bytes(network), "the checkpoints of a run")
    folder = (
        named_folder(out, overwrite=overwrite) if out else new_folder(root, name or f"{name_of(model)}-{recipe_name}")
    )
    info = _describe(prepared, network, model, recipe_name, seed, precision, command)
    info["name"] = name or info["name"]
    info["keep_checkpoints"] = keep_checkpoints
    for note in info["notes"]:
        progress.line(note)
    info["start"] = {"source": loaded.source, "text": loaded.summary} if loaded else None
    run = RunDir(folder)
    with locked(folder), resumable(run, _kept):
        write_json(folder / "split.json", split_ids(dataset))
        run.save_info(info)
        return _carry_out(run, prepared, network, info, None, is_test_open, progress)


def resume(
    path: Path,
    *,
    dataset: Dataset | None = None,
    where: str | None = None,
    model: nn.Module | None = None,
    epochs: int | None = None,
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

    Raises:
        SettingsError: it cannot have that many epochs.
        ModelError: every checkpoint is damaged, or the recipe or the dataset are not those of the run.
        Interrupted: stopped again.
    """
    progress, run = progress or Progress(), RunDir(path)
    from_json(run.info()["task"])  # refuses what is no run folder before a lock is left in it
    with locked(path), resumable(run, _kept):
        info = run.info()
        if info["status"] == "finished" and epochs is None:
            more = ", --epochs N trains it longer" if any(run.checkpoints.glob("step-*")) else ""
            progress.line(f"{path} is finished: nothing to do{more}")
            if not run.is_sealed:  # killed just before, edited by its owner, or of an earlier version
                run.seal()
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
        _refuse_changes(info, state, dataset, path)
        prepared = prepare(
            dataset, recipe, target=info["task"]["target"], task=info["task"]["name"], device=devices.pick(device),
            progress=progress, model=info["model"]["name"] if recipe.transfer.weights else None,
            network=info["model"]["name"],
        )  # fmt: skip
        make = start_network if state is None else build_network
        network = model or make(stored_blueprint(info, run), prepared, info["seed"])
        require_outputs(network, prepared, info["seed"])
        if state is not None:
            require_same_shapes(network, state.tensors["weights"], path)
        network = devices.place(network, prepared.device)
        return _carry_out(run, prepared, network, info, state, info.get("is_test_open", True), progress)


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
    if state is not None and (note := differences(state, prepared.device)):
        say(f"warning: {note}")
        info["notes"] = [*info.get("notes", []), note]
    run.save_info(info)
    if state is None:
        run.keep_epochs(0)  # those of an attempt that was stopped, or whose checkpoints are gone
    options: dict[str, Any] = {"precision": info["precision"]["name"], "progress": progress}
    try:
        with told_of_memory(prepared, network, run), listen() as interrupt:
            training: Training | ProbeTraining
            if prepared.recipe.transfer.head == "only":
                kind = training_of(prepared.task)
                training = kind(run, prepared, network, seed=info["seed"], **options)
            else:
                if prepared.recipe.transfer.head == "solved" and state is None and has_head(network):
                    fit_linear_probe(prepared, network, seed=info["seed"], **options)
                options |= {"fixed": fixed_of(info), "since": info.get("longer_since", 0)}
                training = Training(run, prepared, network, seed=info["seed"], **options)
            ended = training.train(interrupt, state)
        with told_of_memory(prepared, network, run):
            return finish(run.path, training, info, ended, is_test_open)
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


def refuse_misfits(prepared: Prepared, network: nn.Module, precision: str, seed: int) -> None:
    """Refuse settings that do not go with this network or these targets, before a folder is begun.

    Raises:
        SettingsError: a frozen row that is not there, Muon without filters, wrong labels for numbers, a head on maps.
    """
    if prepared.recipe.transfer.head == "only":
        cut(network, precision)
    else:
        for stage in stages(prepared.recipe.train, prepared.num_epochs):
            make_update(prepared, network, precision, stage, steps_per_epoch=1)
    training_data(prepared, seed)


def _notes(prepared: Prepared, network: nn.Module, model: Model) -> list[str]:
    """What is otherwise than the recipe says."""
    if prepared.recipe.transfer.head != "solved" or has_head(network):
        return []
    return [f"{name_of(model)} does not end in a linear layer: its head starts fresh, it is not solved"]


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
        raise ModelError(what, where=run.path, fix="resume it from Python with dataset=...")
    return open_dataset(where or where_again(info), **options_again(info, where))


def _refuse_changes(info: RunInfo, state: checkpoint.State | None, dataset: Dataset, path: Path) -> None:
    before, now = info["dataset"], describe_dataset(dataset, info["task"]["target"])
    pairs = [] if is_same_data(before, now) else [("dataset", before["fingerprint"][:12], now["fingerprint"][:12])]
    classes = before.get("classes", now["classes"])
    if classes != now["classes"]:
        pairs.append(("classes", ", ".join(classes), ", ".join(now["classes"])))
    then, now_fixed = (state.document, fixed_of(info)) if state else ({}, {})
    old = then.get("fixed") or {"recipe": then.get("recipe", info["recipe"])}  # which older checkpoints have
    if "longer_since" in info:
        old = as_begun(old, info)
    new = {name: now_fixed.get(name, info["recipe"]) for name in old}
    pairs += [(name.removeprefix("recipe."), shown(a, 60), shown(b, 60)) for name, a, b in _differences(old, new)]
    if pairs:
        width = max(len(name) for name, _, _ in pairs)
        table = tuple(f"  {name:<{width}}  run: {a}  now: {b}" for name, a, b in pairs)
        raise ModelError(
            f"{pairs[0][0]} changed since the run began",
            where=path,
            fix=restore_or_fork(path),
            details=table,
        )


def fixed_of(info: RunInfo) -> dict[str, Any]:
    """Return what must be the same for every part of a run, as its checkpoints hold it."""
    found = {name: info[name] for name in ("recipe", "seed", "task", "batch_size", "num_epochs", "input", "augment")}
    fixed = {**found, "precision": info["precision"]["name"], "blueprint": info["model"]["blueprint"]}
    return dict(json.loads(to_json({**fixed, "is_test_open": info.get("is_test_open", True)})))


def _differences(before: dict[str, Any], now: dict[str, Any], path: str = "") -> list[tuple[str, Any, Any]]:
    found = []
    for key in sorted(before.keys() | now.keys()):
        a, b = before.get(key), now.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += _differences(a, b, f"{path}{key}.")
        elif a != b:
            found.append((f"{path}{key}", a, b))
    return found


def _state_bytes(network: nn.Module) -> int:
    """About what a checkpoint takes: the weights, the best ones, two moments of the optimiser."""
    weights: int = sum(tensor.nbytes for tensor in network.state_dict().values())
    return 4 * weights


def _describe(
    prepared: Prepared,
    network: nn.Module,
    model: Model,
    recipe_name: str,
    seed: int,
    precision: PrecisionInfo,
    command: str,
) -> RunInfo:
    geometry, recipe, task = prepared.geometry, prepared.recipe, prepared.task
    plan = getattr(network, "blueprint", None)
    cost = walk(network, size_hw=geometry.size_hw, channels=geometry.channels) if plan is not None else None
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    info: RunInfo = {
        "name": f"{name_of(model)} {recipe_name}",
        "notes": _notes(prepared, network, model),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "status": "running",
        "dataset": describe_dataset(prepared.dataset, task.target),
        "task": cast(TaskInfo, task.to_json()),
        "recipe_name": recipe_name,
        "recipe": recipe.model_dump(mode="json"),
        "resolved": resolved(prepared, network, model, precision["name"]),
        "model": {
            "name": name_of(model),
            "parameters": cost.parameters if cost else num_parameters,
            "macs": cost.macs if cost else None,
            "depth": cost.depth if cost else None,
            "blueprint": plan.to_json() if plan is not None else None,
        },
        "input": _describe_input(prepared),
        "seed": seed,
        "batch_size": prepared.batch_size,
        "num_epochs": prepared.num_epochs,
        "augment": [op.model_dump(mode="json") for op in prepared.pipeline.ops],
        "versions": devices.versions(),
        "device": devices.describe(prepared.device),
        "precision": precision,
    }
    if plugins := plugin.described():
        info["plugins"] = plugins
    return info


def _describe_input(prepared: Prepared) -> InputInfo:
    geometry, scale = prepared.geometry.to_json(), training_scale(prepared.dataset, prepared.geometry)
    info = {**geometry, "mean": list(prepared.mean), "std": list(prepared.std), "scale": scale}
    return cast(InputInfo, info)
