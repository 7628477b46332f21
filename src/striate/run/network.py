"""The network of a run: new from a name, or again from its folder."""

from typing import Any

from torch import nn

from striate.base.errors import DataError, ModelError, SettingsError
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.base.seeds import seed_for
from striate.model.blueprint import Blueprint
from striate.model.build import DoesNotFit, build
from striate.model.zoo import blueprint, options
from striate.predict.predictor import load_weights

from .prepare import Prepared

Model = str | Blueprint | nn.Module


def build_network(model: Model, prepared: Prepared, seed: int, progress: Progress | None = None) -> nn.Module:
    """Return the network for the task, initialised from `seed`; a module is taken as it is.

    Options of the recipe that the named network does not have are left out, and said so.

    Raises:
        SettingsError: the network cannot work on the size that was asked for, or is a blueprint that cannot be.
        DataError: a network of the zoo cannot work on the pictures' own size, and none was asked for.
    """
    if isinstance(model, nn.Module):
        return model
    size = prepared.geometry.size_px
    plan = model if isinstance(model, Blueprint) else _plan(model, prepared.recipe.model.options(), size, progress)
    channels, outputs = prepared.geometry.channels, prepared.task.num_outputs
    try:
        return build(plan, channels=channels, outputs=outputs, size_hw=(size, size), seed=seed_for(seed, "init"))
    except DoesNotFit as problem:
        if prepared.recipe.data.size is not None or isinstance(model, Blueprint) or model.endswith(".toml"):
            raise
        what = f"pictures of {size} px are too small for {plan.name}"
        raise DataError(what, where=prepared.dataset.where, fix=problem.fix) from problem


def _plan(name: str, wanted: dict[str, Any], size: int, progress: Progress | None) -> Blueprint:
    if name.endswith(".toml"):
        return Blueprint.from_toml(name)
    known = options(name)
    left_out = [option for option in wanted if option not in known]
    if left_out and progress is not None:
        progress.line(f"{name} has no option {', '.join(left_out)}: left out")
    wanted = {"size": size, **wanted}
    return blueprint(name, **{option: value for option, value in wanted.items() if option in known})


def network_of(run: RunDir, prepared: Prepared, module: nn.Module | None = None) -> nn.Module:
    """Return a finished run's network with its weights, on the run's device."""
    network = module or build_network(stored_blueprint(run.info(), run), prepared, 0)
    load_weights(network, run)
    return network.to(prepared.device)


def stored_blueprint(info: dict[str, Any], run: RunDir) -> Blueprint:
    """Return the blueprint in run.json.

    Raises:
        ModelError: the run was made from a module of the user's own.
    """
    if info["model"]["blueprint"] is None:
        raise ModelError(
            "the run's network was a module of the user's own", where=run.path, fix="use Python and hand the module in"
        )
    return Blueprint.from_json(info["model"]["blueprint"])


def name_of(model: Model) -> str:
    """Return what a run calls the network."""
    if isinstance(model, str):
        return model.rsplit("/", 1)[-1].removesuffix(".toml")
    return model.name if isinstance(model, Blueprint) else type(model).__name__


def require(model: Model) -> None:
    """Refuse what is no network, before any data are read."""
    if isinstance(model, str):
        _plan(model, {}, 64, None)
    elif not isinstance(model, Blueprint | nn.Module):
        raise SettingsError(f"{type(model).__name__} is not a network", fix="give a name, a Blueprint or an nn.Module")
