"""A network as a table with its drawing and what is odd about it, for an image of any size."""

from typing import Any

from torch import nn

from striate.base.errors import ModelError, SettingsError
from striate.model.blueprint import Blueprint
from striate.model.draw import draw
from striate.model.issues import examine
from striate.model.network import Network

Size = tuple[int, int]


def describe(network: nn.Module, size_hw: Size, channels: int) -> dict[str, Any]:
    """Return the walk of a network as a JSON-able document, with its issues and each row's trainable parameters.

    Where a layer is tied to another image size (flatten before a linear layer), the rows are built anew for this one,
    and `is_rebuilt` says so: the parameters are then no longer those of the network itself.

    Raises:
        SettingsError: the network cannot work on images of this size.
    """
    rebuilt = _for_size(network, size_hw)
    given: dict[str, Any] = {"size_hw": size_hw, "channels": channels}
    if isinstance(rebuilt, Blueprint):
        given["outputs"] = _outputs(network)
    try:
        found, issues = examine(rebuilt, **given)
    except RuntimeError as problem:  # of a foreign module
        size = "x".join(map(str, size_hw))
        raise SettingsError(f"it cannot see images of {size}", where="size", fix="choose another size") from problem
    frozen = {name: _frozen(part) for name, part in _units(network)}
    document = found.to_json()
    for layer in document["layers"]:
        layer["trainable"] = max(0, layer["parameters"] - frozen.get(layer["name"], 0))
    own = sum(value.numel() for value in network.parameters())
    return {
        **document,
        "trainable": found.parameters - _frozen(network),
        "issues": [issue.to_json() for issue in issues],
        "is_rebuilt": own != found.parameters,
        "has_drawing": isinstance(network, Network),
    }


def drawing(network: nn.Module, size_hw: Size, channels: int) -> str:
    """Return the SVG document of a network that was built from a blueprint.

    Raises:
        ModelError: it was not.
    """
    if not isinstance(network, Network):
        raise ModelError("a module without a blueprint has no drawing", where="drawing", fix="use the table")
    rebuilt = _for_size(network, size_hw)
    outputs = {"outputs": _outputs(network)} if isinstance(rebuilt, Blueprint) else {}
    return str(draw(rebuilt, size_hw=size_hw, channels=channels, **outputs))


def _for_size(network: nn.Module, size_hw: Size) -> Any:
    """The network itself at its own size, else its blueprint."""
    return network.blueprint if isinstance(network, Network) and size_hw != network.size_hw else network


def _outputs(network: nn.Module) -> int:
    assert isinstance(network, Network)
    return network.outputs


def _units(network: nn.Module) -> Any:
    return network.rows.items() if isinstance(network, Network) else network.named_modules()


def _frozen(part: nn.Module) -> int:
    return sum(value.numel() for value in part.parameters() if not value.requires_grad)
