"""Which cells an output cell depends on, one operation at a time, back to the image: its receptive field.

Supports are masks (C, H, W) of True. Convolution, pooling, copies and sums are followed exactly, channel by channel,
with padding, dilation and stride; other operations by the gradient of that one operation at random inputs, in float64.
Every cell of a max-pooling window counts, not only the one that wins on this image.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from .trace import INPUT, Operation, Trace, map_shape
from .windows import WINDOWS, axes_of, places

Mask = npt.NDArray[np.bool_]
Box = tuple[int, int, int, int]
CHANNELWISE = {"max_pool", "avg_pool"}
CELLWISE = {"activation", "dropout", "batch_norm", "add", "multiply"}


class Supports:
    """Supports in one trace; what is worked out of an operation's geometry is kept."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._reaches = lru_cache(maxsize=512)(self._reach)
        self._sources = lru_cache(maxsize=64)(self._source)

    def box(self, index: int, cell: tuple[int, int, int]) -> Box | None:
        """Return the receptive field of a cell (c, y, x) on the image: y0, x0, y1, x1, ends included; None of none."""
        return hull(self.image(index, cell))

    def image(self, index: int, cell: tuple[int, int, int]) -> Mask:
        """Return the cells of the image (C, H, W) that a cell depends on."""
        start = np.zeros(self._shape(index), np.bool_)
        start[cell] = True
        masks: dict[int, Mask] = {index: start}
        for number in range(index, INPUT, -1):
            if number not in masks:
                continue
            operation = self.trace.operations[number]
            mask = masks.pop(number)
            for place, parent in enumerate(operation.parents):
                found = self.pulled(operation, place, mask)
                masks[parent] = masks[parent] | found if parent in masks else found
        return masks.get(INPUT, np.zeros(self._shape(INPUT), np.bool_))

    def pulled(self, operation: Operation, place: int, mask: Mask) -> Mask:
        """Return the cells of one of its inputs that the masked cells of an output depend on."""
        shape = self._shape(operation.parents[place])
        if operation.kind in WINDOWS and axes_of(operation) <= 2:
            return self._window(operation, mask, shape)
        if operation.kind in CELLWISE and place < len(operation.parents):
            return _summed(mask, shape, self.trace.output(operation.parents[place]).dim(), operation.output.dim())
        if operation.kind in {"reshape", "pad", "concat"}:
            return self._copied(operation, place, mask, shape)
        if operation.kind == "linear" and operation.output.dim() == 2:
            return np.full(shape, mask.any())
        return self._by_gradient(operation, place, mask, shape)

    def _shape(self, index: int) -> tuple[int, int, int]:
        return map_shape(tuple(self.trace.output(index).shape))

    def _window(self, operation: Operation, mask: Mask, shape: tuple[int, int, int]) -> Mask:
        rows, columns = self._reaches(operation.index)
        groups = int(operation.settings.get("groups", 1))
        if operation.kind not in CHANNELWISE:
            mask = np.asarray(mask.reshape(groups, -1, *mask.shape[1:]).any(1))
        found: Mask = np.asarray(rows @ mask.astype(np.float32) @ columns.T > 0)
        if operation.kind in CHANNELWISE:
            return found
        if groups == 1:
            return np.broadcast_to(found, shape)
        return np.repeat(found, shape[0] // groups, 0)

    def _reach(self, index: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """For rows and columns: (inputs, outputs), 1 where an output reads an input."""
        operation = self.trace.operations[index]
        taken, given = (tuple(one.shape[2:]) for one in (self.trace.output(operation.parents[0]), operation.output))
        found = []
        for axis, (size, count) in enumerate(zip(taken, given, strict=True)):
            reach = np.zeros((size, count), np.float32)
            for place in range(count):
                at = [0] * len(taken)
                at[axis] = place
                read = places(operation, taken, at)[axis]
                reach[read[read >= 0], place] = 1
            found.append(reach)
        rows, columns = found if len(found) == 2 else (np.ones((1, 1), np.float32), found[0])
        return rows, columns

    def _copied(self, operation: Operation, place: int, mask: Mask, shape: tuple[int, int, int]) -> Mask:
        source = self._sources(operation.index, place)
        flat = np.zeros(int(np.prod(shape)) + 1, np.bool_)
        flat[source[mask.ravel()]] = True
        return flat[1:].reshape(shape)

    def _source(self, index: int, place: int) -> npt.NDArray[np.int64]:
        return sources(self.trace, self.trace.operations[index], place)

    def _by_gradient(self, operation: Operation, place: int, mask: Mask, shape: tuple[int, int, int]) -> Mask:
        random = torch.Generator().manual_seed(0)
        inputs = [torch.rand(one.shape, generator=random, dtype=torch.float64) for one in self.trace.inputs(operation)]
        with torch.enable_grad():
            inputs[place].requires_grad_()
            result = operation.again(inputs).reshape(-1)
            pick = torch.from_numpy(mask.ravel())
            weights = torch.rand(int(pick.sum()), generator=random, dtype=torch.float64) + 0.5
            total = (result[pick] * weights).sum()
            if not total.requires_grad:
                return np.zeros(shape, np.bool_)
            (slope,) = torch.autograd.grad(total, inputs[place], allow_unused=True)
        return np.zeros(shape, np.bool_) if slope is None else (slope != 0).numpy().reshape(shape)


def hull(mask: Mask) -> Box | None:
    """Return the box of the True cells of a mask (C, H, W): y0, x0, y1, x1, ends included; None where there are none.

    Example:
        >>> mask = np.zeros((1, 4, 5), bool)
        >>> mask[0, 1, 2] = mask[0, 3, 0] = True
        >>> hull(mask)
        (1, 0, 3, 2)
    """
    flat: Mask = np.asarray(mask.any(0))
    rows, columns = np.flatnonzero(flat.any(1)), np.flatnonzero(flat.any(0))
    return (int(rows[0]), int(columns[0]), int(rows[-1]), int(columns[-1])) if len(rows) else None


def sources(trace: Trace, operation: Operation, place: int) -> npt.NDArray[np.int64]:
    """Return for each cell of the output of a copying operation which cell of one input it copies: 1 + its place among
    all of that input, 0 where it copies none of it."""
    inputs = [torch.zeros(one.shape, dtype=torch.float64) for one in trace.inputs(operation)]
    inputs[place] = torch.arange(1, inputs[place].numel() + 1, dtype=torch.float64).reshape(inputs[place].shape)
    with torch.no_grad():
        result = operation.again(inputs) - operation.again([torch.zeros_like(one) for one in inputs])
    found: npt.NDArray[np.int64] = result.numpy().astype(np.int64).ravel()
    return found


def _summed(mask: Mask, shape: tuple[int, int, int], taken: int, given: int) -> Mask:
    """A mask at a shape that was broadcast to it."""
    if mask.shape == shape:
        return mask
    axes = tuple(axis for axis in range(3) if shape[axis] == 1 and mask.shape[axis] != 1)
    found = mask.any(axes, keepdims=True) if axes else mask
    return found if found.shape == shape else np.full(shape, bool(mask.any()))


__all__ = ["Box", "Mask", "Supports", "hull", "sources"]
