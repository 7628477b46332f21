"""The blueprint that a name, a file or a run folder stands for."""

from pathlib import Path
from typing import Any

from striate.base.rundir import RunDir
from striate.data.geometry import Geometry
from striate.model.ablate import ablate, split_name
from striate.model.blueprint import Blueprint
from striate.model.zoo import blueprint
from striate.task import from_json

from .network import stored_blueprint


def load_blueprint(model: str, options: dict[str, Any]) -> tuple[Blueprint, dict[str, Any]]:
    """Return the blueprint of a zoo name, a TOML file or a run folder, and `size_hw`, channels and outputs it is for.

    Args:
        model: may end in "without PART" or "with KIND pooling", see `striate.model.ablate`.
        options: of a network of the zoo.
    """
    name, without, pool = split_name(model)
    if without or pool:
        whole, known = load_blueprint(name, options)
        return ablate(whole, without, pool), known
    if model.endswith(".toml"):
        plan = Blueprint.from_toml(model)
        return plan, _native(plan)
    if Path(model).is_dir():
        run = RunDir(model)
        info = run.info()
        known = {"size_hw": Geometry.from_json(info["input"]).size_hw, "channels": info["input"]["channels"]}
        return stored_blueprint(info, run), known | {"outputs": from_json(info["task"]).num_outputs}
    plan = blueprint(model, **options)
    return plan, _native(plan)


def _native(plan: Blueprint) -> dict[str, Any]:
    return {"size_hw": plan.native_hw, "channels": plan.native["channels"], "outputs": plan.native["outputs"]}
