"""Weights into a network: from its own file by name, from a reference implementation by order and shape."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.base.text import plural

COUNTERS = "num_batches_tracked"  # of batch normalisation; not a weight, and references differ in having it


def to_bytes(network: nn.Module) -> bytes:
    """Return the network's state as the content of a `.safetensors` file."""
    return save({name: value.detach().contiguous().cpu() for name, value in network.state_dict().items()})


def load(network: nn.Module, path: str | Path) -> None:
    """Load a `.safetensors` file of a network of the same blueprint, name by name.

    Raises:
        ModelError: the file cannot be read, or a tensor is missing, unknown or of another shape.
    """
    try:
        given = load_file(path)
    except (OSError, SafetensorError) as problem:
        raise ModelError(f"cannot read weights ({problem})", where=path, fix="give a .safetensors file") from problem
    wanted = network.state_dict()
    fix = "build the network it was saved from, with the same options, classes, channels and size"
    for trouble, names in (("missing", wanted.keys() - given), ("unknown", given.keys() - wanted)):
        if names:
            raise ModelError(f"{plural(len(names), 'tensor')} {trouble}, one is {min(names)!r}", where=path, fix=fix)
    for name, value in wanted.items():
        if value.shape != given[name].shape:
            what = f"tensor {name!r} is {_text(given[name])}, the network's is {_text(value)}"
            raise ModelError(what, where=path, fix=fix)
    network.load_state_dict(given)


def copy_by_order(network: nn.Module, reference: Mapping[str, Tensor], where: str = "reference") -> None:
    """Copy a reference implementation's state, tensor by tensor in order; each shape must be equal.

    Blueprints keep the order of the reference (torchvision or timm), so its names need not be known.

    Raises:
        ModelError: the number of tensors or a shape differs; the first pair that does is named.
    """
    ours = {name: value for name, value in network.state_dict().items() if not name.endswith(COUNTERS)}
    theirs = {name: value for name, value in reference.items() if not name.endswith(COUNTERS)}
    for (name, value), (other, given) in zip(ours.items(), theirs.items(), strict=False):
        if value.shape != given.shape:
            raise ModelError(
                f"{name!r} is {_text(value)}, but {other!r} is {_text(given)}", where=where, fix="mend the row order"
            )
    if len(ours) != len(theirs):
        raise ModelError(f"{len(ours)} tensors here, {len(theirs)} there", where=where, fix="mend the rows")
    with torch.no_grad():
        for value, given in zip(ours.values(), theirs.values(), strict=True):
            value.copy_(given)


def _text(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "one number"
