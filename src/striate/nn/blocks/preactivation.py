"""The order of pre-activation networks: normalisation and activation come before the convolution."""

from collections import OrderedDict

from torch import nn

from .conv import Pair, conv
from .norm import Spec, make_activation, make_norm, normalises


def pre_conv(
    c_in: int,
    width: int,
    *,
    kernel: Pair = 3,
    stride: Pair = 1,
    padding: Pair | str = "same",
    groups: int = 1,
    bias: bool | None = None,
    norm: Spec = "batch",
    activation: str = "relu",
    dims: int = 2,
) -> nn.Sequential:
    """Return normalisation, activation, convolution: (N, c_in, H, W) -> (N, width, H', W'); options as for `conv`.

    Reference: He et al., Identity Mappings in Deep Residual Networks, arXiv:1603.05027.

    Example:
        >>> [type(part).__name__ for part in pre_conv(8, 4, kernel=1)]
        ['BatchNorm2d', 'ReLU', 'Conv2d']
    """
    has_bias = not normalises(norm) if bias is None else bias
    last = conv(c_in, width, kernel=kernel, stride=stride, padding=padding, groups=groups, bias=has_bias, dims=dims)
    parts = OrderedDict(normalise(c_in, norm=norm, activation=activation, dims=dims).named_children())
    return nn.Sequential(parts | OrderedDict(last.named_children()))


def normalise(c_in: int, *, norm: Spec = "batch", activation: str = "relu", dims: int = 2) -> nn.Sequential:
    """Return normalisation and activation of a map, which itself stays as it is."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if normalises(norm):
        parts["norm"] = make_norm(norm, c_in, dims=dims)
    if activation != "none":
        parts["activation"] = make_activation(activation, inplace=normalises(norm))
    return nn.Sequential(parts)
