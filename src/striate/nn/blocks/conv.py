"""Convolution with what usually follows it."""

from collections import OrderedDict
from math import gcd

from torch import nn

from striate.base.errors import SettingsError

from .norm import Spec, make_activation, make_norm, normalises

Pair = int | tuple[int, int]


def conv(
    c_in: int,
    width: int,
    *,
    kernel: Pair = 3,
    stride: Pair = 1,
    padding: Pair | str = "same",
    dilation: Pair = 1,
    groups: int = 1,
    bias: bool | None = None,
    norm: Spec = "none",
    activation: str = "none",
) -> nn.Sequential:
    """Return convolution, normalisation, activation: (N, c_in, H, W) -> (N, width, H', W').

    Args:
        kernel, stride, padding, dilation: one number, or one for height and one for width. Padding "same" keeps the
            size at stride 1 (odd kernels), "valid" pads nothing.
        groups: number of separate groups of channels; `groups = c_in` is depthwise.
        bias: whether the convolution has one; by default if no normalisation follows.

    Raises:
        SettingsError: the groups do not divide the channels, or "same" is asked of an even kernel.

    Example:
        >>> conv(3, 8, norm="batch", activation="relu")
        Sequential(
          (conv): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
          (norm): BatchNorm2d(8, eps=1e-05, ...)
          (activation): ReLU(inplace=True)
        )
    """
    check_groups(groups, c_in, width)
    has_bias = not normalises(norm) if bias is None else bias
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv"] = nn.Conv2d(
        c_in, width, kernel, stride, pad_of(kernel, padding, dilation), dilation, groups, bias=has_bias
    )
    if normalises(norm):
        parts["norm"] = make_norm(norm, width)
    if activation != "none":
        parts["activation"] = make_activation(activation)
    return nn.Sequential(parts)


def pad_of(kernel: Pair, padding: Pair | str, dilation: Pair = 1) -> tuple[int, int]:
    """Return the padding (height, width) in pixels on each side.

    Example:
        >>> pad_of(3, "same", dilation=2), pad_of((1, 7), "same"), pad_of(5, "valid")
        ((2, 2), (0, 3), (0, 0))
    """
    if padding == "valid":
        return 0, 0
    if padding == "same":
        (k_h, k_w), (d_h, d_w) = pair(kernel), pair(dilation)
        if k_h % 2 == 0 or k_w % 2 == 0:
            raise SettingsError(f"kernel {kernel} is even, so no padding keeps the size", fix="use an odd kernel")
        return d_h * (k_h // 2), d_w * (k_w // 2)
    if isinstance(padding, str):
        raise SettingsError(f"unknown padding {padding!r}", fix='use "same", "valid" or pixels')
    return pair(padding)


def pair(value: Pair) -> tuple[int, int]:
    """Return the number for height and the number for width.

    Example:
        >>> pair(3), pair((1, 7))
        ((3, 3), (1, 7))
    """
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def check_groups(groups: int, c_in: int, width: int) -> None:
    """Refuse groups that do not divide the channels in and out."""
    if groups < 1 or c_in % groups or width % groups:
        shared = gcd(c_in, width)
        fitting = [n for n in range(1, shared + 1) if shared % n == 0]
        raise SettingsError(
            f"groups={groups} must divide the {c_in} channels in and the {width} channels out",
            fix=f"use groups={min(fitting, key=lambda n: abs(n - groups))}",
        )
