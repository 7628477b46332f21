"""Every operation of a forward pass, in the order in which they run: functions too, and modules that are used twice.

PyTorch hands each call of one of its functions to a `TorchFunctionMode` while it is on; what a function was given is
known by the identity of the tensors. Where an operation writes into its input, as an in-place ReLU does, what was there
before is copied first, so that every operation keeps the output it had.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

from . import functions
from .tap import borrowed

INPUT = -1  # the number of the image among parents
Array = npt.NDArray[Any]
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class Slot:
    """The place of a tensor of an earlier operation among a call's arguments."""

    place: int


@dataclass(frozen=True, eq=False)
class Operation:
    """One call of one function.

    Args:
        index: its place in the order of execution.
        name: of the function, as PyTorch has it.
        kind: "conv", "max_pool", "batch_norm", ..., see `functions.KINDS`.
        module: the path of the module that called it, "" for the network's own forward.
        use: how often this module's forward had run before.
        parents: the operations whose outputs it was given, -1 for the image, in the order of its arguments.
        settings: its other arguments, by name.
        weights: parameters, buffers and constants it was given, by the argument's name.
        weight_names: what these are called in the network's state; "" for none of them.
        output: what it returned.
        part: which one of several tensors that it returned.
    """

    index: int
    name: str
    kind: str
    module: str
    use: int
    parents: tuple[int, ...]
    settings: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    weight_names: Mapping[str, str]
    output: Tensor
    part: int
    call: Call = field(repr=False)

    def again(self, inputs: "list[Tensor]") -> Tensor:
        """Return what the function gives for other inputs, in their precision; nothing is written into them."""
        func, args, kwargs = self.call
        dtype = inputs[0].dtype if inputs else torch.float64
        if functions.is_writing(_name(func), args, kwargs):
            inputs = [one.clone() for one in inputs]

        def at(value: Any) -> Any:
            if isinstance(value, Slot):
                return inputs[value.place]
            return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value

        given = {key: _changed(value, at) for key, value in kwargs.items() if key != "out"}
        result: Any = func(*_changed(args, at), **given)
        if result is None:  # x[...] = y
            result = inputs[0]
        output: Tensor = result[self.part] if isinstance(result, tuple | list) else result
        return output


@dataclass(frozen=True, eq=False)
class Trace:
    """All operations of one pass of one image. `image` (1, C, ...) is what the network was given, `outputs` what it
    gave; `state` its parameters and buffers."""

    image: Tensor
    operations: tuple[Operation, ...]
    outputs: Any
    state: Mapping[str, Tensor]

    def output(self, index: int) -> Tensor:
        """Return the output of an operation; -1 is the image."""
        return self.image if index == INPUT else self.operations[index].output

    def inputs(self, operation: Operation) -> list[Tensor]:
        """Return what an operation was given."""
        return [self.output(parent) for parent in operation.parents]

    def children(self, index: int) -> list[Operation]:
        """Return the operations that were given an operation's output."""
        return [one for one in self.operations if index in one.parents]

    def maps(self, index: int) -> Array:
        """Return an output as maps (C, H, W), see `as_maps`."""
        return as_maps(self.output(index))


def as_maps(output: Tensor) -> Array:
    """Return the output for one image as (C, H, W): vectors are maps of one cell, signals and tokens of one row.

    Example:
        >>> as_maps(torch.zeros(1, 5)).shape, as_maps(torch.zeros(1, 2, 3, 4, 5)).shape
        ((5, 1, 1), (2, 12, 5))
    """
    values: Array = output.numpy()
    return values.reshape(map_shape(tuple(output.shape)))


