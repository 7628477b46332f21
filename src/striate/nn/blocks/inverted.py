"""Inverted residual blocks: from few channels to many, a depthwise convolution there, and back to few."""

from typing import Any

from torch import Tensor, nn

from striate.base.errors import SettingsError

from .conv import conv
from .norm import Spec, make_activation
from .residual import Residual, plain


class SqueezeExcite(nn.Module):
    """`x * gate(...)`: one factor 0..1 for each channel, from the means of all channels.

    Args:
        squeeze: channels of the layer between the means and the factors.
        gate: "sigmoid" or "hardsigmoid".

    Reference: Hu et al., Squeeze-and-Excitation Networks, arXiv:1709.01507.

    Example:
        >>> import torch
        >>> SqueezeExcite(16, 4)(torch.ones(2, 16, 5, 5)).shape
        torch.Size([2, 16, 5, 5])
    """

    def __init__(self, c_in: int, squeeze: int, *, activation: str = "relu", gate: str = "sigmoid") -> None:
        super().__init__()
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.down = nn.Conv2d(c_in, squeeze, 1)
        self.activation = make_activation(activation)
        self.up = nn.Conv2d(squeeze, c_in, 1)
        self.gate = make_activation(gate)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x * self.gate(self.up(self.activation(self.down(self.mean(x)))))
        return out


def squeeze_excite(c_in: int, *, reduction: int = 4, activation: str = "relu", gate: str = "sigmoid") -> SqueezeExcite:
    """Return a `SqueezeExcite` row with `c_in / reduction` channels in the middle."""
    return SqueezeExcite(c_in, max(1, c_in // reduction), activation=activation, gate=gate)


def inverted(
    c_in: int,
    width: int,
    *,
    stride: int = 1,
    kernel: int = 3,
    expand: float = 6,
    inner: int = 0,
    dilation: int = 1,
    squeeze: float = 0,
    squeeze_activation: str = "relu",
    gate: str = "sigmoid",
    padding: str = "same",
    skip: bool = True,
    depthwise: bool = True,
    norm: Spec = "batch",
    activation: str = "relu6",
    drop_path: float = 0.0,
) -> nn.Module:
    """Return 1x1 up, depthwise, 1x1 down without activation: (N, c_in, H, W) -> (N, width, H / stride, W / stride).

    Around it goes the input itself where the shape stays. Without the first 1x1 convolution if it would not expand.

    Args:
        expand: channels in the middle over `c_in`.
        inner: channels in the middle, if given.
        dilation: of the depthwise convolution.
        squeeze: channels inside the squeeze-and-excitation after the depthwise convolution; below 1 a share of `c_in`;
            0 = none.
        padding: "same", or "tensorflow" for weights that were trained there.
        skip: False leaves out the way around.
        depthwise: False makes the convolution in the middle a plain one: all channels, `inner` times its parameters.

    Raises:
        SettingsError: a number is negative or leaves no channel.

    Reference: Sandler et al., MobileNetV2, arXiv:1801.04381; Tan et al., MnasNet, arXiv:1807.11626.
    """
    inner = inner or round(c_in * expand)
    if inner < 1 or squeeze < 0:
        raise SettingsError(f"{inner} inner channels, squeeze {squeeze} cannot be", fix="give expand=6, squeeze=0")
    branch = nn.Sequential()
    if inner != c_in:
        branch.append(conv(c_in, inner, kernel=1, norm=norm, activation=activation))
    window: dict[str, Any] = {
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": inner if depthwise else 1,
    }
    branch.append(conv(inner, inner, norm=norm, activation=activation, **window))
    if squeeze:
        channels = int(squeeze) if squeeze >= 1 else max(1, int(c_in * squeeze))
        branch.append(SqueezeExcite(inner, channels, activation=squeeze_activation, gate=gate))
    branch.append(conv(inner, width, kernel=1, norm=norm))
    if stride != 1 or c_in != width:
        return branch
    return Residual(branch, None, "none", drop_path) if skip else plain(drop_path, branch=branch)
