"""What single operations cost, and what their outputs see; keyed by torch's name of the operation.

Operations without a rule here are taken as point by point if the map keeps its size, else as seeing the whole input.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from .field import Axis, View, join, permute, reshape
from .meta import MATRICES, Shape


def macs_of(func: Any, args: Sequence[Any], made: Sequence[Tensor]) -> int:
    """Return the multiply-adds of a convolution or matrix product, 0 for anything else."""
    name = func.overloadpacket.__name__
    if name == "convolution":
        x, weight, is_transposed = args[0], args[1], args[6]
        return (x if is_transposed else made[0]).numel() * weight[0].numel()
    return made[0].numel() * args[MATRICES[name]][0].shape[-1] if name in MATRICES else 0


def view_after(func: Any, args: Sequence[Any], views: Sequence[View], shapes: Sequence[Shape], out: Shape) -> View:
    """Return the view of an operation's output.

    Args:
        args: of the operation.
        views, shapes: of those of its inputs that see the image.
        out: the output's shape.
    """
    view = join(views)
    rule = RULES.get(func.overloadpacket.__name__)
    after = rule(view, args, shapes[0], out) if rule else view
    return after if after.fits(out) else after.whole()


def _convolution(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    weight, stride, padding, dilation, is_transposed = args[1], args[3], args[4], args[5], args[6]
    if len(out) != 4 or len(shape) != 4:
        return replace(view.whole(), depth=view.depth + 1)
    slide = Axis.spread if is_transposed else Axis.window
    axes = [
        slide(axis, weight.shape[2 + i], stride[i], padding[i], dilation[i], out[2 + i])
        for i, axis in enumerate(view.axes)
    ]
    return View(axes[0], axes[1], (2, 3), view.depth + 1)


def _pool(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    kernel, stride, padding = _pair(args, 1), _pair(args, 2), _pair(args, 3, 0)
    has_dilation = len(args) > 4 and not isinstance(args[4], bool)  # the average has its rounding mode there
    dilation = _pair(args, 4) if has_dilation else (1, 1)
    axes = [axis.window(kernel[i], stride[i], padding[i], dilation[i], out[i - 2]) for i, axis in enumerate(view.axes)]
    return View(axes[0], axes[1], (2, 3), view.depth)


def _adaptive(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    axes = []
    for axis, length in zip(view.axes, out[-2:], strict=True):
        kernel = -(-axis.length // length) + (axis.length % length != 0)
        axes.append(axis.window(min(kernel, axis.length), axis.length / length, 0, 1, length))
    return View(axes[0], axes[1], (2, 3), view.depth)


def _resize(reach: int) -> Callable[..., View]:
    """Return the rule of an upsampling whose units take `reach` neighbours on each side."""

    def rule(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
        axes = [
            replace(axis.window(1 + 2 * reach, axis.length / length, reach, 1, length))
            for axis, length in zip(view.axes, out[-2:], strict=True)
        ]
        return View(axes[0], axes[1], (2, 3), view.depth)

    return rule


def _reduce(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    dims = args[1] if len(args) > 1 and args[1] else range(len(shape))
    reduced = {dim % len(shape) for dim in ([dims] if isinstance(dims, int) else dims)}
    if view.dims is None or len(out) != len(shape):
        return view.whole() if view.dims is None or reduced & set(view.dims) else _shift(view, reduced)
    height = view.height.whole() if view.dims[0] in reduced else view.height
    width = view.width.whole() if view.dims[1] in reduced else view.width
    return replace(view, height=height, width=width)


def _shift(view: View, gone: set[int]) -> View:
    """Return the view with dimensions renumbered after others have gone."""
    assert view.dims is not None
    high, wide = (dim - sum(other < dim for other in gone) for dim in view.dims)
    return replace(view, dims=(high, wide))


def _matmul(first: int) -> Callable[..., View]:
    """Return the rule of a product of matrices: rows stay apart, all that lies along columns is mixed."""

    def rule(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
        by_row = view.dims == (0, 0) and args[first].shape == shape
        return replace(view if by_row else view.whole(), depth=view.depth + 1)

    return rule


def _pad(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    if view.dims != (2, 3) or len(out) != 4:
        return view.whole()
    left, top = args[1][0], (args[1][2] if len(args[1]) > 2 else 0)
    height, width = view.height.window(1, 1, top, 1, out[2]), view.width.window(1, 1, left, 1, out[3])
    return replace(view, height=height, width=width)


def _unfold(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    """Windows side by side: (N, C, H, W) -> (N, C x taps, positions)."""
    if view.dims != (2, 3):
        return view.whole()
    kernel, dilation, padding, stride = (_pair(args, index) for index in (1, 2, 3, 4))
    axes = [
        axis.window(
            kernel[i],
            stride[i],
            padding[i],
            dilation[i],
            (axis.length + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1,
        )
        for i, axis in enumerate(view.axes)
    ]
    return View(axes[0], axes[1], (2, 2), view.depth)


def _bmm(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    """A product for each position stays apart; within one, all is mixed."""
    is_apart = view.dims == (0, 0) and args[0].shape == shape
    return replace(view if is_apart else view.whole(), depth=view.depth + is_apart)


def _pair(args: Sequence[Any], index: int, default: int = 1) -> Sequence[int]:
    """Return a pair from an argument that may be missing, one number, or an empty list (stride: then the kernel)."""
    value = args[index] if len(args) > index else default
    if value == [] and index == 2:
        value = args[1]
    if isinstance(value, int):
        return value, value
    return (value[0], value[0]) if len(value) == 1 else value


def _transpose(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    order = list(range(len(shape)))
    a, b = (args[1], args[2]) if len(args) > 2 else (-2, -1)
    order[a], order[b] = order[b], order[a]
    return permute(view, order)


RULES: dict[str, Callable[[View, Sequence[Any], Shape, Shape], View]] = {
    "convolution": _convolution,
    "max_pool2d_with_indices": _pool,
    "avg_pool2d": _pool,
    "_adaptive_avg_pool2d": _adaptive,
    "adaptive_max_pool2d": _adaptive,
    "mean": _reduce,
    "sum": _reduce,
    "amax": _reduce,
    "upsample_nearest2d": _resize(0),
    "upsample_bilinear2d": _resize(1),
    "constant_pad_nd": _pad,
    "permute": lambda view, args, shape, out: permute(view, args[1]),
    "transpose": _transpose,
    "t": _transpose,
    "view": lambda view, args, shape, out: reshape(view, shape, out),
    "_unsafe_view": lambda view, args, shape, out: reshape(view, shape, out),
    "mm": _matmul(0),
    "addmm": _matmul(1),
    "bmm": _bmm,
    "im2col": _unfold,
}
