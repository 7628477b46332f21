"""Where one number of a network comes from: the sum behind it, term by term, in float64.

`probe` gives the terms of a cell: for each input that was read its value and what it was multiplied by, where it lies,
and which taps of a kernel fell on padding; what is added; the total; and what the network stored. What is no sum (a
maximum, an activation, a softmax) says what it did instead.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from .support import sources
from .trace import Operation, Trace, map_shape
from .windows import Places, places

Array = npt.NDArray[np.float64]
Cell = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Terms:
    """What was read of one input.

    Args:
        parent: the operation whose output it is, -1 for the image.
        values: what was read, 0 on padding.
        weights: what each value was multiplied by; None where nothing is multiplied.
        is_read: where an input lies under; elsewhere there is padding, or nothing at all.
        cells: (c, y, x) of each value in the parent's maps, -1 where there is none; the shape of `values` and 3.
        winner: the flat place of the value that counts, of a maximum.
    """

    parent: int
    values: Array
    weights: Array | None
    is_read: npt.NDArray[np.bool_]
    cells: npt.NDArray[np.int64]
    winner: int | None = None

    @property
    def products(self) -> Array:
        """Values times weights; the values where nothing is multiplied."""
        return self.values if self.weights is None else self.values * self.weights


@dataclass(frozen=True, eq=False)
class Probed:
    """Where a cell's number comes from.

    Args:
        operation: whose output it is a cell of.
        cell: (c, y, x) in its maps.
        how: "sum", "maximum", "function", "copy" or "again" (worked out again, not taken apart).
        terms: what was read, an entry for each input.
        added: what is added to the products, by name (bias, ...).
        numbers: other numbers of the formula, by name, in the order in which they are used.
        total: the result in float64.
        stored: what the network has there.
    """

    operation: Operation
    cell: Cell
    how: str
    terms: tuple[Terms, ...]
    added: dict[str, float]
    numbers: dict[str, float]
    total: float
    stored: float

    @property
    def difference(self) -> float:
        """Total less what the network stored."""
        return self.total - self.stored

    @property
    def scale(self) -> float:
        """What rounding is measured against: the sizes of all terms together."""
        parts = [float(np.abs(one.products).sum()) for one in self.terms] if self.how == "sum" else []
        return max([abs(self.stored), abs(self.total), sum(parts) + sum(map(abs, self.added.values()))])


@dataclass
class _Work:
    """A cell that is being taken apart."""

    trace: Trace
    operation: Operation
    cell: Cell
    index: tuple[int, ...]  # in the output's own shape, without the image
    numbers: dict[str, float] = field(default_factory=dict)

    def taken(self, place: int = 0) -> torch.Tensor:
        """An input, in float64."""
        return self.trace.inputs(self.operation)[place].double()

    def weight(self, name: str) -> torch.Tensor | None:
        """A weight in float64; None where there is none."""
        value = self.operation.weights.get(name)
        return None if value is None else value.detach().double()


Parts = tuple[str, tuple[Terms, ...], dict[str, float], float]


def probe(trace: Trace, index: int, cell: Cell) -> Probed:
    """Return where the number in a cell (c, y, x) of an operation's output comes from.

    Raises:
        IndexError: there is no such operation, or no such cell.

    Example:
        >>> from striate.inside.trace import trace
        >>> net = torch.nn.Conv2d(1, 1, 3, padding=1)
        >>> found = probe(trace(net, torch.ones(1, 1, 4, 4)), 0, (0, 0, 0))
        >>> int(found.terms[0].is_read.sum()), abs(found.difference) < 1e-6
        (4, True)
    """
    operation = trace.operations[index]
    shape = map_shape(tuple(operation.output.shape))
    if not all(0 <= place < side for place, side in zip(cell, shape, strict=True)):
        raise IndexError(f"no cell {cell} in maps of {shape}")
    flat = int(np.ravel_multi_index(cell, shape))
    own = tuple(operation.output.shape)
    where = tuple(int(place) for place in np.unravel_index(flat, own))
    stored = float(operation.output.reshape(-1)[flat])
    work = _Work(trace, operation, cell, where)
    how, terms, added, total = (WAYS.get(operation.kind) or _again)(work)
    return Probed(operation, cell, how, terms, added, work.numbers, total, stored)


def _window_terms(work: _Work, first: int, count: int, weights: Array | None) -> Terms:
    """What a window over channels `first` to `first + count` reads: values (count, *kernel)."""
    taken = work.taken()[0].numpy()
    found = places(work.operation, taken.shape[1:], work.index[2:])
    lattice = np.ix_(np.arange(first, first + count), *found)
    is_read = np.ones((count, *(len(one) for one in found)), np.bool_)
    for axis, one in enumerate(found):
        is_read &= (one >= 0).reshape([-1 if place == axis + 1 else 1 for place in range(is_read.ndim)])
    values = np.where(is_read, taken[lattice], 0.0)
    return Terms(work.operation.parents[0], values, weights, is_read, _cells(first, count, found, taken.shape, is_read))


def _cells(
    first: int, count: int, found: list[Places], shape: tuple[int, ...], is_read: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """(c, y, x) of each place under a window in the maps of a parent of this shape (C, ...)."""
    axes = np.meshgrid(np.arange(first, first + count), *found, indexing="ij")
    flat = np.ravel_multi_index([np.where(is_read, one, 0) for one in axes], shape)
    cells = np.stack(np.unravel_index(flat, map_shape((1, *shape))), -1)
    return np.where(is_read[..., None], cells, -1)


def _conv(work: _Work) -> Parts:
    weight, groups = work.weight("weight"), int(work.operation.settings.get("groups", 1))
    if weight is None:  # the network made its kernel
        return _again(work)
    channel = work.index[1]
    if work.operation.kind == "conv":
        count = weight.shape[1]
        first = channel // (weight.shape[0] // groups) * count
        kernel = weight[channel]
    else:
        count, per_group = weight.shape[0] // groups, weight.shape[1]
        first = channel // per_group * count
        kernel = weight[first : first + count, channel % per_group]
    terms = _window_terms(work, first, count, kernel.numpy())
    bias = work.weight("bias")
    added = {} if bias is None else {"bias": float(bias[channel])}
    return "sum", (terms,), added, float(terms.products.sum()) + sum(added.values())


def _max_pool(work: _Work) -> Parts:
    terms = _window_terms(work, work.index[1], 1, None)
    reachable = np.where(terms.is_read, terms.values, -np.inf)
    winner = int(reachable.argmax())
    kept = Terms(terms.parent, terms.values, None, terms.is_read, terms.cells, winner)
    return "maximum", (kept,), {}, float(reachable.max())


def _slopes(work: _Work) -> Parts:
    """The weights of a sum whose weights do not depend on its inputs: its gradient."""
    inputs = [work.taken(place) for place in range(len(work.operation.parents))]
    terms = []
    with torch.enable_grad():
        given = [one.clone().requires_grad_() for one in inputs]
        result = work.operation.again(given)[work.index]
        slopes = torch.autograd.grad(result, given, allow_unused=True)
    for parent, value, slope in zip(work.operation.parents, inputs, slopes, strict=True):
        if slope is not None:
            terms.append(_sparse(parent, value, slope))
    return "sum", tuple(terms), {}, float(sum(one.products.sum() for one in terms))


def _sparse(parent: int, value: torch.Tensor, slope: torch.Tensor) -> Terms:
    """The cells of an input whose weight is not 0, as the box around them where they fill most of it, else a list."""
    shape = map_shape(tuple(value.shape))
    weights, values = slope.numpy().reshape(shape), value.numpy().reshape(shape)
    where = np.argwhere(weights != 0)
    if not len(where):
        return Terms(parent, np.zeros(0), np.zeros(0), np.zeros(0, np.bool_), np.zeros((0, 3), np.int64))
    low, high = where.min(0), where.max(0) + 1
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    if weights[box].size <= 4 * len(where):
        cells = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), -1)
        return Terms(parent, values[box], weights[box], np.ones(weights[box].shape, np.bool_), cells)
    at = tuple(where.T)
    return Terms(parent, values[at], weights[at], np.ones(len(where), np.bool_), where)


def _avg_pool(work: _Work) -> Parts:
    terms = _window_terms(work, work.index[1], 1, None)
    with torch.enable_grad():
        given = work.taken().requires_grad_()
        (slope,) = torch.autograd.grad(work.operation.again([given])[work.index], given)
    each = float(slope.max())
    weights = np.full(terms.values.shape, each)
    kept = Terms(terms.parent, terms.values, weights, terms.is_read, terms.cells)
    return "sum", (kept,), {}, float(kept.products.sum())


def _linear(work: _Work) -> Parts:
    weight, bias = work.weight("weight"), work.weight("bias")
    if weight is None:
        return _again(work)
    taken = work.taken()
    row = work.index[-1]
    values = taken[work.index[:-1]].numpy()
    start = np.ravel_multi_index((*work.index[:-1], 0), tuple(taken.shape))
    cells = np.stack(np.unravel_index(start + np.arange(len(values)), map_shape(tuple(taken.shape))), -1)
    terms = Terms(work.operation.parents[0], values, weight[row].numpy(), np.ones(len(values), np.bool_), cells)
    added = {} if bias is None else {"bias": float(bias[row])}
    return "sum", (terms,), added, float(terms.products.sum()) + sum(added.values())


def _batch_norm(work: _Work) -> Parts:
    channel = work.index[1]
    mean, var = work.weight("running_mean"), work.weight("running_var")
    if mean is None or var is None or work.operation.settings.get("training"):
        taken = work.taken().transpose(0, 1).flatten(1)
        mean, var = taken.mean(1), taken.var(1, unbiased=False)
    eps = float(work.operation.settings.get("eps", 1e-5))
    gamma, beta = work.weight("weight"), work.weight("bias")
    work.numbers |= {
        "mean": float(mean[channel]),
        "variance": float(var[channel]),
        "eps": eps,
        "gamma": 1.0 if gamma is None else float(gamma[channel]),
        "beta": 0.0 if beta is None else float(beta[channel]),
    }
    numbers = work.numbers
    one = _own_cell(work, 0)
    deviation = (numbers["variance"] + eps) ** 0.5
    total = (float(one.values.sum()) - numbers["mean"]) / deviation * numbers["gamma"] + numbers["beta"]
    return "function", (one,), {}, total


def _own_cell(work: _Work, place: int, weight: float | None = None) -> Terms:
    """The cell of an input that lies where the output's cell does; inputs are broadcast."""
    taken = work.taken(place)
    sides = (1,) * (len(work.index) - taken.dim()) + tuple(taken.shape)
    index = tuple(0 if side == 1 else at for at, side in zip(work.index, sides, strict=True))
    own = index[len(index) - taken.dim() :]
    flat = int(np.ravel_multi_index(own, tuple(taken.shape))) if own else 0
    cell = np.array(np.unravel_index(flat, map_shape(tuple(taken.shape))))[None]
    value = np.array([float(taken.reshape(-1)[flat])])
    weights = None if weight is None else np.array([weight])
    return Terms(work.operation.parents[place], value, weights, np.ones(1, np.bool_), cell)


