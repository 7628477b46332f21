"""What is odd about a network, read from its walk: facts, each with the row and the numbers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from .blueprint import Blueprint
from .meta import ShapesOnly, pair, text
from .network import Network
from .walk import Walk, at_native, walk

POOLS = {"max_pool2d_with_indices", "avg_pool2d"}
BATCH_NORMS = {"native_batch_norm", "_native_batch_norm_legit_no_training"}
CLIPPING = (nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Hardsigmoid, nn.Softplus)


@dataclass(frozen=True)
class Issue:
    """One odd thing.

    Args:
        kind: "window", "unused", "field", "bias", "skipped", "outputs" or "dead end".
        row: where; empty = the whole network.
        is_note: true and harmless, common in published networks; otherwise something is lost.
        text: what, with the numbers.
    """

    kind: str
    row: str
    is_note: bool
    text: str

    def __str__(self) -> str:
        return f"{'note' if self.is_note else 'warning'}: {f'{self.row}: ' if self.row else ''}{self.text}"

    def to_json(self) -> dict[str, Any]:
        """Return a plain dict."""
        return asdict(self)


def examine(
    network: nn.Module | Blueprint,
    *,
    size_hw: tuple[int, ...] | None = None,
    channels: int | None = None,
    outputs: int | None = None,
) -> tuple[Walk, tuple[Issue, ...]]:
    """Return the walk of a network and what is odd about it on this input. Arguments as for `walk`.

    Example:
        >>> from striate.model.blueprint import Row
        >>> rows = (Row("conv", 8, options={"bias": True, "norm": "batch"}), Row("global_pool"), Row("linear"))
        >>> for issue in examine(Blueprint("tiny", rows), size_hw=(32, 32))[1]:
        ...     print(issue)
        note: conv1: 8 biases before batch normalisation, which takes them out again
    """
    if isinstance(network, Blueprint):
        network = at_native(network, size_hw, channels, outputs)
    watcher = Watcher()
    found = walk(network, size_hw=size_hw, channels=channels, watch=watcher)
    ends = dead_ends(network) if isinstance(network, Network) else ()
    size_hw = found.size_hw
    issues = [
        *watcher.issues(),
        *(Issue("dead end", name, False, "no row takes its map, and it is no output") for name in ends),
        *(_clipped(network) if isinstance(network, Network) else ()),
        *_unused(network, (found.channels, *size_hw), ends),
        *_fields(found),
    ]
    order = {layer.name: layer.index for layer in reversed(found.layers)}
    issues.sort(key=lambda issue: (issue.is_note, order.get(issue.row, len(order))))
    return found, tuple(issues)


@dataclass
class Reading:
    """Which pixels of a map (H, W) are read, and by which row's windows first; None = all."""

    row: str
    pixels: Any = None


class Watcher:
    """Sees every operation of a walk, and remembers windows, biases and which pixels of each map are read."""

    def __init__(self) -> None:
        self.windows: dict[tuple[str, str], tuple[int, int]] = {}
        self.reading: Any = WeakTensorKeyDictionary()  # map -> how it is read
        self.readings: list[Reading] = []
        self.biased: Any = WeakTensorKeyDictionary()  # output of a layer with biases -> how many
        self.shifted: dict[str, int] = {}

    def __call__(self, row: str, func: Any, args: Sequence[Any], made: Sequence[Tensor]) -> None:
        name = func.overloadpacket.__name__
        if name in BATCH_NORMS and args[0] in self.biased:
            self.shifted[row] = self.shifted.get(row, 0) + self.biased.pop(args[0])
        window = _window(name, args)
        for x in _maps(args):
            self.biased.pop(x, None)  # whoever else takes it sees the biases
            if window and x is args[0]:
                self._slide(row, x, *window, name in POOLS)
            elif not name.endswith("_") or x is not args[0]:
                self._reading(row, x).pixels = None
        if name in {"convolution", "addmm"}:
            bias = args[2] if name == "convolution" else args[0]
            if bias is not None:
                self.biased[made[0]] = bias.numel()

    def _slide(self, row: str, x: Tensor, sides: Sequence[Sequence[int]], out: Sequence[int], is_pool: bool) -> None:
        hits = [_hits(x.shape[axis + 2], out[axis], *(side[axis] for side in sides)) for axis in (0, 1)]
        kernel = sides[0]
        if not is_pool and any(size > length for size, length in zip(kernel, x.shape[2:], strict=True)):
            alive = int(np.prod([hit.any(1).sum() for hit in hits]))
            what = f"a window of {text(kernel)} on a map of {text(x.shape[2:])}"
            self.windows[row, what] = alive, kernel[0] * kernel[1]
        is_new = x not in self.reading
        reading = self._reading(row, x)
        if is_new:
            reading.pixels = np.zeros(tuple(x.shape[2:]), bool)
        if reading.pixels is not None:
            reading.pixels |= np.outer(hits[0].any(0), hits[1].any(0))

    def _reading(self, row: str, x: Tensor) -> Reading:
        if x not in self.reading:
            self.reading[x] = Reading(row)
            self.readings.append(self.reading[x])
        found: Reading = self.reading[x]
        return found

    def issues(self) -> Iterator[Issue]:
        """Yield what was found."""
        for (row, what), (alive, total) in self.windows.items():
            lost = total - alive
            if lost:
                yield Issue("window", row, False, f"{what}: {lost} of its {total} weights only ever meet padding")
            else:
                yield Issue("window", row, True, f"{what}: larger than what it looks at")
        for row, count in self.shifted.items():
            s = "" if count == 1 else "es"
            what = f"{count:,} bias{s} before batch normalisation, which takes {'them' if s else 'it'} out again"
            yield Issue("bias", row, True, what)
        for reading in self.readings:
            if reading.pixels is not None and (share := _holes(reading.pixels)):
                what = f"the windows step over pixels: {share:.0%} of the map before it are never read"
                yield Issue("skipped", reading.row, False, what)


