"""Depthwise separable convolution: first each channel for itself in space, then all channels at each position."""

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn

from .conv import Pair, conv
from .norm import Spec, make_activation
from .pool import window
from .residual import dropped


def separable(
    c_in: int,
    width: int,
    *,
    kernel: Pair = 3,
    stride: Pair = 1,
    padding: Pair | str = "same",
    between: bool = False,
    depthwise: bool = True,
    norm: Spec = "batch",
    activation: str = "none",
) -> nn.Sequential:
    """Return depthwise convolution, 1x1 convolution, normalisation, activation: (N, c_in, H, W) -> (N, width, H', W').

    With a 3x3 kernel and many channels about 1/9 of the parameters of the plain convolution.

    Args:
        between: whether normalisation and activation stand between the two as well (MobileNet).
        depthwise: False makes the first of the two a plain convolution: `c_in` times its parameters.

    Reference: Chollet, Xception, arXiv:1610.02357; Howard et al., MobileNets, arXiv:1704.04861.

    Example:
        >>> sum(value.numel() for value in separable(64, 128).parameters() if value.ndim > 1)
        8768
    """
    after: dict[str, Any] = {"norm": norm, "activation": activation} if between else {}
    has_bias = None if between else False
    place: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding}
    return nn.Sequential(
        OrderedDict(
            depthwise=conv(c_in, c_in, groups=c_in if depthwise else 1, bias=has_bias, **place, **after),
            pointwise=conv(c_in, width, kernel=1, norm=norm, activation=activation),
        )
    )


class XceptionUnit(nn.Module):
    """`shortcut(x) + branch(x)`; the branch is activation and separable convolution in turn, then max-pooling.

    Args:
        depth: how many separable convolutions.
        stride: of the 3x3 pooling at the branch's end and of the 1x1 convolution around it.
        pool: that pooling, a name in `striate.nn.blocks.pool.POOLS`.
        grow: which separable convolution goes from `c_in` to `width` channels, "first" or "last".
        start: whether the branch starts with the activation.
        skip: False leaves out the shortcut, the 1x1 convolution too.
        depthwise: as for `separable`.

    Reference: Chollet, Xception, arXiv:1610.02357, figure 5.
    """

    def __init__(
        self,
        c_in: int,
        width: int,
        *,
        stride: int = 1,
        depth: int = 2,
        grow: str = "first",
        start: bool = True,
        pool: str = "max",
        skip: bool = True,
        depthwise: bool = True,
        norm: Spec = "batch",
        activation: str = "relu",
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.skip = skip
        is_same = not skip or (stride == 1 and c_in == width)
        self.shortcut = None if is_same else conv(c_in, width, kernel=1, stride=stride, norm=norm)
        inner = width if grow == "first" else c_in
        widths = [c_in, *[inner] * (depth - 1), width]
        parts: list[nn.Module] = []
        for index in range(depth):
            if index or start:
                parts.append(make_activation(activation, inplace=index > 0))
            parts.append(separable(widths[index], widths[index + 1], depthwise=depthwise, norm=norm))
        if stride != 1:
            parts.append(window(pool, 3, stride, 1))
        self.branch = nn.Sequential(*parts)
        self.drop_path = dropped(drop_path, skip)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.branch(x)
        if self.drop_path is not None:
            y = self.drop_path(y)
        if not self.skip:
            return y
        return y.add_(x if self.shortcut is None else self.shortcut(x))
