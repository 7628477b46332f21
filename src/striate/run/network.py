"""The network of a run: new from a name, or again from its folder."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from striate.base.errors import DataError, ModelError, SettingsError
from striate.base.progress import Progress
from striate.base.run_info import RunInfo
from striate.base.rundir import RunDir
from striate.base.seeds import seed_for
from striate.engine.regularise import modules_in_eval_mode
from striate.model.ablate import ablate, ablated_name, split_name
from striate.model.blueprint import Blueprint, Row
from striate.model.build import DoesNotFit, build
from striate.model.init import start_at
from striate.model.network import Network
from striate.model.weights import Loaded
from striate.model.zoo import blueprint, options
from striate.nn.blocks.whiten import Whiten
from striate.predict.weights import load_weights
from striate.task import Vector
from striate.task.detect.readings import READINGS

from .prepare import Prepared
from .start import trained_name

Model = str | Blueprint | nn.Module  # a text may end in "without PART" and "with KIND pooling", see `model.ablate`
FIT_IMAGES = 2_000  # that a whitening layer is made from
HIDDEN = "head_hidden"  # the row that a recipe puts before the last one

__all__ = [
    "Model",
    "ablated_name",
    "begin_network",
    "build_network",
    "is_file",
    "model_of",
    "name_of",
    "network_of",
    "require",
    "start_network",
    "stored_blueprint",
]


def build_network(model: Model, prepared: Prepared, seed: int, progress: Progress | None = None) -> nn.Module:
    """Return the network for the task, initialised from `seed`; a module is taken as it is.

    Options of the recipe that the named network does not have are left out, and said so.

    Raises:
        SettingsError: the network cannot work on the size that was asked for, is a blueprint that cannot be, or ends
            in something else than the task's outputs.
        DataError: a network of the zoo cannot work on the images' own size, and none was asked for.
    """
    if isinstance(model, nn.Module):
        return model
    size_hw, hidden = prepared.geometry.size_hw, prepared.recipe.transfer.hidden
    wanted = prepared.recipe.model.options() | (dict(prepared.start.options) if prepared.start else {})
    wanted |= {"scale": prepared.task.scale} if prepared.task.scale > 1 else {}
    plan = model if isinstance(model, Blueprint) else _plan(model, wanted, min(size_hw), progress)
    plan = with_hidden(plan, hidden) if hidden and HIDDEN not in plan.names else plan
    shape: dict[str, Any] = {"channels": prepared.geometry.channels, "size_hw": size_hw}
    head = prepared.task.head
    try:
        plan = head.extended(plan, **shape)
        network = build(plan, outputs=head.outputs, seed=seed_for(seed, "init"), **shape)
        if isinstance(head, Vector):
            _require_vector(network, prepared)
        if prepared.task.prior:
            start_at(network, prepared.task.prior)
        return network
    except DoesNotFit as problem:
        is_own = isinstance(model, Blueprint) or is_file(model)
        if prepared.recipe.data.size is not None or is_own:
            raise
        what = f"images of {prepared.geometry.text} px are too small for {plan.name}"
        raise DataError(what, where=prepared.dataset.where, fix=problem.fix) from problem


def _require_vector(network: Network, prepared: Prepared) -> None:
    task, name, last = prepared.task, network.blueprint.name, network.blueprint.names[-1]
    outputs, shape = task.head.outputs, network.shapes[last]
    if shape != (outputs,) and name in READINGS:
        what = f"{name} finds objects, a network of the task detect; these data are for {task.name} ({task.target})"
        raise SettingsError(what, where=prepared.dataset.where, fix="give data with boxes, or another --model")
    if shape != (outputs,):
        what = f"the last row gives {'x'.join(map(str, shape))} an image, the task takes {outputs}"
        fix = "end in the rows global_pool and linear, the last without a width"
        raise SettingsError(what, where=f"{network.blueprint.name}: {last}", fix=fix)


def model_of(model: Model, prepared: Prepared) -> Model:
    """Return the network of the run that the weights come from, where they come from one; else the one asked for.

    It is the one asked for, too, where the run's network is its encoder.
    """
    run = prepared.start.blueprint if prepared.start else None
    is_encoder = run is not None and name_of(model) != run.name == trained_name(prepared.recipe, model)
    return model if run is None or is_encoder else run


def start_network(model: Model, prepared: Prepared, seed: int, progress: Progress | None = None) -> nn.Module:
    """Return the network like `build_network`, with the weights that the recipe starts from; see `begin_network`."""
    return begin_network(model, prepared, seed, progress)[0]


def begin_network(
    model: Model, prepared: Prepared, seed: int, progress: Progress | None = None
) -> tuple[nn.Module, Loaded | None]:
    """Return the network with the weights that the recipe starts from, and what went where, which is said too.

    Raises:
        ModelError: the weights cannot be had, or are another network's.
    """
    network, start = build_network(model, prepared, seed, progress), prepared.start
    if start is None:
        _fit_to_images(network, prepared)
        return network, None
    if not isinstance(network, Network):
        raise ModelError("weights go into networks of rows", fix="load them into the module before it is trained")
    plan, reason = _plan_of_weights(network, model, prepared)
    bare = (
        build(plan, channels=network.channels, outputs=network.outputs, size_hw=network.size_hw) if reason else network
    )
    loaded = start.fill(bare, prepared.task, reason)
    if bare is not network:
        last = f"rows.{bare.blueprint.names[-1]}."
        state = {name: value for name, value in bare.state_dict().items() if not name.startswith(last)}
        network.load_state_dict({name: state[name] for name in network.state_dict() if name in state}, strict=False)
    if progress is not None:
        progress.line(f"weights from {loaded.source}: {loaded.summary}")
    return network, loaded


def _plan_of_weights(network: Network, model: Model, prepared: Prepared) -> tuple[Blueprint, str]:
    """The network that the weights are of, and why its head is new where the task's network has another one."""
    start = prepared.start.blueprint if prepared.start else None
    ours = network.blueprint
    if HIDDEN in ours.names and not (start is not None and HIDDEN in start.names):
        rows = tuple(row for row in ours.rows if row.name != HIDDEN)
        return replace(ours, rows=rows), "the head is new: a hidden layer feeds it"
    if isinstance(prepared.task.head, Vector):
        return ours, ""
    wanted = prepared.recipe.model.options() | (dict(prepared.start.options) if prepared.start else {})
    assert not isinstance(model, nn.Module)
    plan = model if isinstance(model, Blueprint) else _plan(model, wanted, network.size_hw[0], None)
    return (ours, "") if plan == ours else (plan, "the head is new: a decoder takes its place")