def _add(work: _Work) -> Parts:
    """Sums and differences of cells: the weights are the gradient, the rest is a constant."""
    inputs = [work.taken(place) for place in range(len(work.operation.parents))]
    with torch.enable_grad():
        given = [one.clone().requires_grad_() for one in inputs]
        result = work.operation.again(given)[work.index]
        slopes = [float(slope.sum()) for slope in torch.autograd.grad(result, given)]
    terms = tuple(_own_cell(work, place, slope) for place, slope in enumerate(slopes))
    total = float(result.detach())
    rest = total - sum(float(one.products.sum()) for one in terms)
    is_constant = len(terms) < 2 and rest != 0
    return "sum", terms, {"constant": rest} if is_constant else {}, total


def _cellwise(work: _Work) -> Parts:
    """A function of the cells at this place."""
    terms = tuple(_own_cell(work, place) for place in range(len(work.operation.parents)))
    hidden = {"training", "p"}
    settings = {key: value for key, value in work.operation.settings.items() if key not in hidden}
    work.numbers |= {key: float(value) for key, value in settings.items() if isinstance(value, int | float)}
    return "function", terms, {}, _result(work)


def _softmax(work: _Work) -> Parts:
    taken, dim = work.taken(), int(work.operation.settings.get("dim", -1))
    index: list[Any] = list(work.index)
    index[dim] = slice(None)
    row = taken[tuple(index)].numpy()
    flat = np.arange(taken.numel()).reshape(tuple(taken.shape))[tuple(index)]
    cells = np.stack(np.unravel_index(flat, map_shape(tuple(taken.shape))), -1)
    place = work.index[dim]
    work.numbers |= {"exp of this one": float(np.exp(row[place])), "sum of all exp": float(np.exp(row).sum())}
    terms = Terms(work.operation.parents[0], row, None, np.ones(len(row), np.bool_), cells, place)
    return "function", (terms,), {}, _result(work)


