"""Modules of parallel ways: each looks at another scale, their maps are joined."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from striate.base.errors import SettingsError

from .conv import conv, pad_of
from .norm import Spec, make_activation
from .pool import POOLS, window
from .residual import dropped

Step = Sequence[Any]
Way = Sequence[Step]
STEPS = 'write (width, kernel), ("max", kernel), ("avg", kernel) or ("stride", kernel)'


class Ways(nn.Module):
    """The channels of all ways, one after the other."""

    def __init__(self, ways: Sequence[nn.Module]) -> None:
        super().__init__()
        self.ways = nn.ModuleList(ways)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([way(x) for way in self.ways], 1)


def inception(
    c_in: int,
    *,
    ways: Sequence[Way],
    norm: Spec = "batch",
    activation: str = "relu",
    count_padding: bool = True,
) -> nn.Module:
    """Return parallel ways whose maps are joined: (N, c_in, H, W) -> (N, sum of widths, H', W').

    Args:
        ways: each a list of steps. A step is (width, kernel), a convolution with normalisation and activation, or
            ("max", kernel), ("avg", kernel) or ("stride", kernel), pooling;
            then a stride and a padding ("same", "valid") if they are not
            1 and "same". A step that is itself a list of ways splits, as in figure 7 of the Inception v3 paper.
        count_padding: whether the average counts padded zeros.

    Raises:
        SettingsError: a step is none of these.

    Reference: Szegedy et al., Going Deeper with Convolutions, arXiv:1409.4842, figure 2b.

    Example:
        >>> ways = [[(64, 1)], [(96, 1), (128, 3)], [(16, 1), (32, 5)], [("max", 3), (32, 1)]]
        >>> inception(192, ways=ways)(torch.zeros(2, 192, 28, 28)).shape
        torch.Size([2, 256, 28, 28])
    """
    return _join(c_in, ways, {"norm": norm, "activation": activation}, count_padding)[0]


class InceptionResidual(nn.Module):
    """`activation(x + scale * mix(ways(x)))`, where `mix` is a 1x1 convolution back to the channels of x.

    Args:
        ways: as for `inception`.
        scale: of the branch; below 1 it keeps wide networks stable.
        skip: False leaves x out of the sum, and the scale, which is there for the sum.
        last: the activation after the sum, if it is not the one of the ways.

    Reference: Szegedy et al., Inception-v4, Inception-ResNet, arXiv:1602.07261, figures 16, 17, 19 and section 3.3.
    """

    def __init__(
        self,
        c_in: int,
        *,
        ways: Sequence[Way],
        scale: float = 0.2,
        skip: bool = True,
        norm: Spec = "batch",
        activation: str = "relu",
        last: str = "",
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.ways, width = _join(c_in, ways, {"norm": norm, "activation": activation}, True)
        self.mix = nn.Conv2d(width, c_in, 1)
        self.scale, self.skip = scale, skip
        self.drop_path = dropped(drop_path, skip)
        self.activation = make_activation(last or activation)

    def forward(self, x: Tensor) -> Tensor:
        y = self.mix(self.ways(x))
        if self.drop_path is not None:
            y = self.drop_path(y)
        out: Tensor = self.activation(torch.add(x, y, alpha=self.scale) if self.skip else y)
        return out


def auxiliary_pool(
    c_in: int, *, size_hw: tuple[int, int], kernel: int = 5, stride: int = 1, least: int = 5
) -> nn.Module:
    """Return the mean over windows; where fewer than `least` windows fit, pooling to `least` x `least` instead.

    The head of Inception v3 that takes it has a 5x5 convolution next, so images below 299 pixels would not fit.
    """
    fits = all((side - kernel) // stride + 1 >= least for side in size_hw)
    return nn.AvgPool2d(kernel, stride) if fits else nn.AdaptiveAvgPool2d(least)


class Fire(nn.Module):
    """A 1x1 convolution to few channels, then half of `width` by 1x1, half by 3x3 convolutions.

    Args:
        squeeze: channels of the first convolution.

    Raises:
        SettingsError: the width is odd.

    Reference: Iandola et al., SqueezeNet, arXiv:1602.07360, figure 1.
    """

    def __init__(self, c_in: int, width: int, *, squeeze: int, norm: Spec = "none", activation: str = "relu") -> None:
        super().__init__()
        if width % 2:
            raise SettingsError(f"width {width} is odd; the two ways have half of it each", fix=f"use {width + 1}")
        after: dict[str, Any] = {"norm": norm, "activation": activation}
        self.squeeze = conv(c_in, squeeze, kernel=1, **after)
        self.expand1 = conv(squeeze, width // 2, kernel=1, **after)
        self.expand3 = conv(squeeze, width // 2, kernel=3, **after)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        return torch.cat((self.expand1(x), self.expand3(x)), 1)


def _join(c_in: int, ways: Sequence[Way], after: dict[str, Any], count_padding: bool) -> tuple[nn.Module, int]:
    """Return the module of parallel ways and its channels out."""
    if not ways or not all(isinstance(way, Sequence) and not isinstance(way, str) and way for way in ways):
        raise SettingsError(
            f"ways must be lists of steps; got {ways!r}", fix='write [[(64, 1)], [("max", 3), (32, 1)]]'
        )
    made, width = [], 0
    for way in ways:
        parts: list[nn.Module] = []
        channels = c_in
        for step in way:
            part, channels = _step(channels, step, after, count_padding)
            parts.append(part)
        made.append(nn.Sequential(*parts) if len(parts) > 1 else parts[0])
        width += channels
    return Ways(made), width


def _step(c_in: int, step: Step, after: dict[str, Any], count_padding: bool) -> tuple[nn.Module, int]:
    if isinstance(step, Sequence) and len(step) and isinstance(step[0], list | tuple):
        return _join(c_in, step, after, count_padding)
    if isinstance(step, str) or not isinstance(step, Sequence) or not 2 <= len(step) <= 4:
        raise SettingsError(f"no step of a way: {step!r}", fix=STEPS)
    what, kernel, stride, padding = [*step, 1, "same"] if len(step) == 2 else [*step, "same"][:4]
    if what in POOLS:
        return window(what, kernel, stride, pad_of(kernel, padding), count_padding=count_padding), c_in
    if not isinstance(what, int):
        raise SettingsError(f"no step of a way: {step!r}", fix=STEPS)
    return conv(c_in, what, kernel=kernel, stride=stride, padding=padding, **after), what
