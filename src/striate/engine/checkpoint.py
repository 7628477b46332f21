"""Resumable states: a folder of safetensors and JSON with checksums, written whole or not at all."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from striate.base.documents import read_json
from striate.base.errors import ModelError, ResourceError
from striate.base.files import sweep, whole_folder, write_json, write_text
from striate.base.progress import say
from striate.base.sums import damage, seal
from striate.base.tensors import read_tensors, write_tensors

from .optim import Optimiser

SCHEMA = 1
KEEP = 2
POINTER = "latest"


@dataclass
class State:
    """Everything a run needs to go on: named groups of tensors ("weights", "best", "state") and a JSON document."""

    document: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for group in self.tensors.values() for tensor in group.values())


def save(folder: Path, state: State) -> Path:
    """Write the state below `folder` as `step-NNNNNNNN`, point `latest` at it and drop older ones.

    Raises:
        ResourceError: it could not be written, twice; the checkpoints that were there are intact.
    """
    path = folder / f"step-{state.document['step']:08d}"
    try:
        _write(path, state)
    except ResourceError:
        try:
            _write(path, state)
        except ResourceError as problem:
            need = f"checkpoint not saved, {state.num_bytes:,} bytes needed"
            raise ResourceError(
                f"{need} ({problem.what})", where=path, fix="free space, then `striate resume`"
            ) from problem
    write_text(folder / POINTER, path.name + "\n")
    for old in _newest_first(folder)[KEEP:]:
        shutil.rmtree(old, ignore_errors=True)
    sweep(folder)
    return path


def _write(path: Path, state: State) -> None:
    with whole_folder(path) as temporary:
        for name, group in state.tensors.items():
            write_tensors(temporary / f"{name}.safetensors", group)
        members = [f"{name}.safetensors" for name in state.tensors]
        write_json(temporary / "state.json", {"schema": SCHEMA, "members": members, **state.document})
        seal(temporary, sorted([*members, "state.json"]))


def load(folder: Path) -> State:
    """Return the newest complete state; a damaged one is named on stderr and the one before it is taken.

    Raises:
        ModelError: there is no complete checkpoint, or a newer Striate wrote it.
    """
    damaged: list[str] = []
    for path in _newest_first(folder):
        problem = _damage(path)
        if problem is None:
            if damaged:
                say(f"warning: {damaged[0]}; going on from {path.name}")
            return _read(path)
        damaged.append(problem)
    what = damaged[0] if damaged else "no checkpoint"
    raise ModelError(what, where=folder, fix="train again: there is no earlier complete checkpoint")


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True) if folder.is_dir() else []


def _damage(path: Path) -> str | None:
    """What is wrong with a checkpoint, None when every member is there and what it was."""
    problem = damage(path) or next((f"{name} is missing" for name in _members(path) if not (path / name).is_file()), "")
    return f"checkpoint {path.name}: {problem}" if problem else None


def _members(path: Path) -> list[str]:
    """The files that a checkpoint cannot do without; older ones do not list theirs."""
    if not (path / "state.json").is_file():
        return ["state.json"]
    document = read_json(path / "state.json", "checkpoint", dict)
    return document.get("members") or ["weights.safetensors", "state.safetensors"]


def _read(path: Path) -> State:
    document = read_json(path / "state.json", "checkpoint", dict)
    if not isinstance(document["schema"], int) or document["schema"] > SCHEMA:
        raise ModelError(
            f"checkpoint of a newer Striate (schema {document['schema']})", where=path, fix="upgrade striate"
        )
    return State(document, {file.stem: read_tensors(file) for file in sorted(path.glob("*.safetensors"))})


def pack_optimiser(optimiser: Optimiser) -> dict[str, Tensor]:
    """Return the optimiser's state as tensors named `optimiser.INDEX.KEY`."""
    return {
        f"optimiser.{index}.{key}": value
        for index, parameter in enumerate(optimiser.parameters)
        for key, value in optimiser.state.get(parameter, {}).items()
    }


def unpack_optimiser(optimiser: Optimiser, tensors: dict[str, Tensor]) -> None:
    """Put a packed state back.

    Moments get their parameter's strides: the fused kernels walk both in memory order, and files hold plain order.
    """
    parameters = optimiser.parameters
    optimiser.state.clear()
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimiser":
            index, _, key = rest.partition(".")
            parameter = parameters[int(index)]
            if value.shape == parameter.shape:
                value = torch.empty_like(parameter, requires_grad=False).copy_(value)
            optimiser.state[parameter][key] = value.to(parameter.device)