def refuse_single(network: nn.Module, prepared: Prepared) -> None:
    """Refuse batches of one image for a network whose batch norm would then see one number a channel.

    Raises:
        SettingsError: such a batch would come, which has no variance.
    """
    num, settings = min(prepared.batch_size, len(prepared.dataset.splits["train"])), prepared.recipe.train
    if num > 1 or prepared.recipe.transfer.head == "only":
        return
    probe = deepcopy(network).train()
    for module in modules_in_eval_mode(probe, settings.frozen_at_last, has_fixed_norms=settings.freeze_norm):
        module.eval()
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            probe(torch.zeros(1, prepared.geometry.channels, *prepared.geometry.size_hw))
    except ValueError as problem:
        if "more than 1 value per channel" not in str(problem):
            raise
        raise SettingsError(
            "batch norm cannot learn from one number a channel, which one image in a batch gives this network",
            where="train.batch_size",
            fix="give it 2 or more images a step, or --set model.norm=group",
        ) from problem


def _fit_to_images(network: nn.Module, prepared: Prepared) -> None:
    """Let the first rows that are made from the training images look at some of these, spread evenly."""
    rows = [module for module in network.modules() if isinstance(module, Whiten)]
    if rows:
        train = prepared.dataset.splits["train"]
        places = np.unique(np.linspace(0, len(train) - 1, FIT_IMAGES).astype(int))
        loader = prepared.loader("train", indices=train[places])
        images = torch.cat([batch.images for batch in loader.batches(0)])
        for row in rows:
            row.fit(images)


