"""Convolution with what usually follows it."""

from collections import OrderedDict
from math import gcd
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from striate.base.errors import SettingsError

from .norm import Spec, make_activation, make_norm, normalises

Pair = int | tuple[int, ...]  # one number for all axes, or one an axis
CONVS: dict[int, type[nn.Conv1d | nn.Conv2d | nn.Conv3d]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class TensorFlowConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding, which depends on the input's size; see `pad_tensorflow`."""

    def forward(self, x: Tensor) -> Tensor:
        x, padding = pad_tensorflow(x, self.kernel_size, self.stride, self.dilation)
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class CausalConv2d(nn.Conv2d):
    """Convolution whose windows end at the unit itself: zeros before the first column, none behind the last.

    Along the height windows are centred, as with padding "same".
    """

    def forward(self, x: Tensor) -> Tensor:
        top = self.dilation[0] * (self.kernel_size[0] // 2)
        x = F.pad(x, (self.dilation[1] * (self.kernel_size[1] - 1), 0, top, top))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


PADDED: dict[str, type[nn.Conv2d]] = {"tensorflow": TensorFlowConv2d, "causal": CausalConv2d}  # by themselves


def pad_tensorflow(
    x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...] = (1, 1), value: float = 0.0
) -> tuple[Tensor, tuple[int, int]]:
    """Return the map, and the padding still to add on each side, so that a window gives ceil(size / stride) units.

    Where the two sides of an axis need different padding, the map is padded here; the larger part lies at its end.

    Example:
        >>> import torch
        >>> x, padding = pad_tensorflow(torch.zeros(1, 1, 8, 9), (3, 3), (2, 2))
        >>> x.shape, padding
        (torch.Size([1, 1, 9, 11]), (0, 0))
    """
    high, wide = (
        max(0, (-(-x.shape[axis - 2] // stride[axis]) - 1) * stride[axis] + reach + 1 - x.shape[axis - 2])
        for axis, reach in enumerate(d * (k - 1) for k, d in zip(kernel, dilation, strict=True))
    )
    if high % 2 == 0 and wide % 2 == 0:
        return x, (high // 2, wide // 2)
    return F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2), value=value), (0, 0)


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
    dims: int = 2,
) -> nn.Sequential:
    """Return convolution, normalisation, activation: (N, c_in, H, W) -> (N, width, H', W').

    Args:
        kernel, stride, padding, dilation: one number, or one for height and one for width. Padding "same" keeps the
            size at stride 1 (odd kernels), "valid" pads nothing, "tensorflow" is TensorFlow's SAME (at stride 2 the
            odd pixel goes to the bottom and the right), "causal" sees no column behind its own.
        groups: number of separate groups of channels; `groups = c_in` is depthwise.
        bias: whether the convolution has one; by default if no normalisation follows.
        dims: axes of the maps, 1, 2 or 3.

    Raises:
        SettingsError: the groups do not divide the channels, "same" is asked of an even kernel, or "tensorflow" or
            "causal" of other maps than images.

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
    if padding in PADDED and dims != 2:
        raise SettingsError(f'padding "{padding}" is of images alone', fix='use "same"')
    layer: Any = PADDED.get(str(padding), CONVS[dims])
    sizes = (each(value, dims) for value in (kernel, stride, pad_of(kernel, padding, dilation, dims), dilation))
    parts["conv"] = layer(c_in, width, *sizes, groups, bias=has_bias)
    if normalises(norm):
        parts["norm"] = make_norm(norm, width, dims=dims)
    if activation != "none":
        parts["activation"] = make_activation(activation)
    return nn.Sequential(parts)


def pad_of(kernel: Pair, padding: Pair | str, dilation: Pair = 1, dims: int = 2) -> tuple[int, ...]:
    """Return the padding (height, width) in pixels on each side, or that of each of `dims` axes.

    Example:
        >>> pad_of(3, "same", dilation=2), pad_of((1, 7), "same"), pad_of(5, "valid")
        ((2, 2), (0, 3), (0, 0))
    """
    if padding == "valid" or padding in PADDED:
        return (0,) * dims
    if padding == "same":
        sizes = each(kernel, dims)
        if any(size % 2 == 0 for size in sizes):
            raise SettingsError(f"kernel {kernel} is even, so no padding keeps the size", fix="use an odd kernel")
        return tuple(spacing * (size // 2) for size, spacing in zip(sizes, each(dilation, dims), strict=True))
    if isinstance(padding, str):
        raise SettingsError(f"unknown padding {padding!r}", fix='use "same", "valid", "tensorflow", "causal" or pixels')
    return each(padding, dims)


def each(value: Pair, dims: int) -> tuple[int, ...]:
    """Return a number for each axis.

    Raises:
        SettingsError: there are as many numbers as another kind of map has axes.

    Example:
        >>> each(3, 3), each((1, 7), 2)
        ((3, 3, 3), (1, 7))
    """
    if isinstance(value, int):
        return (value,) * dims
    if isinstance(value, str):
        raise TypeError(f"{value!r} is no number")
    if len(value) != dims:
        raise SettingsError(f"{len(value)} numbers for maps of {dims} axes", fix=f"give one number, or {dims}")
    return tuple(value)


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
