"""A pass cut down to what a page can carry: each operation with some of its maps, and what is needed to work them out.

Of an operation are kept: the maps with the largest numbers; a window of each around the largest, where maps are larger
than that; the part of its input under this window; the kernels. What inputs that are left out add is kept as one number
for each output (`rest`), so that the sum is still the network's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.inside.trace import Operation, Trace, as_maps, map_shape
from striate.inside.windows import axes_of, kernel_of, paddings, pair

Floats = npt.NDArray[np.float32]
Slices = tuple[slice, slice]
WINDOWED = {"conv": "conv", "conv_transpose": "transposed", "max_pool": "max", "avg_pool": "average"}
HIDDEN = {"reshape", "dropout", "constant"}
LEAST_ROWS = 10  # of a linear layer, so that ten classes are all there
TERMS = 4  # inputs of a linear layer for each map that a convolution may read


@dataclass(frozen=True)
class Sampling:
    """How much of each operation is kept: maps, inputs that each reads, and the side of the window."""

    maps: int
    inputs: int
    side: int


ALL = Sampling(10**9, 10**9, 10**9)
SIZES = ((32, 64, 56), (16, 24, 36), (8, 16, 28), (6, 12, 20), (4, 8, 14), (3, 4, 9), (2, 3, 6), (1, 2, 4))
LEVELS = (ALL, *(Sampling(*sizes) for sizes in SIZES))


@dataclass(frozen=True, eq=False)
class Step:
    """What is kept of an operation, the same for every image.

    Args:
        kind: "conv", "transposed", "max", "average", "linear", or "map" where only its numbers are shown.
        maps: channels that are kept.
        inputs: for each of these the channels of the input that are kept.
        window: rows and columns of the output that are kept.
        under: those of the input.
    """

    operation: Operation
    kind: str
    maps: tuple[int, ...]
    inputs: tuple[tuple[int, ...], ...]
    window: Slices
    under: Slices

    @property
    def read(self) -> list[int]:
        """All channels of the input that are kept."""
        return sorted({channel for row in self.inputs for channel in row})

    @property
    def is_partial(self) -> bool:
        """Whether inputs are left out of the sums."""
        return self.kind in {"conv", "transposed", "linear"} and len(self.inputs[0]) < _fan_in(self.operation)

    def kernels(self) -> Floats | None:
        """Return (maps, inputs, *kernel), None where nothing is learned."""
        weight = self.operation.weights.get("weight")
        if self.kind not in {"conv", "transposed", "linear"} or weight is None:
            return None
        values = weight.detach().float().numpy()
        width = _fan_in(self.operation)
        if self.kind == "transposed":
            per_group = values.shape[1]
            rows = [values[list(row), channel % per_group] for channel, row in zip(self.maps, self.inputs, strict=True)]
        else:
            rows = [
                values[channel][[one % width for one in row]]
                for channel, row in zip(self.maps, self.inputs, strict=True)
            ]
        return np.stack(rows)

    def biases(self) -> Floats | None:
        """Return (maps,)."""
        bias = self.operation.weights.get("bias")
        if self.kernels() is None or bias is None:
            return None
        return np.asarray(bias.detach().float().numpy()[list(self.maps)])

    def arrays(self, trace: Trace) -> dict[str, Floats]:
        """Return what a pass has here: `out` (maps, h, w), `input` (channels, h, w) and `rest` like `out`."""
        operation = trace.operations[self.operation.index]
        found = {"out": _cut(as_maps(operation.output), self.maps, self.window)}
        if self.kind != "map":
            found["input"] = _cut(as_maps(trace.inputs(operation)[0]), self.read, self.under)
        if self.is_partial:
            found["rest"] = _cut(self._rest(trace, operation), self.maps, self.window)
        return found

    def _rest(self, trace: Trace, operation: Operation) -> npt.NDArray[Any]:
        """What the inputs that are left out add, without the bias."""
        taken = trace.inputs(operation)[0].double().clone()
        taken[:, self.read] = 0
        made = as_maps(operation.again([taken]))
        bias = operation.weights.get("bias")
        return made if bias is None else made - bias.detach().double().numpy()[:, None, None]


def _fan_in(operation: Operation) -> int:
    """Inputs that one output of a learned operation reads."""
    weight = operation.weights["weight"]
    return (
        int(weight.shape[0]) // int(operation.settings.get("groups", 1))
        if operation.kind == "conv_transpose"
        else int(weight.shape[1])
    )


def _cut(maps: npt.NDArray[Any], channels: Sequence[int], window: Slices) -> Floats:
    return np.ascontiguousarray(maps[list(channels)][:, window[0], window[1]], np.float32)


def steps_of(trace: Trace, sampling: Sampling) -> list[Step]:
    """Return what is kept of each operation that does more than move numbers."""
    return [
        _step(trace, one, sampling)
        for one in trace.operations
        if one.kind not in HIDDEN and one.output.shape[:1] == (1,)
    ]


def _step(trace: Trace, operation: Operation, sampling: Sampling) -> Step:
    kind, maps = _kind(trace, operation), as_maps(operation.output)
    most = max(sampling.maps, LEAST_ROWS) if kind == "linear" else sampling.maps
    strongest = np.argsort(-maps.max((1, 2)), kind="stable")
    chosen = tuple(sorted(int(one) for one in strongest[:most]))
    place = np.unravel_index(int(maps[strongest[0]].argmax()), maps.shape[1:])
    window = tuple(_around(int(at), side, sampling.side) for at, side in zip(place, maps.shape[1:], strict=True))
    whole = slice(0, None), slice(0, None)
    under = whole
    inputs: tuple[tuple[int, ...], ...] = tuple((channel,) for channel in chosen)
    if kind in {"conv", "transposed", "linear"}:
        inputs = _inputs(trace, operation, chosen, sampling.inputs * (TERMS if kind == "linear" else 1))
    if kind in {"conv", "transposed", "max", "average"}:
        settings = settings_of(trace, operation)
        under = tuple(_under(kind, settings, axis, window[axis]) for axis in (0, 1))  # type: ignore[assignment]
    return Step(operation, kind, chosen, inputs, (window[0], window[1]), under)


def _kind(trace: Trace, operation: Operation) -> str:
    """How it is stepped through."""
    taken = trace.inputs(operation)
    if not taken or len(operation.parents) != 1:
        return "map"
    if operation.kind in WINDOWED and operation.output.dim() == 4 and taken[0].dim() == 4:
        needs_weight = operation.kind.startswith("conv") and "weight" not in operation.weights
        return "map" if needs_weight or "divisor_override" in operation.settings else WINDOWED[operation.kind]
    if operation.kind == "linear" and taken[0].dim() == 2 and "weight" in operation.weights:
        return "linear"
    if (
        operation.kind == "mean"
        and operation.name != "sum"
        and taken[0].dim() == 4
        and operation.output.numel() == taken[0].shape[1]
    ):
        return "average"
    return "map"


def _inputs(trace: Trace, operation: Operation, chosen: Sequence[int], most: int) -> tuple[tuple[int, ...], ...]:
    """For each map the inputs that weigh most in its group: the size of their kernels times that of their numbers."""
    weight = (
        operation.weights["weight"].detach().abs().flatten(2).sum(2)
        if operation.kind != "linear"
        else operation.weights["weight"].detach().abs()
    )
    if operation.kind == "conv_transpose":
        weight = weight.T.repeat(1, 1)
    size = np.abs(as_maps(trace.inputs(operation)[0])).mean((1, 2))
    groups, fan_in = int(operation.settings.get("groups", 1)), _fan_in(operation)
    per_group = operation.output.shape[1] // groups
    found = {}
    for group in {channel // per_group for channel in chosen}:
        members = [channel for channel in chosen if channel // per_group == group]
        own = range(group * fan_in, (group + 1) * fan_in)
        if operation.kind == "conv_transpose":
            rows = weight[[channel % per_group for channel in members]][:, list(own)]
        else:
            rows = weight[members]
        order = np.argsort(-(rows.sum(0).numpy() * size[own.start : own.stop]), kind="stable")[:most]
        found[group] = tuple(sorted(own.start + int(one) for one in order))
    return tuple(found[channel // per_group] for channel in chosen)


def _around(at: int, length: int, side: int) -> slice:
    first = max(0, min(at - side // 2, length - side))
    return slice(first, min(length, first + side))


def settings_of(trace: Trace, operation: Operation) -> dict[str, Any]:
    """Return the settings of a window as the playground has them, for one input map and one output map."""
    size = list(trace.inputs(operation)[0].shape[2:])
    usual = {"outputPadding": [0, 0], "channels": 1, "outputs": 1, "groups": 1, "ceil": False, "countPadding": True}
    if operation.kind == "mean":
        whole = {"kernel": size, "stride": size, "padding": [0, 0], "dilation": [1, 1]}
        return usual | {"kind": "average", "size": size} | whole
    assert axes_of(operation) == 2
    return usual | {
        "kind": WINDOWED[operation.kind],
        "size": size,
        "kernel": list(kernel_of(operation)),
        "stride": list(pair(operation, "stride", None)),
        "padding": list(paddings(operation)),
        "dilation": list(pair(operation, "dilation", 1)),
        "countPadding": bool(operation.settings.get("count_include_pad", True)),
    }


def _under(kind: str, settings: dict[str, Any], axis: int, window: slice) -> slice:
    """The part of the input that a part of the output reads."""
    stride, padding = settings["stride"][axis], settings["padding"][axis]
    span = settings["dilation"][axis] * (settings["kernel"][axis] - 1)
    if kind == "transposed":
        first, last = -((span - window.start - padding) // stride), (window.stop - 1 + padding) // stride
    else:
        first, last = window.start * stride - padding, (window.stop - 1) * stride - padding + span
    return slice(max(0, first), max(0, min(settings["size"][axis], last + 1)))


def described(trace: Trace, step: Step) -> dict[str, Any]:
    """Return what the page knows of a step, without its arrays."""
    one = step.operation
    windowed = step.kind in {"conv", "transposed", "max", "average"}
    return {
        "index": one.index,
        "name": one.name,
        "kind": step.kind,
        "operation": one.kind,
        "module": one.module.removeprefix("rows."),
        "shape": list(map_shape(tuple(one.output.shape))),
        "taken": [list(map_shape(tuple(taken.shape))) for taken in trace.inputs(one)],
        "maps": list(step.maps),
        "inputs": [list(row) for row in step.inputs],
        "read": step.read,
        "window": [[part.start, part.stop] for part in step.window],
        "under": [[part.start, part.stop] for part in step.under] if windowed else None,
        "settings": settings_of(trace, one) if windowed else None,
        "fan_in": _fan_in(one) if step.kind in {"conv", "transposed", "linear"} else 1,
    }