def with_hidden(plan: Blueprint, width: int) -> Blueprint:
    """Return the blueprint with a hidden layer before its last row.

    Raises:
        SettingsError: the last row is not linear.
    """
    if plan.rows[-1].block != "linear":
        what = f"{plan.name} does not end in a linear layer"
        raise SettingsError(what, where="transfer.hidden", fix="leave it at 0")
    row = Row("linear", width, options={"norm": "none", "activation": "relu"}, name=HIDDEN)
    return replace(plan, rows=(*plan.rows[:-1], row, plan.rows[-1]))


def _plan(model: str, wanted: dict[str, Any], size: int, progress: Progress | None) -> Blueprint:
    name, without, pool = split_name(model)
    return ablate(_whole(name, wanted, size, progress), without, pool)


def _whole(name: str, wanted: dict[str, Any], size: int, progress: Progress | None) -> Blueprint:
    if name.endswith(".toml"):
        return Blueprint.from_toml(name)
    known = options(name)
    wanted = _with_encoder(wanted, known)
    left_out = [option for option in wanted if option not in known]
    if left_out and progress is not None:
        progress.line(f"{name} has no option {', '.join(left_out)}: left out")
    wanted = {"size": size, **wanted}
    return blueprint(name, **{option: value for option, value in wanted.items() if option in known})


def _with_encoder(wanted: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """The options with those that a network has none for among its encoder's, such as the padding its weights need."""
    encoder = wanted.get("encoder") or known.get("encoder")
    if not isinstance(encoder, str):
        return wanted
    own = {key: value for key, value in wanted.items() if key not in known and key in options(encoder)}
    rest = {key: value for key, value in wanted.items() if key not in own}
    return {**rest, "encoder": {"name": encoder, **own}} if own else rest


def network_of(run: RunDir, prepared: Prepared, module: nn.Module | None = None) -> nn.Module:
    """Return a finished run's network with its weights, on the run's device."""
    network = module or build_network(stored_blueprint(run.info(), run), prepared, 0)
    load_weights(network, run)
    return network.to(prepared.device)


def stored_blueprint(info: RunInfo, run: RunDir) -> Blueprint:
    """Return the blueprint in run.json.

    Raises:
        ModelError: the run was made from a module of the user's own.
    """
    if info["model"]["blueprint"] is None:
        raise ModelError(
            "the run's network was a module of the user's own", where=run.path, fix="use Python and hand the module in"
        )
    plan, train = Blueprint.from_json(info["model"]["blueprint"]), info.get("resolved", {}).get("train", {})
    if "aux_weight" in info["model"]["blueprint"] or not train.get("aux_weight"):
        return plan
    return replace(plan, aux_weight=float(train["aux_weight"]))  # older runs say it among their settings only


def name_of(model: Model) -> str:
    """Return what a run calls the network."""
    if isinstance(model, str):
        name, without, pool = split_name(model)
        return ablated_name(name.rsplit("/", 1)[-1].removesuffix(".toml"), without, pool)
    return model.name if isinstance(model, Blueprint) else type(model).__name__


def is_file(model: str) -> bool:
    """Return whether a network's text names a blueprint file, not a network of the zoo."""
    return split_name(model)[0].endswith(".toml")


def require(model: Model) -> None:
    """Refuse what is no network, before any data are read."""
    if isinstance(model, str):
        name, without, pool = split_name(model)
        ablated_name(name, without)  # refuses unknown parts
        others = [part for part in without if part != "norm"]  # which the recipe may bring
        ablate(_whole(name, {}, 64, None), others, pool)
    elif not isinstance(model, Blueprint | nn.Module):
        raise SettingsError(f"{type(model).__name__} is not a network", fix="give a name, a Blueprint or an nn.Module")
