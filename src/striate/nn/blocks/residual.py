"""Residual blocks: the input goes around the convolutions and is added."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.base.choose import choose
from striate.base.errors import SettingsError

from .conv import conv
from .norm import Spec, make_activation, normalises
from .preactivation import normalise, pre_conv


class DropPath(nn.Module):
    """Leave out the whole branch for some images of a batch in training; keep the expected value.

    Reference: Huang et al., Deep Networks with Stochastic Depth, arXiv:1603.09382.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise SettingsError(f"drop_path rate {rate} is not in 0 <= rate < 1", fix="use 0.1")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(x.shape[0], *(1 for _ in x.shape[1:]), device=x.device) >= self.rate
        return x * (kept / (1 - self.rate)).to(x.dtype)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


def dropped(rate: float, skip: bool = True) -> DropPath | None:
    """Return what drops a residual branch, None at rate 0.

    Raises:
        SettingsError: there is no skip, so a dropped branch would leave nothing.
    """
    if rate and not skip:
        raise SettingsError(f"drop_path {rate} without a skip leaves nothing of an image", fix="use drop_path=0")
    return DropPath(rate) if rate else None


class Residual(nn.Module):
    """`activation(branch(x) + shortcut(x))`; the shortcut is the input itself, or what brings it to the new shape."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module | None, activation: str, drop_path: float = 0.0) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.drop_path = dropped(drop_path)
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        y = self.branch(x)
        if self.drop_path is not None:
            y = self.drop_path(y)
        out: Tensor = self.activation(y.add_(x if self.shortcut is None else self.shortcut(x)))
        return out


def plain(drop_path: float, **parts: nn.Module) -> nn.Sequential:
    """Return a residual block's parts without the way around them."""
    dropped(drop_path, skip=False)
    return nn.Sequential(OrderedDict(parts))


def basic(
    c_in: int,
    width: int,
    *,
    stride: int = 1,
    groups: int = 1,
    dilation: int = 1,
    first_dilation: int = 0,
    shortcut: str = "projection",
    skip: bool = True,
    norm: Spec = "batch",
    activation: str = "relu",
    drop_path: float = 0.0,
    dims: int = 2,
) -> nn.Module:
    """Return two 3x3 convolutions with a shortcut: (N, c_in, H, W) -> (N, width, H / stride, W / stride).

    Args:
        groups, dilation: of both convolutions.
        dims: axes of the maps, 1, 2 or 3.
        first_dilation: of the first one, where it is another: it still sees the finer map.
        shortcut: where the shape changes: "projection" is a 1x1 convolution (the paper's option B), "pad" leaves
            out rows and columns and adds maps of zeros, without parameters (option A).
        skip: False leaves the shortcut out: what is left is a plain network's pair of convolutions.

    Reference: He et al., Deep Residual Learning for Image Recognition, arXiv:1512.03385, figure 5 left.
    """
    branch = nn.Sequential(
        conv(
            c_in,
            width,
            stride=stride,
            groups=groups,
            dilation=first_dilation or dilation,
            norm=norm,
            activation=activation,
            dims=dims,
        ),
        conv(width, width, groups=groups, dilation=dilation, norm=norm, dims=dims),
    )
    if not skip:
        return plain(drop_path, branch=branch, activation=make_activation(activation))
    return Residual(branch, _shortcut(c_in, width, stride, norm, shortcut, dims=dims), activation, drop_path)


def bottleneck(
    c_in: int,
    width: int,
    *,
    stride: int = 1,
    reduction: int = 4,
    inner: int = 0,
    groups: int = 1,
    dilation: int = 1,
    skip: bool = True,
    norm: Spec = "batch",
    activation: str = "relu",
    drop_path: float = 0.0,
    dims: int = 2,
) -> nn.Module:
    """Return 1x1 down, 3x3, 1x1 up with a shortcut: (N, c_in, H, W) -> (N, width, H / stride, W / stride).

    Args:
        width: channels out, those of the last 1x1 convolution (256 in the first stage of ResNet-50).
        reduction: `width / reduction` channels in the 3x3 convolution.
        inner: channels of the 3x3 convolution, if given (Wide ResNet, ResNeXt).
        groups, dilation: of the 3x3 convolution (ResNeXt; networks for maps).
        dims: axes of the maps, 1, 2 or 3.
        skip: False leaves the shortcut out.

    The stride is at the 3x3 convolution, as in the published weights, and not at the first 1x1 as in the paper.

    Reference: He et al., arXiv:1512.03385, figure 5 right; Xie et al., ResNeXt, arXiv:1611.05431.
    """
    inner = inner or width // reduction
    after: Any = {"norm": norm, "activation": activation, "dims": dims}
    branch = nn.Sequential(
        conv(c_in, inner, kernel=1, **after),
        conv(inner, inner, stride=stride, groups=groups, dilation=dilation, **after),
        conv(inner, width, kernel=1, norm=norm, dims=dims),
    )
    if not skip:
        return plain(drop_path, branch=branch, activation=make_activation(activation))
    return Residual(branch, _shortcut(c_in, width, stride, norm, dims=dims), activation, drop_path)


