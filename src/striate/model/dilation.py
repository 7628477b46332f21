"""Dilation in place of strides: the map stays large, and the weights see what they saw."""

from collections.abc import Sequence
from dataclasses import replace

from .blueprint import Row

DILATED = {"conv", "basic", "bottleneck", "inverted"}  # blocks with that option, which a test holds against them all
IN_TWO = {"basic"}  # those with two convolutions, of which the first may have another dilation


def dilated(rows: Sequence[Row], coarsest: int) -> tuple[Row, ...]:
    """Return the rows with dilation in place of strides where the map would become smaller than the image / `coarsest`.

    What was a stride dilates the rows behind it instead. The first convolution that loses its stride keeps the dilation
    before it, as in torchvision. Rows whose block has no dilation stay as they are.

    Reference: Chen et al., DeepLab, arXiv:1606.00915, section 3.1; Yu and Koltun, arXiv:1511.07122.

    Example:
        >>> [(row.stride, dict(row.each)) for row in dilated((Row("conv", 8, 2, 2), Row("conv", 8, 2, 2)), 2)]
        [(2, {}), (1, {'dilation': (1, 2)})]
    """
    stride = dilation = 1
    found = []
    for row in rows:
        before, step = dilation, row.stride
        if row.block in DILATED and step > 1 and stride * step > coarsest:
            dilation, step = dilation * step, 1
        stride *= step
        if row.block in DILATED and dilation > 1:
            first, others = (before, *(dilation,) * (row.repeat - 1)), (dilation,) * row.repeat
            own = {"dilation": others, "first_dilation": first} if row.block in IN_TWO else {"dilation": first}
            row = replace(row, stride=step, each={**row.each, **own})
        found.append(row)
    return tuple(found)
