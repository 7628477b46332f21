"""Activation after max-pooling instead of before it: the same numbers, on a quarter of the units.

A rising activation and a maximum commute, in value and in gradient, so where a row that ends in one feeds nothing but
a max-pooling row, the network pools first. Rows keep their meaning: whoever asks for the first row's map, or hangs a
hook on either, gets the order of the table.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from .blueprint import Blueprint

MAXIMA = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
RISING = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Sigmoid, nn.Tanh)


def late_activations(blueprint: Blueprint, rows: Mapping[str, nn.Module]) -> dict[str, str]:
    """Return pooling row -> the row before it whose activation can wait."""
    users: dict[str, int] = {}
    for sources in blueprint.sources.values():
        for source in sources:
            users[source] = users.get(source, 0) + 1
    pairs = {}
    for name, (source, *others) in blueprint.sources.items():
        body = rows.get(source)
        ends_rising = isinstance(body, nn.Sequential) and len(body) > 1 and isinstance(body[-1], RISING)
        if not others and users[source] == 1 and ends_rising and isinstance(rows[name], MAXIMA):
            pairs[name] = source
    return pairs


def has_hooks(*modules: nn.Module) -> bool:
    """Return whether anyone listens to one of the modules."""
    return any(module._forward_hooks or module._forward_pre_hooks for module in modules)


def pooled(body: nn.Module, pool: nn.Module, x: Tensor) -> Tensor:
    """Return `pool(body(x))`, with the body's last part, its activation, applied last."""
    *parts, activation = body.children()
    for part in parts:
        x = part(x)
    result: Tensor = activation(pool(x))
    return result
