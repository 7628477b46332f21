"""What run.json says of a run: data, task, recipe, network, machine."""

from datetime import UTC, datetime
from typing import cast

from torch import nn

from striate.base import device as devices
from striate.base import plugin
from striate.base.run_info import InputInfo, PrecisionInfo, RunInfo, TaskInfo
from striate.model.walk import walk
from striate.transfer.features import has_head

from .geometry import training_scale
from .network import Model, name_of
from .prepare import Prepared, describe_dataset
from .resolved import resolved


def describe(
    prepared: Prepared,
    network: nn.Module,
    model: Model,
    recipe_name: str,
    seed: int,
    precision: PrecisionInfo,
    command: str,
) -> RunInfo:
    """Return what run.json says of a run that begins."""
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


def _notes(prepared: Prepared, network: nn.Module, model: Model) -> list[str]:
    """What is otherwise than the recipe says."""
    if prepared.recipe.transfer.head != "solved" or has_head(network):
        return []
    return [f"{name_of(model)} does not end in a linear layer: its head starts fresh, it is not solved"]


def state_bytes(network: nn.Module) -> int:
    """About what a checkpoint takes: the weights, the best ones, two moments of the optimiser."""
    weights: int = sum(tensor.nbytes for tensor in network.state_dict().values())
    return 4 * weights
