"""A way round a fault of oneDNN, torch's library of CPU kernels: strided 1x1 convolutions whose weights learn.

Its kernels for the weights' gradient of a 1x1 convolution with a stride (`jit_1x1`, for AVX2 and for AVX-512, float32
and bf16) write outside their memory in the channels-last layout when there are fewer channels than a block of theirs,
8 or 16: gradients are wrong in silence, or the process dies or hangs, sometimes much later. oneDNN 3.12 and before have
it, see https://github.com/uxlfoundation/oneDNN/issues/6035; `tools/kernels.py` looks for more of the kind.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BLOCK = 16  # channels of the widest kernel's block


@cache
def guard() -> "torch.library.Library":
    """Keep this process, from here on, from computing such gradients with those kernels.

    It stands where the backward pass of every convolution on a CPU comes by, so that it holds for modules, functional
    calls and compiled code alike, and networks, their names and their weights stay as they are.

    Example:
        >>> guard() is guard()
        True
    """
    import torch

    whole = torch.library.get_kernel("aten::convolution_backward", "CPU")

    def backward(keys: Any, slope: "Tensor", x: "Tensor", weight: "Tensor", *options: Any) -> Any:
        """The gradients of x, weight and bias, of which `mask` says which are wanted."""
        sizes, stride, padding, dilation, is_transposed, end_padding, groups, mask = options
        narrow = slope if is_transposed else x  # what the kernel would pick every s-th pixel of
        if not (mask[1] or mask[2]) or groups != 1 or not _is_dangerous(narrow, weight, stride, padding):
            return whole.call_boxed(keys, slope, x, weight, *options)
        rest = (padding, dilation, is_transposed)
        dx = None
        if mask[0]:
            only = [True, False, False]
            dx = whole.call_boxed(keys, slope, x, weight, sizes, stride, *rest, end_padding, groups, only)[0]
        few = _every(narrow, stride)
        pair = (few, x) if is_transposed else (slope, few)
        has_bias = mask[2] and not is_transposed
        steps, ends, only = [1] * len(stride), [0] * len(stride), [False, mask[1], has_bias]
        _, dweight, dbias = whole.call_boxed(keys, *pair, weight, sizes, steps, *rest, ends, groups, only)
        if mask[2] and is_transposed:  # a bias is added to the pixels between, too
            dbias = slope.sum([0, *range(2, slope.ndim)])
        return dx, dweight, dbias

    library = torch.library.Library("aten", "IMPL")
    library.impl("convolution_backward", backward, "CPU", with_keyset=True)
    return library


def _is_dangerous(narrow: "Tensor", weight: "Tensor", stride: Sequence[int], padding: Sequence[int]) -> bool:
    """Whether the layer is a strided 1x1 convolution on few channels."""
    is_pointwise = all(side == 1 for side in weight.shape[2:]) and not any(padding)
    return is_pointwise and any(step != 1 for step in stride) and narrow.shape[1] < BLOCK


def _every(maps: "Tensor", stride: Sequence[int]) -> "Tensor":
    """Return the pixels that a 1x1 convolution with that stride reads."""
    steps = stride if len(stride) == maps.ndim - 2 else [stride[0]] * (maps.ndim - 2)
    return maps[(slice(None), slice(None), *(slice(None, None, step) for step in steps))]
