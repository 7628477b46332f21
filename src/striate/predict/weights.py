"""The network of a finished run, its weights and its temperature, read from the run's folder."""

import math

from torch import nn
from torch.nn.parameter import is_lazy

from striate.base.documents import read_json
from striate.base.errors import ModelError
from striate.base.files import sha256
from striate.base.run_info import RunInfo
from striate.base.rundir import RunDir
from striate.base.tensors import read_tensors
from striate.data.geometry import Geometry
from striate.model.blueprint import Blueprint
from striate.model.build import build
from striate.model.state import load_state, plain_names, state_of, without_prefixes
from striate.task import Task


def network_of(run: RunDir, info: RunInfo, task: Task, geometry: Geometry) -> nn.Module:
    """Return a run's network without its weights.

    Raises:
        ModelError: it was a module of the user's own.
    """
    plan = info["model"]["blueprint"]
    if plan is None:
        what = "the run's network was a module of the user's own"
        raise ModelError(what, where=run.path, fix="use Python and hand the module in")
    return build(
        Blueprint.from_json(plan), channels=geometry.channels, outputs=task.num_outputs, size_hw=geometry.size_hw
    )


def temperature_of(run: RunDir) -> float:
    """Return the temperature in a run's calibration.json, 1 without that file.

    Raises:
        ModelError: the file is broken, or belongs to other weights.
    """
    path = run.checked("calibration.json")
    if not path.exists():
        return 1.0
    found = read_json(path, "calibration")
    value = found.get("temperature") if isinstance(found, dict) else None
    again = f"repeat `striate evaluate {run.path} --calibrate`"
    if not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise ModelError("not a calibration", where=path, fix=again)
    if found.get("weights") != sha256(run.weights):
        raise ModelError("the temperature was fitted to other weights", where=path, fix=again)
    return float(value)


def load_weights(network: nn.Module, run: RunDir) -> None:
    """Load a run's weights into its network.

    Raises:
        ModelError: a tensor is missing, unknown or of another shape, or the file was damaged.
    """
    tensors, wanted = without_prefixes(read_tensors(run.checked(run.weights.name))), state_of(network)
    known, fix = {*plain_names(network).values()}, "restore run.json and weights from one run"
    if odd := (tensors.keys() - known) | (wanted.keys() - tensors):
        raise ModelError(f"weights and network differ, first in {min(odd)!r}", where=run.weights, fix=fix)
    for name, tensor in wanted.items():
        if not is_lazy(tensor) and tensor.shape != tensors[name].shape:
            what = f"{name} is {tuple(tensors[name].shape)}, the network's is {tuple(tensor.shape)}"
            raise ModelError(what, where=run.weights, fix=fix)
    load_state(network, tensors)
