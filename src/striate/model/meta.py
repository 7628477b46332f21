"""Operations on tensors that have a shape and no numbers.

torch answers many of them in Python, after loading a library for symbolic mathematics, which takes longer than a whole
walk. What networks are made of is therefore answered here: the same shapes, and refusals that name the sizes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

Shape = tuple[int, ...]

# Where the two factors of a product of matrices are among the arguments.
MATRICES = {"mm": slice(0, 2), "bmm": slice(0, 2), "addmm": slice(1, 3), "baddbmm": slice(1, 3)}
FILLS = {nn.init.uniform_, nn.init.normal_, nn.init.constant_, nn.init.kaiming_uniform_}
FILLS |= {Tensor.uniform_, Tensor.normal_, Tensor.fill_, Tensor.zero_}


class ShapesOnly(TorchDispatchMode):
    """Runs operations on the meta device."""

    def __init__(self) -> None:
        TorchDispatchMode.__init__(self)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # the usual wrapper loads torch's compiler at the first operation, which takes a second

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return perform(func, args, kwargs or {})


class Unfilled(TorchFunctionMode):
    """Leaves out what sets new tensors to numbers, since tensors on the meta device have none."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in FILLS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def perform(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return the result of an operation on the meta device.

    Raises:
        RuntimeError: the shapes do not fit together.
    """
    name = func.overloadpacket.__name__
    in_place = name.endswith("_") and not name.endswith("__")
    rule = SHAPES.get(name[:-1] if in_place else name)
    shape = None if rule is None or (name in NEEDS_DIMS and len(args) < 2) else rule(*args)
    if shape is None:
        return func(*args, **kwargs)
    if in_place:
        if tuple(shape) != tuple(args[0].shape):
            raise RuntimeError(f"a map of {text(shape[1:])} does not fit into one of {text(args[0].shape[1:])}")
        return args[0]
    like = args[0][0] if isinstance(args[0], list | tuple) else args[0]
    out = torch.empty(shape, dtype=like.dtype, device="meta")
    if name in STATISTICS:
        return out, torch.empty(0, device="meta"), torch.empty(0, device="meta")
    return (out, torch.empty(shape, dtype=torch.int64, device="meta")) if name == "max_pool2d_with_indices" else out


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    is_transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Shape:
    """Return the shape of a convolution's output; numbers are given for each axis or once for all."""
    takes = weight.shape[0] if is_transposed else weight.shape[1] * groups
    if x.shape[1] != takes:
        raise RuntimeError(f"{x.shape[1]} channels come, the weights take {takes}")
    sizes = []
    for axis, (length, kernel) in enumerate(zip(x.shape[2:], weight.shape[2:], strict=True)):
        step, pad, spacing, more = (v[axis % len(v)] for v in (stride, padding, dilation, output_padding))
        if is_transposed:
            sizes.append((length - 1) * step - 2 * pad + spacing * (kernel - 1) + 1 + more)
        else:
            sizes.append(_windows(length, kernel, step, pad, spacing))
    return (x.shape[0], weight.shape[1] * groups if is_transposed else weight.shape[0], *sizes)


def _windows(length: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool = False) -> int:
    """Return how many windows fit; `ceil` also takes one that begins inside and ends outside."""
    reach = dilation * (kernel - 1) + 1
    room = length + 2 * padding - reach
    if room < 0 and not (ceil and room > -stride):
        around = f" with {padding} around it" if padding else ""
        raise RuntimeError(f"a window of {reach} pixels does not fit into an input of {length}{around}")
    if not ceil:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - ((count - 1) * stride >= length + padding)


def _max_pool(
    x: Tensor, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil: bool = False
) -> Shape:
    sizes = []
    sides = (x.shape[-2:], pair(kernel), pair(stride or kernel), pair(padding), pair(dilation))
    for length, size, step, pad, spacing in zip(*sides, strict=True):
        if 2 * pad > size:
            raise RuntimeError(f"{pad} pixels of padding are more than half of a window of {size}")
        sizes.append(_windows(length, size, step, pad, spacing, ceil))
    return (*x.shape[:-2], *sizes)


def _avg_pool(x: Tensor, kernel: Any, stride: Any = (), padding: Any = 0, ceil: bool = False, *_: Any) -> Shape:
    return _max_pool(x, kernel, stride, padding, 1, ceil)