def map_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return (C, H, W) for the shape of an output, whose first side is the image.

    Example:
        >>> map_shape((1, 8, 4, 4)), map_shape((1, 10)), map_shape((1,))
        ((8, 4, 4), (10, 1, 1), (1, 1, 1))
    """
    sides = shape[1:] if shape[:1] == (1,) else shape
    if len(sides) < 2:
        return (int(np.prod(sides)), 1, 1)
    if len(sides) == 2:
        return (sides[0], 1, sides[1])
    return (sides[0], int(np.prod(sides[1:-1])), sides[-1])


def trace(network: nn.Module, image: Tensor) -> Trace:
    """Return every operation of a pass of one image (1, C, ...), in evaluation mode; the network stays as it was.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(8, 3))
        >>> [one.kind for one in trace(net, torch.zeros(1, 1, 4, 4)).operations]
        ['conv', 'activation', 'reshape', 'linear']
    """
    with torch.no_grad(), borrowed(network) as probe:
        given = probe.ready(image)
        kept = given.clone()
        recorder = _Recorder({id(value): name for name, value in probe.state.items()})
        with _watched(network, recorder), recorder:
            outputs = probe(given)
        return Trace(kept, _reached(recorder.operations), outputs, dict(probe.state))


class _Recorder(TorchFunctionMode):
    """Writes down each call of a function inside the network's forward."""

    def __init__(self, names: Mapping[int, str]) -> None:
        super().__init__()
        self.names = names
        self.stack: list[tuple[str, int]] = []
        self.uses: dict[str, int] = {}
        self.operations: list[Operation] = []
        self._origin: dict[int, tuple[int, int]] = {}  # id of a tensor -> operation, version of its content
        self._alive: list[Tensor] = []  # so that no id is given to another tensor
        self._by_storage: dict[int, list[int]] = {}

    def begin(self, image: Tensor) -> None:
        """Take a tensor as the image."""
        self._set(image, INPUT)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not self.stack:
            return func(*args, **kwargs)
        name = _name(func)
        is_writing = functions.is_writing(name, args, kwargs)
        parents: list[int] = []
        template = _changed((args, kwargs), lambda value: self._slot(value, parents))
        if is_writing:
            self._keep_before(args, kwargs)
        result = func(*args, **kwargs)
        self._note(func, functions.plain(name), parents, template, result, args if is_writing else ())
        return result

    def _slot(self, value: Any, parents: list[int]) -> Any:
        """A place for a tensor of an earlier operation, whose number joins the parents; other values stay."""
        if not isinstance(value, Tensor) or id(value) not in self._origin:
            return value
        index, version = self._origin[id(value)]
        if value._version != version:  # something wrote into it by another name
            index = self._changed_behind(value, index)
        parents.append(index)
        return Slot(len(parents) - 1)

    def _changed_behind(self, value: Tensor, index: int) -> int:
        last = max((one.index for one in self.operations), default=INPUT)
        call: Call = (torch.clone, (Slot(1),), {})
        self._add("written into", "other", (index, last), {}, {}, value.detach().clone(), 0, call)
        self._set(value, len(self.operations) - 1)
        return len(self.operations) - 1

    def _keep_before(self, args: Any, kwargs: Any) -> None:
        """Copy the outputs that lie in the storage of what is about to be written into."""
        for value in (*args[:1], kwargs.get("input"), kwargs.get("out")):
            if isinstance(value, Tensor):
                for index in self._by_storage.pop(value.untyped_storage().data_ptr(), ()):
                    old = self.operations[index]
                    self.operations[index] = replace(old, output=old.output.clone())

    def _note(self, func: Any, name: str, parents: list[int], template: Any, result: Any, written: Any) -> None:
        outputs = result if isinstance(result, tuple | list) else (result,)
        if written and not isinstance(result, Tensor):  # x[...] = y
            outputs = written[:1]
        for part, output in enumerate(outputs):
            if not isinstance(output, Tensor) or not output.is_floating_point():
                continue
            if name in functions.SAME and parents and not written:
                self._set(output, parents[0])
                continue
            if id(output) in self.names or (id(output) in self._origin and not written):
                continue
            args, kwargs = template
            settings, weights = _named(name, args, kwargs)
            kind = functions.kind_of(name) if name != "__setitem__" else "other"
            self._add(name, kind, tuple(parents), settings, weights, output.detach(), part, (func, args, kwargs))
            self._set(output, len(self.operations) - 1)

    def _add(
        self,
        name: str,
        kind: str,
        parents: tuple[int, ...],
        settings: Any,
        weights: Any,
        output: Tensor,
        part: int,
        call: Any,
    ) -> None:
        module, use = self.stack[-1]
        names = {key: self.names.get(id(value), "") for key, value in weights.items()}
        index = len(self.operations)
        self._by_storage.setdefault(output.untyped_storage().data_ptr(), []).append(index)
        self.operations.append(
            Operation(index, name, kind, module, use, parents, settings, weights, names, output, part, call)
        )

    def _set(self, tensor: Tensor, index: int) -> None:
        self._origin[id(tensor)] = (index, tensor._version)
        self._alive.append(tensor)


def _name(func: Any) -> str:
    """The last part of a function's name; of a property its own."""
    full: str = resolve_name(func) or getattr(func, "__name__", "function")
    *before, last = full.split(".")
    return before[-1] if last == "__get__" and before else last


def _named(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A call's settings and weights, by the names of its arguments."""
    known = functions.ARGUMENTS.get(name, ())
    places = [known[place] if place < len(known) else f"argument {place + 1}" for place in range(len(args))]
    given = {**dict(zip(places, args, strict=True)), **kwargs}
    weights = {key: value for key, value in given.items() if isinstance(value, Tensor)}
    hidden = {"inplace", "_stacklevel", "dtype", "out"}
    settings = {
        key: value
        for key, value in given.items()
        if key not in weights and key not in hidden and value is not None and not _has_slot(value)
    }
    return settings, weights


def _has_slot(value: Any) -> bool:
    return isinstance(value, Slot) or (isinstance(value, tuple | list) and any(map(_has_slot, value)))


def _changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """A nesting of tuples, lists and dicts with each value changed."""
    if isinstance(value, dict):
        return {key: _changed(item, change) for key, item in value.items()}
    if isinstance(value, tuple | list) and type(value) in (tuple, list):
        return type(value)(_changed(item, change) for item in value)
    return change(value)


def _reached(operations: list[Operation]) -> tuple[Operation, ...]:
    """The operations that the image reaches, and the constants they take, numbered anew."""
    is_reached: dict[int, bool] = {INPUT: True}
    for one in operations:
        is_reached[one.index] = any(is_reached[parent] for parent in one.parents)
    needed = {parent for one in operations if is_reached[one.index] for parent in one.parents}
    for one in reversed(operations):
        if one.index in needed:
            needed.update(one.parents)
    kept = [one for one in operations if is_reached[one.index] or one.index in needed]
    number = {one.index: place for place, one in enumerate(kept)} | {INPUT: INPUT}
    found = []
    for one in kept:
        kind = one.kind if is_reached[one.index] else "constant"
        parents = tuple(number[parent] for parent in one.parents)
        found.append(replace(one, index=number[one.index], kind=kind, parents=parents))
    return tuple(found)


@contextmanager
def _watched(network: nn.Module, recorder: _Recorder) -> Iterator[None]:
    """Tell the recorder which module is at work; hooks also keep a `Network` in the order of its table."""
    handles = []
    for path, module in network.named_modules():

        def enter(module: nn.Module, args: Any, path: str = path) -> None:
            use = recorder.uses.get(path, 0)
            recorder.uses[path] = use + 1
            if not recorder.stack:
                recorder.begin(args[0])
            recorder.stack.append((path, use))

        def leave(module: nn.Module, args: Any, out: Any) -> None:
            recorder.stack.pop()

        handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave, always_call=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
