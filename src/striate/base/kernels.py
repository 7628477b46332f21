"""A way round faults of oneDNN, torch's library of CPU kernels: gradients of weights that are wrong in channels-last.

- A 1x1 convolution with a stride on fewer channels than a block, 8 on AVX2 and 16 on AVX-512, float32 and bf16: the
  kernel `jit_1x1` writes outside its memory. Gradients are wrong in silence, or the process dies or hangs, sometimes
  much later. See https://github.com/uxlfoundation/oneDNN/issues/6035.
- A dilated convolution in bf16 on AVX-512 whose channels, or those of a group, are no whole blocks: `jit_bf16` reads
  what was never written, and gradients are not finite, or wrong.

oneDNN 3.12 (torch 2.13) has both; `tools/kernels.py` looks for more of the kind. What is right and slow comes by here
too, see `striate.base.depthwise`.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from . import depthwise

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BLOCK = 16  # channels of the widest kernel's block


@cache
def guard() -> "torch.library.Library":
    """Compute such gradients in the default layout, which is right, in this whole process from here on.

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
        *rest, groups, mask = options
        sizes, stride, padding, dilation, is_transposed, further = rest
        if not is_transposed and depthwise.is_depthwise(x, weight, dilation, groups):

            def call(slope: "Tensor", x: "Tensor", weight: "Tensor", stride: Any, padding: Any, mask: Any) -> Any:
                options = (sizes, stride, padding, dilation, is_transposed, further, groups, mask)
                return whole.call_boxed(keys, slope, x, weight, *options)

            return depthwise.gradients(call, slope, x, weight, stride, padding, mask)
        is_wrong = (groups == 1 and _is_strided_pointwise(weight, stride, padding)) or _is_dilated_bf16(
            weight, dilation
        )
        if not is_wrong or not (mask[1] or mask[2]):
            return whole.call_boxed(keys, slope, x, weight, *options)
        # a clone, as `contiguous()` leaves strides alone that only look like channels-last on one channel or pixel
        plain = [one.clone(memory_format=torch.contiguous_format) for one in (slope, x, weight)]
        only = [False, *mask[1:]]
        _, dweight, dbias = whole.call_boxed(keys, *plain, *rest, groups, only)
        only = [True, False, False]
        dx = whole.call_boxed(keys, slope, x, weight, *rest, groups, only)[0] if mask[0] else None
        return dx, dweight, dbias

    library = torch.library.Library("aten", "IMPL")
    library.impl("convolution_backward", backward, "CPU", with_keyset=True)
    return library


def _is_strided_pointwise(weight: "Tensor", stride: Sequence[int], padding: Sequence[int]) -> bool:
    """Whether it is a 1x1 convolution with a stride on few channels."""
    is_strided, is_pointwise = any(step != 1 for step in stride), all(side == 1 for side in weight.shape[2:])
    return is_strided and is_pointwise and not any(padding) and weight.shape[1] < BLOCK


def _is_dilated_bf16(weight: "Tensor", dilation: Sequence[int]) -> bool:
    """Whether it is a dilated convolution in bf16 whose last block of channels, of a group, is not whole."""
    return weight.element_size() == 2 and any(step != 1 for step in dilation) and weight.shape[1] % BLOCK != 0
