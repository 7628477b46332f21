"""Normalisations and activations, by name."""

from collections.abc import Callable, Mapping
from functools import partial
from math import gcd
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrizations import weight_norm

from striate.base.choose import choose
from striate.base.errors import SettingsError

Spec = str | Mapping[str, Any]  # "batch", or with settings {"kind": "batch", "eps": 0.001}


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each position of an (N, C, H, W) map.

    Reference: Liu et al., A ConvNet for the 2020s, arXiv:2201.03545.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class ScaledTanh(nn.Module):
    """1.7159 tanh(2 x / 3), which is 1 at 1 and -1 at -1.

    Reference: LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE 86 (1998), appendix A.
    """

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * (x * (2 / 3)).tanh()


def _group(width: int, groups: int = 32, eps: float = 1e-5) -> nn.Module:
    return nn.GroupNorm(gcd(groups, width), width, eps=eps)


BATCH = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}  # by the axes of the maps
INSTANCE = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}


def _batch(width: int, dims: int = 1, scale: bool = True, **settings: Any) -> nn.Module:
    """Batch normalisation; without `scale` its factors stay 1, and only its biases train."""
    norm = BATCH[dims](width, **settings)
    norm.weight.requires_grad_(scale)
    return norm


def _instance(width: int, dims: int, **settings: Any) -> nn.Module:
    return INSTANCE[dims](width, affine=True, **settings)


MAP_NORMS: dict[str, Callable[..., nn.Module]] = {
    "batch": _batch,
    "layer": partial(nn.GroupNorm, 1),  # over C, H and W of one image
    "channel": ChannelNorm,  # over C of one position
    "instance": _instance,
    "group": _group,
    "none": lambda width: nn.Identity(),
}
BY_AXES = {"batch", "instance"}  # of which torch has a class for each number of axes

VECTOR_NORMS: dict[str, Callable[..., nn.Module]] = {
    "batch": _batch,
    "layer": nn.LayerNorm,
    "channel": nn.LayerNorm,
    "group": _group,
    "none": lambda width: nn.Identity(),
}

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "relu6": partial(nn.ReLU6, inplace=True),
    "leaky_relu": partial(nn.LeakyReLU, 0.1, inplace=True),
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": partial(nn.SiLU, inplace=True),
    "hardswish": partial(nn.Hardswish, inplace=True),
    "sigmoid": nn.Sigmoid,
    "hardsigmoid": nn.Hardsigmoid,
    "tanh": nn.Tanh,
    "scaled_tanh": ScaledTanh,
    "none": nn.Identity,
}


def make_norm(spec: Spec, width: int, vector: bool = False, dims: int = 2) -> nn.Module:
    """Return the normalisation of `width` channels.

    Args:
        spec: "batch", "layer" (over C, H, W), "channel" (over C), "instance", "group", "none"; or a mapping with
            `kind` and that normalisation's settings (`eps`, `momentum`; `scale` false of batch, `groups` of group).
        vector: whether it normalises (N, width) vectors instead of (N, width, H, W) maps.
        dims: axes of the maps, 1, 2 or 3.

    Raises:
        SettingsError: the kind or a setting is unknown.

    Example:
        >>> make_norm({"kind": "batch", "eps": 0.001}, 8)
        BatchNorm2d(8, eps=0.001, ...)
    """
    settings: dict[str, Any] = {"kind": spec} if isinstance(spec, str) else dict(spec)
    kind = settings.pop("kind", "batch")
    make = choose("vector normalisation" if vector else "normalisation", kind, VECTOR_NORMS if vector else MAP_NORMS)
    if not vector and kind in BY_AXES:
        settings["dims"] = dims
    try:
        return make(num_channels=width, **settings) if kind == "layer" and not vector else make(width, **settings)
    except TypeError as problem:
        raise SettingsError(f"normalisation {kind!r} does not take {settings}", fix="drop the setting") from problem


def normalises(spec: Spec) -> bool:
    """Return whether the spec shifts the channels itself, so that a bias before it would do nothing."""
    return spec != "none" and not (isinstance(spec, Mapping) and spec.get("kind") == "none")


def is_weight_norm(spec: Spec) -> bool:
    """Return whether the spec is "weight", which is of the weights, not of the maps: the builder sees to it."""
    return (spec if isinstance(spec, str) else spec.get("kind")) == "weight"


def normalise_weights(part: nn.Module) -> nn.Module:
    """Write the weights of each convolution and linear layer of a block as g v / |v|, one g a filter.

    Raises:
        SettingsError: the block has none.

    Reference: Salimans and Kingma, Weight normalization, arXiv:1602.07868, equation 2.
    """
    layers = [module for module in part.modules() if isinstance(module, _ConvNd | nn.Linear)]
    if not layers:
        what = "norm 'weight' needs a block with filters"
        raise SettingsError(what, fix='give this row norm = "none", or use another')
    for layer in layers:
        weight_norm(layer)
    return part


def make_activation(kind: str, *, inplace: bool = True) -> nn.Module:
    """Return the activation; those that can work in place, on a tensor the block has made itself.

    Args:
        inplace: False for an activation of a block's input, which others may take too.

    Raises:
        SettingsError: the name is unknown.

    Example:
        >>> make_activation("relu")
        ReLU(inplace=True)
    """
    activation = choose("activation", kind, ACTIVATIONS)()
    if not inplace and hasattr(activation, "inplace"):
        setattr(activation, "inplace", False)  # noqa: B010 - a setting of torch's activations, not a submodule
    return activation
