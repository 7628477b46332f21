"""Pooling: windows, the whole map, and the step from a map to a vector."""

from torch import Tensor, nn

from striate.base.choose import choose

from .conv import Pair

WHOLE = {"avg": nn.AdaptiveAvgPool2d, "max": nn.AdaptiveMaxPool2d}


def max_pool(c_in: int, *, kernel: Pair = 2, stride: Pair = 1, padding: Pair = 0, ceil: bool = False) -> nn.Module:
    """Return the maximum over windows; `ceil` keeps a last window that is partly outside.

    Example:
        >>> max_pool(8, stride=2)
        MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    """
    return nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)


def avg_pool(
    c_in: int, *, kernel: Pair = 2, stride: Pair = 1, padding: Pair = 0, ceil: bool = False, count_padding: bool = True
) -> nn.Module:
    """Return the mean over windows; `count_padding` says whether padded zeros count."""
    return nn.AvgPool2d(kernel, stride, padding, ceil_mode=ceil, count_include_pad=count_padding)


def adaptive_pool(c_in: int, *, size: Pair = 7, kind: str = "avg") -> nn.Module:
    """Return pooling to a map of `size`, whatever the size of the input."""
    return choose("pooling", kind, WHOLE)(size)


class GlobalPool(nn.Module):
    """The mean or maximum of each channel: (N, C, H, W) -> (N, C).

    Example:
        >>> import torch
        >>> GlobalPool(3)(torch.ones(2, 3, 4, 5)).shape
        torch.Size([2, 3])
    """

    def __init__(self, c_in: int, *, kind: str = "avg") -> None:
        super().__init__()
        self.pool = choose("pooling", kind, WHOLE)(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x).flatten(1)


def flatten(c_in: int) -> nn.Module:
    """Return the step from (N, C, H, W) to (N, C * H * W), channel by channel."""
    return nn.Flatten()
