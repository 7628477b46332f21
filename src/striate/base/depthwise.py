"""Gradients of depthwise convolutions of images by oneDNN's fast kernels, where torch's call ends in a slow one (x86).

- Of the input, in bf16, with a stride: oneDNN 3.12 takes its kernel of plain convolutions, 8 to 50 times as slow as
  what is done here: zeros between the slope's units, and the gradient of a convolution without a stride.
- Of weights that are wider than three columns (ConvNeXt's 7 x 7, EfficientNet's 5 x 5), 2 to 20 times: three columns
  at a time, each time with the input moved along. How high they are does not matter.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

COLUMNS = 3  # of weights, that the fast kernel has at most
Pair = Sequence[int]
Gradients = tuple["Tensor | None", "Tensor | None", "Tensor | None"]  # of x, weight and bias
Call = Callable[["Tensor", "Tensor", "Tensor", Pair, Pair, Sequence[bool]], Gradients]


def is_depthwise(x: "Tensor", weight: "Tensor", dilation: Pair, groups: int) -> bool:
    """Return whether each channel of images has one filter without gaps, on a processor that this is about."""
    import torch

    if groups == 1 or weight.ndim != 4 or any(step != 1 for step in dilation) or x.numel() == 0:
        return False
    return groups == weight.shape[0] == x.shape[1] and torch.backends.cpu.get_cpu_capability().startswith("AVX")


def gradients(
    call: Call, slope: "Tensor", x: "Tensor", weight: "Tensor", stride: Pair, padding: Pair, mask: Sequence[bool]
) -> Gradients:
    """Return the gradients that `mask` asks for.

    Args:
        call: torch's own way, of the arguments that follow here.
        slope: of the units (N, C, h, w).
        x: (N, C, H, W).
        weight: (C, 1, kernel height, kernel width).
    """
    import torch

    stride, padding = (tuple(one) * (2 // len(one)) for one in (stride, padding))  # one number stands for both axes
    is_half, is_strided = weight.dtype == torch.bfloat16, any(step != 1 for step in stride)
    is_wide = weight.shape[3] > COLUMNS and (is_half or (weight.dtype == torch.float32 and not is_strided))
    own = mask[0] and is_half and is_strided, mask[1] and is_wide
    dx = _of_input(call, slope, x, weight, stride, padding) if own[0] else None
    dweight, dbias = _of_weight(call, slope, x, weight, stride, padding, mask[2]) if own[1] else (None, None)
    rest = mask[0] and not own[0], mask[1] and not own[1], mask[2] and not own[1]
    if any(rest):
        others = call(slope, x, weight, stride, padding, rest)
        dx, dweight, dbias = (a if b is None else b for a, b in zip(others, (dx, dweight, dbias), strict=True))
    return dx, dweight, dbias


def _of_input(
    call: Call, slope: "Tensor", x: "Tensor", weight: "Tensor", stride: Pair, padding: Pair
) -> "Tensor | None":
    import torch

    sides = [x.shape[2 + axis] + 2 * padding[axis] - weight.shape[2 + axis] + 1 for axis in (0, 1)]
    layout = torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    spread = torch.empty((*x.shape[:2], *sides), dtype=slope.dtype, device=slope.device, memory_format=layout).zero_()
    high, wide = ((slope.shape[2 + axis] - 1) * stride[axis] + 1 for axis in (0, 1))
    spread[:, :, : high : stride[0], : wide : stride[1]] = slope
    return call(spread, x, weight, (1, 1), padding, (True, False, False))[0]


def _of_weight(
    call: Call, slope: "Tensor", x: "Tensor", weight: "Tensor", stride: Pair, padding: Pair, has_bias: bool
) -> tuple["Tensor", "Tensor | None"]:
    import torch
    from torch.nn.functional import pad

    # what the units see: all padding is made here, since the kernel takes no map that is lower than the weights
    high, wide = ((slope.shape[2 + axis] - 1) * stride[axis] for axis in (0, 1))
    below = high + weight.shape[2] - x.shape[2] - padding[0]
    beside = wide + weight.shape[3] - x.shape[3] - padding[1]
    layout = torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    whole = pad(x, (padding[1], max(beside, 0), padding[0], max(below, 0)))
    whole = whole[:, :, : high + weight.shape[2]]  # the last columns are cut with those of the weights
    parts: list[torch.Tensor] = []
    dbias: torch.Tensor | None = None
    for start in range(0, weight.shape[3], COLUMNS):
        columns = weight[..., start : start + COLUMNS]
        seen = whole[..., start : start + wide + columns.shape[3]].contiguous(memory_format=layout)
        is_first = has_bias and start == 0
        _, part, of_bias = call(slope, seen, columns, stride, (0, 0), (False, True, is_first))
        assert part is not None, "asked for"
        parts.append(part)
        dbias = of_bias if is_first else dbias
    return torch.cat(parts, 3), dbias