def _copy(work: _Work) -> Parts:
    """The one cell that is copied; padding copies none."""
    flat = int(np.ravel_multi_index(work.index, tuple(work.operation.output.shape)))
    for place, parent in enumerate(work.operation.parents):
        source = int(sources(work.trace, work.operation, place)[flat])
        if source:
            taken = work.taken(place)
            cell = np.array(np.unravel_index(source - 1, map_shape(tuple(taken.shape))))[None]
            value = np.array([float(taken.reshape(-1)[source - 1])])
            return "copy", (Terms(parent, value, None, np.ones(1, np.bool_), cell),), {}, float(value[0])
    total = _result(work)
    return "copy", (), {"constant": total}, total


def _matmul(work: _Work) -> Parts:
    """A row times a column, where both are outputs of operations."""
    if len(work.operation.parents) != 2 or work.operation.name not in {"matmul", "bmm", "mm", "__matmul__"}:
        return _again(work)
    left, right = work.taken(0), work.taken(1)
    if left.dim() != right.dim():
        return _again(work)
    lead, (row, column) = work.index[:-2], work.index[-2:]
    values, weights = left[lead][row].numpy(), right[lead][:, column].numpy()
    flat = np.ravel_multi_index((*lead, row, 0), tuple(left.shape)) + np.arange(len(values))
    cells = np.stack(np.unravel_index(flat, map_shape(tuple(left.shape))), -1)
    terms = Terms(work.operation.parents[0], values, weights, np.ones(len(values), np.bool_), cells)
    return "sum", (terms,), {}, float(terms.products.sum())


def _again(work: _Work) -> Parts:
    """Not taken apart: the operation done again in float64."""
    return "again", (), {}, _result(work)


def _result(work: _Work) -> float:
    with torch.no_grad():
        inputs = [work.taken(place) for place in range(len(work.operation.parents))]
        return float(work.operation.again(inputs)[work.index])


WAYS: dict[str, Callable[[_Work], Parts]] = {
    "conv": _conv,
    "conv_transpose": _conv,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "mean": _slopes,
    "resize": _slopes,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "add": _add,
    "multiply": _cellwise,
    "activation": _cellwise,
    "dropout": _copy,
    "reshape": _copy,
    "pad": _copy,
    "concat": _copy,
    "softmax": _softmax,
    "matmul": _matmul,
}

__all__ = ["Cell", "Probed", "Terms", "probe"]
