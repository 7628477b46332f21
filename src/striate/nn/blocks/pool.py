"""Pooling: windows, the whole map, and the step from a map to a vector."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from striate.base.choose import choose

from .conv import Pair, pair

WHOLE: dict[str, dict[int, Any]] = {  # by the axes of the maps
    "avg": {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d},
    "max": {1: nn.AdaptiveMaxPool1d, 2: nn.AdaptiveMaxPool2d, 3: nn.AdaptiveMaxPool3d},
}


MAXIMA = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}  # by the axes of the maps
MEANS = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}


def max_pool(
    c_in: int, *, kernel: Pair = 2, stride: Pair = 1, padding: Pair = 0, ceil: bool = False, dims: int = 2
) -> nn.Module:
    """Return the maximum over windows of maps of `dims` axes; `ceil` keeps a last window that is partly outside.

    Example:
        >>> max_pool(8, stride=2)
        MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    """
    made: Any = MAXIMA[dims]
    pool: nn.Module = made(kernel, stride, padding, ceil_mode=ceil)
    return pool


def avg_pool(
    c_in: int,
    *,
    kernel: Pair = 2,
    stride: Pair = 1,
    padding: Pair = 0,
    ceil: bool = False,
    count_padding: bool = True,
    dims: int = 2,
) -> nn.Module:
    """Return the mean over windows; `count_padding` says whether padded zeros count."""
    made: Any = MEANS[dims]
    pool: nn.Module = made(kernel, stride, padding, ceil_mode=ceil, count_include_pad=count_padding)
    return pool


def pick(
    x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], ceil: bool = False
) -> Tensor:
    """Return the middle of each window of a pooling: a map of the same size as the pooling's, without its sums.

    Example:
        >>> pick(torch.arange(7.0).view(1, 1, 1, 7), (1, 3), (1, 2), (0, 0)).flatten().tolist()
        [1.0, 3.0, 5.0]
    """
    for axis, (k, s, p) in enumerate(zip(kernel, stride, padding, strict=True), 2):
        size = x.shape[axis]
        count = (size + 2 * p - k + (s - 1 if ceil else 0)) // s + 1
        if ceil and (count - 1) * s >= size + p:  # torch drops a last window that begins outside
            count -= 1
        first = (k - 1) // 2 - p
        last = first + (count - 1) * s
        if count > 0 and (first < 0 or last >= size):
            middles = (torch.arange(count, device=x.device) * s + first).clamp(0, size - 1)
            x = x.index_select(axis, middles)
        else:
            x = x[(slice(None),) * axis + (slice(first, max(0, last + 1), s),)]
    return x


class Pick(nn.Module):
    """The middle of each window instead of its maximum or mean: as if the convolution before had the stride.

    Only normalisation and activation may stand between for that to hold; the maps have the pooling's size exactly,
    whatever its kernel and padding.

    Reference: Springenberg et al., Striving for Simplicity: The All Convolutional Net, arXiv:1412.6806, "Strided-CNN".
    """

    def __init__(self, kernel: Pair, stride: Pair, padding: Pair = 0, ceil: bool = False) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding, self.ceil = pair(kernel), pair(stride), pair(padding), ceil

    def forward(self, x: Tensor) -> Tensor:
        return pick(x, self.kernel, self.stride, self.padding, self.ceil)

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}, padding={self.padding}, ceil={self.ceil}"


def stride_pool(c_in: int, *, kernel: Pair = 2, stride: Pair = 1, padding: Pair = 0, ceil: bool = False) -> nn.Module:
    """Return `Pick`: the middle of each window; arguments as for `max_pool`."""
    return Pick(kernel, stride, padding, ceil)


POOLS: Mapping[str, Any] = {"max": max_pool, "avg": avg_pool, "stride": stride_pool}


def window(
    kind: str, kernel: Pair, stride: Pair, padding: Pair = 0, *, ceil: bool = False, count_padding: bool = True
) -> nn.Module:
    """Return pooling of one of the three kinds in `POOLS`.

    Raises:
        SettingsError: the kind is unknown.
    """
    more = {"count_padding": count_padding} if kind == "avg" else {}
    made: nn.Module = choose("pooling", kind, POOLS)(
        0, kernel=kernel, stride=stride, padding=padding, ceil=ceil, **more
    )
    return made


def adaptive_pool(c_in: int, *, size: Pair = 7, kind: str = "avg", dims: int = 2) -> nn.Module:
    """Return pooling to a map of `size`, whatever the size of the input."""
    pool: nn.Module = choose("pooling", kind, WHOLE)[dims](size)
    return pool


class GlobalPool(nn.Module):
    """The mean or maximum of each channel: (N, C, H, W) -> (N, C), of maps of 1, 2 or 3 axes.

    Example:
        >>> import torch
        >>> GlobalPool(3)(torch.ones(2, 3, 4, 5)).shape
        torch.Size([2, 3])
    """

    def __init__(self, c_in: int, *, kind: str = "avg", dims: int = 2) -> None:
        super().__init__()
        self.pool = choose("pooling", kind, WHOLE)[dims](1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pool(x).flatten(1)
        return out


def flatten(c_in: int) -> nn.Module:
    """Return the step from (N, C, H, W) to (N, C * H * W), channel by channel."""
    return nn.Flatten()
