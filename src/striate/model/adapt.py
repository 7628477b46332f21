"""One tensor made to fit a network that differs from the one it was trained in: channels, positions, outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.nn.blocks.attention import Tokens

from .blueprint import IMAGE
from .network import Network


@dataclass(frozen=True)
class Roles:
    """Which tensors of a network may differ from published ones.

    Args:
        first: weights of convolutions on the image itself.
        outputs: weights and biases of the layers that give the outputs.
        positions: position vectors of transformers -> height and width of their map.
    """

    first: frozenset[str] = frozenset()
    outputs: frozenset[str] = frozenset()
    positions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def roles_of(network: Network) -> Roles:
    """Return the roles of a network's tensors."""
    first: set[str] = set()
    outputs: set[str] = set()
    positions: dict[str, tuple[int, ...]] = {}
    sources = network.blueprint.sources
    for row in network.blueprint.rows:
        parts = dict(network.rows[row.name].named_modules(prefix=f"rows.{row.name}"))
        convs = [name for name, part in parts.items() if isinstance(part, nn.Conv2d)]
        if IMAGE in sources[row.name] and convs:
            first.add(f"{convs[0]}.weight")
        layers = {name: part for name, part in parts.items() if isinstance(part, nn.Conv2d | nn.Linear)}
        if not row.width and layers and len(next(reversed(layers.values())).weight) == network.outputs:
            last = next(reversed(layers))
            outputs |= {f"{last}.{key}" for key, _ in layers[last].named_parameters()}
        positions |= {f"{name}.positions": part.size_hw for name, part in parts.items() if isinstance(part, Tokens)}
    return Roles(frozenset(first), frozenset(outputs), positions)


def adapted(name: str, ours: Tensor, given: Tensor, roles: Roles) -> tuple[Tensor, str] | None:
    """Return the given tensor in the shape of ours and what was done to it, or None if it cannot be.

    Equal shapes need nothing; dimensions of 1 may come and go; beyond that only the tensors named in `roles` change.
    """
    if ours.shape == given.shape:
        return given, ""
    if _long(ours) == _long(given):
        return given.reshape(ours.shape), f"{_text(given)} written as {_text(ours)}"
    if name in roles.first and ours.ndim == given.ndim == 4 and ours[:, 0].shape == given[:, 0].shape:
        n, m = ours.shape[1], given.shape[1]
        return channels_to(given, n), f"{m} input channels to {n}"
    if name in roles.positions and ours.shape[::2] == given.shape[::2]:
        moved = positions_to(given, ours.shape[1], roles.positions[name])
        return None if moved is None else (moved, f"{given.shape[1]} positions to {ours.shape[1]}")
    return None


def channels_to(weight: Tensor, channels: int) -> Tensor:
    """Return a first layer's weight (O, M, H, W) for another number of input channels.

    The response to an image whose channels are all equal stays what it was. Fewer channels each get an equal share of
    the sum over the given ones (one channel: the sum). Of more channels the first M keep their weights and the others
    get the mean of them, all times M / channels.

    Example:
        >>> rgb = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
        >>> [channels_to(rgb, n).flatten().tolist() for n in (1, 2, 4)]
        [[6.0], [3.0, 3.0], [0.75, 1.5, 2.25, 1.5]]
    """
    given = weight.shape[1]
    if channels <= given:
        return weight.sum(1, keepdim=True).expand(-1, channels, -1, -1) / channels
    more = weight.mean(1, keepdim=True).expand(-1, channels - given, -1, -1)
    return torch.cat((weight, more), 1) * (given / channels)


def positions_to(positions: Tensor, num_tokens: int, size_hw: tuple[int, ...]) -> Tensor | None:
    """Return position vectors (1, T, D) of a square map for one of another size, by bicubic interpolation.

    Vectors before those of the map (a class token's) are kept; None if the two do not have as many of them.
    """
    extra = num_tokens - size_hw[0] * size_hw[1]
    side = isqrt(positions.shape[1] - extra)
    if side * side + extra != positions.shape[1]:
        return None
    grid = positions[:, extra:].transpose(1, 2).unflatten(2, (side, side))
    moved = F.interpolate(grid.float(), size_hw, mode="bicubic", align_corners=False)
    return torch.cat((positions[:, :extra], moved.flatten(2).transpose(1, 2).to(positions.dtype)), 1)


def _long(value: Tensor) -> list[int]:
    return [size for size in value.shape if size > 1]


def _text(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "one number"