def pair(value: Any) -> tuple[int, int]:
    """Return the numbers for height and width from one number or a list of one or two."""
    if isinstance(value, int):
        return value, value
    return value[0], value[-1]


def _pad(x: Tensor, sides: Sequence[int], *_: Any) -> Shape:
    shape = list(x.shape)
    for axis in range(len(sides) // 2):
        shape[-1 - axis] += sides[2 * axis] + sides[2 * axis + 1]
    if min(shape) < 0:
        raise RuntimeError(f"nothing is left of a map of {text(x.shape[1:])}")
    return tuple(shape)


def _reduce(x: Tensor, dims: Any, keepdim: bool = False, *_: Any) -> Shape:
    gone = {dim % x.ndim for dim in ([dims] if isinstance(dims, int) else dims or range(x.ndim))}
    return tuple(1 if at in gone else size for at, size in enumerate(x.shape) if keepdim or at not in gone)


def _matrices(name: str) -> Callable[..., Shape]:
    def shape(*args: Any) -> Shape:
        a, b = args[MATRICES[name]]
        if a.shape[-1] != b.shape[-2]:
            raise RuntimeError(f"{a.shape[-1]} features come, the weights take {b.shape[-2]}")
        return (*a.shape[:-1], b.shape[-1])

    return shape


def _cat(parts: Sequence[Tensor], dim: int = 0) -> Shape:
    dim %= parts[0].ndim
    others = [(*part.shape[:dim], *part.shape[dim:][1:]) for part in parts]
    if any(shape != others[0] for shape in others):
        raise RuntimeError(f"maps of {' and '.join(text(part.shape[1:]) for part in parts)} cannot be joined")
    return tuple(sum(part.shape[dim] for part in parts) if at == dim else n for at, n in enumerate(parts[0].shape))


def _broadcast(*args: Any) -> Shape:
    """Return the shape of tensors put together point by point; what has size 1 is repeated."""
    shapes = [arg.shape for arg in args if isinstance(arg, Tensor)]
    most = max(map(len, shapes))
    sizes = list(zip(*((*[1] * (most - len(shape)), *shape) for shape in shapes), strict=True))
    for column in sizes:
        if len(set(column) - {1}) > 1:
            raise RuntimeError(f"maps of {' and '.join(text(shape[1:]) for shape in shapes)} do not fit together")
    return tuple(0 if 0 in column else max(column) for column in sizes)


def _index(x: Tensor, chosen: Sequence[Tensor | None]) -> Shape | None:
    """Return the shape of `x[:, chosen]`; None for anything but one list of positions."""
    at = [axis for axis, where in enumerate(chosen) if where is not None]
    where = chosen[at[0]]
    if len(at) > 1 or where is None or where.dtype != torch.int64:
        return None
    return (*x.shape[: at[0]], *where.shape, *x.shape[at[0] + 1 :])


def _repeat(x: Tensor, times: Sequence[int]) -> Shape:
    shape = (*[1] * (len(times) - x.ndim), *x.shape)
    return tuple(size * count for size, count in zip(shape, times, strict=True))


def _same(x: Tensor, *_: Any) -> Shape:
    return x.shape


def text(shape: Sequence[int]) -> str:
    """Return `64x56x56`."""
    return "x".join(map(str, shape))


NEEDS_DIMS = {"mean", "sum", "amax"}  # without dimensions they have other rules
STATISTICS = ("native_batch_norm", "_native_batch_norm_legit_no_training", "native_layer_norm", "native_group_norm")
SHAPES: dict[str, Callable[..., Shape | None]] = {
    "convolution": convolution,
    "max_pool2d_with_indices": _max_pool,
    "avg_pool2d": _avg_pool,
    "_adaptive_avg_pool2d": lambda x, size: (*x.shape[:-2], *pair(size)),
    "constant_pad_nd": _pad,
    "cat": _cat,
    "index": _index,
    "repeat": _repeat,
    **{name: _matrices(name) for name in MATRICES},
    **dict.fromkeys(NEEDS_DIMS, _reduce),
    **dict.fromkeys(("add", "sub", "mul", "div", "pow", "sqrt", "neg", "clamp_min"), _broadcast),
    **dict.fromkeys(("relu", "hardtanh", "leaky_relu", "elu", "gelu", "silu", "hardswish"), _same),
    **dict.fromkeys(("sigmoid", "hardsigmoid", "tanh", "_safe_softmax", "_softmax"), _same),
    **dict.fromkeys(STATISTICS, _same),
}
