"""Which inputs a window operation reads for one place of its output, an axis at a time."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .trace import Operation

Places = npt.NDArray[np.int64]
WINDOWS = {"conv", "conv_transpose", "max_pool", "avg_pool"}


def axes_of(operation: Operation) -> int:
    """Return how many spatial axes a window operation has."""
    return operation.output.dim() - 2


def places(operation: Operation, size: Sequence[int], at: Sequence[int]) -> list[Places]:
    """Return for each axis the input index under each tap of the kernel; -1 where there is none (padding, or no input
    falls on that tap of a transposed convolution).

    Args:
        size: of the input, an axis at a time.
        at: the place in the output.
    """
    kernel, stride = kernel_of(operation), pair(operation, "stride", None)
    dilation, padding = pair(operation, "dilation", 1), paddings(operation)
    found = []
    for axis, (length, place) in enumerate(zip(size, at, strict=True)):
        taps = np.arange(kernel[axis]) * dilation[axis]
        if operation.kind == "conv_transpose":
            reach = place + padding[axis] - taps
            index = np.where(reach % stride[axis] == 0, reach // stride[axis], -1)
        else:
            index = place * stride[axis] - padding[axis] + taps
        found.append(np.where((index >= 0) & (index < length), index, -1))
    return found


def kernel_of(operation: Operation) -> tuple[int, ...]:
    """Return the kernel's sides."""
    if "weight" in operation.weights:
        return tuple(operation.weights["weight"].shape[2:])
    return _sides(operation.settings["kernel_size"], axes_of(operation))


def pair(operation: Operation, name: str, otherwise: int | None) -> tuple[int, ...]:
    """Return a setting an axis; pooling's stride is its kernel where it is not given."""
    value = operation.settings.get(name, otherwise)
    if value is None or value in ((), []):
        return kernel_of(operation) if "pool" in operation.kind else (1,) * axes_of(operation)
    return _sides(value, axes_of(operation))


def paddings(operation: Operation) -> tuple[int, ...]:
    """Return the padding before the first input, an axis; "same" has its smaller half there."""
    value: Any = operation.settings.get("padding", 0)
    if not isinstance(value, str):
        return _sides(value, axes_of(operation))
    if value == "valid":
        return (0,) * axes_of(operation)
    reach = zip(kernel_of(operation), pair(operation, "dilation", 1), strict=True)
    return tuple(math.floor((side - 1) * step / 2) for side, step in reach)


def _sides(value: Any, count: int) -> tuple[int, ...]:
    sides = tuple(map(int, value)) if isinstance(value, tuple | list) else (int(value),)
    return sides if len(sides) == count else sides * count