class PreResidual(nn.Module):
    """`branch(y) + shortcut(x)` with y the normalised and activated input; a projection takes y, the identity x.

    Reference: He et al., Identity Mappings in Deep Residual Networks, arXiv:1603.05027, figure 4e.
    """

    def __init__(self, first: nn.Module, branch: nn.Module, projection: nn.Module | None, drop_path: float) -> None:
        super().__init__()
        self.projection = projection
        self.first = first
        self.branch = branch
        self.drop_path = dropped(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        z = self.branch(y)
        if self.drop_path is not None:
            z = self.drop_path(z)
        out: Tensor = z.add_(x if self.projection is None else self.projection(y))
        return out


def pre_basic(
    c_in: int,
    width: int,
    *,
    stride: int = 1,
    groups: int = 1,
    skip: bool = True,
    norm: Spec = "batch",
    activation: str = "relu",
    drop_path: float = 0.0,
    dims: int = 2,
) -> nn.Module:
    """Return `basic` with normalisation and activation before each convolution: the identity stays untouched."""
    first = normalise(c_in, norm=norm, activation=activation, dims=dims)
    branch = nn.Sequential(
        conv(c_in, width, stride=stride, groups=groups, bias=not normalises(norm), dims=dims),
        pre_conv(width, width, groups=groups, norm=norm, activation=activation, dims=dims),
    )
    if not skip:
        return plain(drop_path, first=first, branch=branch)
    return PreResidual(first, branch, _shortcut(c_in, width, stride, "none", dims=dims), drop_path)


def pre_bottleneck(
    c_in: int,
    width: int,
    *,
    stride: int = 1,
    reduction: int = 4,
    groups: int = 1,
    skip: bool = True,
    norm: Spec = "batch",
    activation: str = "relu",
    drop_path: float = 0.0,
    dims: int = 2,
) -> nn.Module:
    """Return `bottleneck` with normalisation and activation before each convolution: the identity stays untouched."""
    inner = width // reduction
    first = normalise(c_in, norm=norm, activation=activation, dims=dims)
    branch = nn.Sequential(
        conv(c_in, inner, kernel=1, bias=not normalises(norm), dims=dims),
        pre_conv(inner, inner, stride=stride, groups=groups, norm=norm, activation=activation, dims=dims),
        pre_conv(inner, width, kernel=1, norm=norm, activation=activation, dims=dims),
    )
    if not skip:
        return plain(drop_path, first=first, branch=branch)
    return PreResidual(first, branch, _shortcut(c_in, width, stride, "none", dims=dims), drop_path)


class Pad(nn.Module):
    """Every `stride`-th row and column, and maps of zeros before and after to have `width`."""

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        super().__init__()
        if width < c_in:
            raise SettingsError(f"shortcut 'pad' cannot go from {c_in} to {width} maps", fix="use 'projection'")
        self.before, self.after, self.stride = (width - c_in) // 2, -(-(width - c_in) // 2), stride

    def forward(self, x: Tensor) -> Tensor:
        axes = x.ndim - 2
        kept = x[(slice(None), slice(None), *(slice(None, None, self.stride),) * axes)]
        return F.pad(kept, (0, 0) * axes + (self.before, self.after))


def _project(c_in: int, width: int, stride: int, norm: Spec, dims: int) -> nn.Module:
    return conv(c_in, width, kernel=1, stride=stride, bias=False, norm=norm, dims=dims)


def _pad(c_in: int, width: int, stride: int, norm: Spec, dims: int) -> nn.Module:
    return Pad(c_in, width, stride)


SHORTCUTS: Mapping[str, Callable[[int, int, int, Spec, int], nn.Module]] = {"projection": _project, "pad": _pad}


def _shortcut(
    c_in: int, width: int, stride: int, norm: Spec, kind: str = "projection", *, dims: int = 2
) -> nn.Module | None:
    """Return what brings the input to the branch's shape, None where it has it already."""
    make = choose("shortcut", kind, SHORTCUTS)
    return make(c_in, width, stride, norm, dims) if stride != 1 or c_in != width else None