def _window(name: str, args: Sequence[Any]) -> tuple[tuple[tuple[int, int], ...], tuple[int, int]] | None:
    """Return (kernel, stride, padding, dilation) and the output's height and width of what slides over a map."""
    if name == "convolution" and args[0].ndim == 4 and not args[6]:
        kernel, sides = pair(args[1].shape[2:]), (pair(args[3]), pair(args[4]), pair(args[5]))
    elif name in POOLS:
        kernel = pair(args[1])
        stride = pair(args[2]) if len(args) > 2 and args[2] else kernel
        padding = pair(args[3]) if len(args) > 3 else (0, 0)
        dilation = pair(args[4]) if name != "avg_pool2d" and len(args) > 4 else (1, 1)
        sides = (stride, padding, dilation)
    else:
        return None
    lengths = args[0].shape[-2:]
    out = [  # what rounding up adds lies beyond the last pixel
        (length + 2 * p - d * (k - 1) - 1) // s + 1 for length, k, s, p, d in zip(lengths, kernel, *sides, strict=True)
    ]
    return (kernel, *sides), (out[0], out[1])


def _hits(length: int, out: int, kernel: int, stride: int, padding: int, dilation: int) -> Any:
    """Return (kernel, length): whether a place of the kernel ever meets a pixel of the axis."""
    hits = np.zeros((kernel, length), bool)
    for place in range(kernel):
        at = np.arange(max(out, 1)) * stride - padding + place * dilation
        hits[place, at[(at >= 0) & (at < length)]] = True
    return hits


def _holes(mask: Any) -> float:
    """Return the share of pixels that are not read, of the rectangle around those that are."""
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    inside = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return float(1 - inside.mean())


def _maps(args: Iterable[Any]) -> Iterator[Tensor]:
    for value in args:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _maps(value)


def dead_ends(network: Network) -> tuple[str, ...]:
    """Return the rows that nothing takes and that give no outputs of the network's kind."""
    shapes = network.shapes
    given = {(network.outputs,), shapes[network.blueprint.names[-1]]}
    return tuple(name for name in network.blueprint.auxiliary_heads if shapes[name] not in given)


def _clipped(network: Network) -> Iterator[Issue]:
    """Yield an issue for each end whose last layer lets no number below 0 through: an answer is any number."""
    for name in network.blueprint.ends or network.blueprint.names[-1:]:
        last = list(network.rows[name].modules())[-1]
        if isinstance(last, CLIPPING):
            what = f'the outputs pass {type(last).__name__}: none is below 0; give the row activation = "none"'
            yield Issue("outputs", name, False, what)


def _unused(network: nn.Module, shape: Sequence[int], ends: Sequence[str]) -> Iterator[Issue]:
    """Yield an issue for each row with parameters that no output depends on; frozen ones do not count."""
    state = {key: value.detach().to("meta") for key, value in (*network.named_parameters(), *network.named_buffers())}
    wanted = [key for key, value in network.named_parameters() if value.requires_grad]
    for key in wanted:
        state[key].requires_grad_()
    options = {"auxiliary": True} if isinstance(network, Network) and network.blueprint.auxiliary_heads else {}
    training = [module for module in network.modules() if module.training]
    try:
        for module in training:
            module.training = False
        with torch.enable_grad(), ShapesOnly():
            out = torch.func.functional_call(network, state, (torch.empty(1, *shape, device="meta"),), options)
    finally:
        for module in training:
            module.training = True
    given = [value for key, value in out.items() if key not in ends] if isinstance(out, dict) else [out]
    reached = _reached(_maps(given))
    lost: dict[str, int] = {}
    for key in wanted:
        if id(state[key]) not in reached:
            lost[_row(key)] = lost.get(_row(key), 0) + state[key].numel()
    for row, count in lost.items():
        yield Issue("unused", row, False, f"{count:,} parameters get no gradient: no output depends on them")


def _row(key: str) -> str:
    return key.removeprefix("rows.").partition(".")[0]


def _reached(outputs: Iterable[Tensor]) -> set[int]:
    """Return the ids of the tensors that a gradient of the outputs would reach."""
    open_nodes: list[Any] = [x.grad_fn for x in outputs]
    seen, found = set(), set()
    while open_nodes:
        node = open_nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        open_nodes += [after for after, _ in node.next_functions]
    return found


def _fields(found: Walk) -> Iterator[Issue]:
    """Yield an issue if units of a map see more than the image."""
    for layer in found.layers:
        is_map = len(layer.out_shape) > 2 and not layer.is_global
        field, image = layer.receptive_field_hw, found.size_hw[-2:]
        if is_map and (field[0] > image[0] or field[1] > image[1]):
            what = f"from here on a unit's receptive field ({text(field)}) is larger than the image ({text(image)})"
            yield Issue("field", layer.name, True, what)
            return
