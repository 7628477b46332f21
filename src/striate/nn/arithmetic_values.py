"""Convolution arithmetic with the numbers themselves: each output worked one by one, to be read, not to be fast.

Arrays are (C, *size) without a batch; kernels lie as in PyTorch. `windows` are `arithmetic.windows`.

Reference: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, arXiv:1603.07285 (2016).
"""

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from striate.base.errors import SettingsError

from .arithmetic import (
    Each,
    Shape,
    Windows,
    check_groups,
    contributors,
    conv_size,
    pool_size,
    receivers,
    transposed_size,
)

Array = npt.NDArray[np.float64]


class Term(NamedTuple):
    """One product of a dot product; `position` (channel first) is None in the padding, where the value is 0."""

    position: Shape | None
    value: float
    weight: float


def conv(image: Array, kernel: Array, windows: Windows, *, groups: int = 1, bias: Array | None = None) -> Array:
    """Return the convolution of networks (cross-correlation: the kernel is not flipped, see `flip`).

    Each output is the sum of kernel times inputs under it, over all channels of its group, plus the bias.

    Args:
        image: (C, *size).
        kernel: (outputs, C / groups, *kernel).

    Raises:
        SettingsError: kernel and channels do not fit, or the kernel is larger than the padded input.

    Example:
        >>> from .arithmetic import windows
        >>> conv(np.array([[1., 2, 4, 8]]), np.array([[[-1., 1]]]), windows((4,), 2))
        array([[1., 2., 4.]])
    """
    check_groups(len(image), len(kernel), groups)
    _check_kernel(kernel, (len(kernel), len(image) // groups), windows)
    padded = np.pad(image, [(0, 0), *((window.before, window.after) for window in windows)])
    result = np.zeros((len(kernel), *conv_size(image.shape[1:], windows)))
    for output, *place in np.ndindex(result.shape):
        under = padded[_channels(output, len(kernel), len(image), groups), *_slices(place, windows)]
        result[output, *place] = (under * kernel[output]).sum()
    return result + _column(bias, windows)


def terms(image: Array, kernel: Array, windows: Windows, place: Sequence[int], *, groups: int = 1) -> list[Term]:
    """Return the products whose sum is one output of `conv` (before the bias).

    Args:
        place: channel and position of the output.
    """
    output, *position = place
    channels = range(len(image))[_channels(output, len(kernel), len(image), groups)]
    under = product(channels, *(window.taps(at) for at, window in zip(position, windows, strict=True)))
    found = []
    for at, weight in zip(under, kernel[output].flat, strict=True):
        is_inside = all(0 <= one < length for one, length in zip(at, image.shape, strict=True))
        found.append(Term(at if is_inside else None, float(image[at]) if is_inside else 0.0, float(weight)))
    return found


def transposed(
    image: Array,
    kernel: Array,
    windows: Windows,
    *,
    groups: int = 1,
    output_padding: Each = 0,
    bias: Array | None = None,
) -> Array:
    """Return the transposed convolution: each input puts down a copy of the kernel times itself; overlaps add up.

    The padding is cut off the ends of the result; the output padding keeps that much more of the far end.

    Args:
        image: (C, *size).
        kernel: (C, outputs / groups, *kernel).

    Raises:
        SettingsError: kernel and channels do not fit, or the settings leave no output.

    Example:
        >>> from .arithmetic import windows
        >>> transposed(np.array([[1., 2]]), np.array([[[1., 1, 1]]]), windows((2,), 3, stride=2))
        array([[1., 1., 3., 2., 2.]])
    """
    outputs = kernel.shape[1] * groups
    check_groups(len(image), outputs, groups)
    _check_kernel(kernel, (len(image), outputs // groups), windows)
    size = transposed_size(image.shape[1:], windows, output_padding)
    whole = np.zeros((outputs, *(length + window.padding for length, window in zip(size, windows, strict=True))))
    for channel, *place in np.ndindex(image.shape):
        under = _channels(channel, len(image), outputs, groups), *_slices(place, windows)
        whole[under] += image[channel, *place] * kernel[channel]
    inner = (slice(window.before, window.before + length) for length, window in zip(size, windows, strict=True))
    return whole[:, *inner] + _column(bias, windows)


def transposed_terms(
    image: Array, kernel: Array, windows: Windows, place: Sequence[int], *, groups: int = 1
) -> list[Term]:
    """Return the products whose sum is one output of `transposed` (before the bias).

    Args:
        place: channel and position of the output.
    """
    output, *position = place
    width = kernel.shape[1]
    found = []
    for channel in range(len(image))[_channels(output, width * groups, len(image), groups)]:
        for at in receivers(position, image.shape[1:], windows):
            axes = zip(position, at, windows, strict=True)
            tap = tuple((out + one.before - into * one.stride) // one.dilation for out, into, one in axes)
            weight = kernel[channel, output % width, *tap]
            found.append(Term((channel, *at), float(image[channel, *at]), float(weight)))
    return found


def flip(kernel: Array) -> Array:
    """Return the kernel turned around along every axis but its first two: `conv` with it is the convolution of
    mathematics and signal processing.

    Example:
        >>> flip(np.array([[[1., 2, 3]]]))
        array([[[3., 2., 1.]]])
    """
    return np.flip(kernel, tuple(range(2, kernel.ndim)))


def max_pool(image: Array, windows: Windows, *, ceil: bool = False) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return the largest input under each window, and where it stood: its index in the flattened channel.

    Of equal inputs the first counts. Padding is never the largest.

    Raises:
        SettingsError: as `pool_size`, or a window holds nothing but padding.

    Example:
        >>> from .arithmetic import windows
        >>> max_pool(np.array([[3., 1, 2, 5]]), windows((4,), 2, stride=2))
        (array([[3., 5.]]), array([[0, 3]]))
    """
    size = image.shape[1:]
    values = np.zeros((len(image), *pool_size(size, windows, ceil=ceil)))
    positions = np.zeros(values.shape, np.int64)
    for channel, *place in np.ndindex(values.shape):
        under = contributors(place, size, windows)
        if not under:
            where = f"output {tuple(place)}"
            raise SettingsError("a pooling window holds padding only", where=where, fix="give less dilation or padding")
        best = max(under, key=lambda at: image[channel, *at])
        values[channel, *place], positions[channel, *place] = image[channel, *best], np.ravel_multi_index(best, size)
    return values, positions


def avg_pool(image: Array, windows: Windows, *, ceil: bool = False, count_padding: bool = True) -> Array:
    """Return the mean of the inputs under each window.

    Args:
        ceil: whether a last window that is partly outside counts; what lies behind the padding never does.
        count_padding: whether padded zeros count as inputs.

    Raises:
        SettingsError: as `pool_size`, or a dilation other than 1.
    """
    if any(window.dilation > 1 for window in windows):
        raise SettingsError("average pooling has no dilation", where="dilation", fix="give 1, or pool the maximum")
    size = image.shape[1:]
    result = np.zeros((len(image), *pool_size(size, windows, ceil=ceil)))
    for channel, *place in np.ndindex(result.shape):
        under = contributors(place, size, windows)
        total = sum(image[channel, *at] for at in under)
        result[channel, *place] = total / divisor(place, size, windows, count_padding=count_padding)
    return result


def divisor(place: Sequence[int], size: Sequence[int], windows: Windows, *, count_padding: bool = True) -> int:
    """Return by what the sum under an average pooling window is divided.

    Example:
        >>> from .arithmetic import windows
        >>> divisor((0,), (4,), windows((4,), 3, padding=1)), divisor((1,), (4,), windows((4,), 3, padding=1))
        (3, 3)
        >>> divisor((0,), (4,), windows((4,), 3, padding=1), count_padding=False)
        2
    """
    if not count_padding:
        return len(contributors(place, size, windows))
    axes = zip(place, size, windows, strict=True)
    return prod(min(at * one.stride + one.kernel, length + one.padding) - at * one.stride for at, length, one in axes)


def unpool(values: Array, positions: npt.NDArray[np.int64], size: Sequence[int]) -> Array:
    """Return a map of `size` with each value put back where `max_pool` found it, and 0 elsewhere.

    Raises:
        SettingsError: a position lies outside `size`.

    Example:
        >>> unpool(np.array([[3., 5.]]), np.array([[0, 3]]), (4,))
        array([[3., 0., 0., 5.]])

    Reference: Zeiler and Fergus, arXiv:1311.2901 (2013).
    """
    if positions.min() < 0 or positions.max() >= prod(size):
        what = f"position {positions.max()} is not in an output of {'x'.join(map(str, size))}"
        raise SettingsError(what, where="unpool", fix="give the size of the map before pooling")
    flat = np.zeros((len(values), prod(size)))
    for channel, *place in np.ndindex(values.shape):
        flat[channel, positions[channel, *place]] = values[channel, *place]
    return flat.reshape(len(values), *size)


def unpool_nearest(values: Array, factors: Sequence[int]) -> Array:
    """Return the map with each value repeated `factors` times along its axes.

    Example:
        >>> unpool_nearest(np.array([[1., 2.]]), (3,))
        array([[1., 1., 1., 2., 2., 2.]])
    """
    for axis, factor in enumerate(factors, start=1):
        values = np.repeat(values, factor, axis)
    return values


def _check_kernel(kernel: Array, channels: Shape, windows: Windows) -> None:
    wanted = (*channels, *(window.kernel for window in windows))
    if kernel.shape != wanted:
        raise SettingsError(f"kernel is {kernel.shape}, the settings want {wanted}", where="kernel", fix="reshape it")


def _channels(index: int, count: int, others: int, groups: int) -> slice:
    """The channels, of `others`, in the group of channel `index`, of `count`."""
    width, group = others // groups, index // (count // groups)
    return slice(group * width, (group + 1) * width)


def _slices(place: Sequence[int], windows: Windows) -> list[slice]:
    """What lies under the window, counted from the start of the padding."""
    firsts = (at * window.stride for at, window in zip(place, windows, strict=True))
    return [slice(at, at + window.reach, window.dilation) for at, window in zip(firsts, windows, strict=True)]


def _column(bias: Array | None, windows: Windows) -> Array:
    return np.zeros(1) if bias is None else bias.reshape(-1, *(1 for _ in windows))
