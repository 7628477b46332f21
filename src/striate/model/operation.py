"""What single operations cost, and what their outputs see; keyed by torch's name of the operation.

Operations without a rule see what their inputs see if torch calls them pointwise, else the whole input.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .field import Axis, View, join, permute, reshape
from .meta import MATRICES, Shape

Rule = Callable[[View, Sequence[Any], Shape, Shape], View]


def macs_of(func: Any, args: Sequence[Any], made: Sequence[Tensor]) -> int:
    """Return the multiply-adds of a convolution or matrix product, 0 for anything else."""
    name = func.overloadpacket.__name__
    if name == "convolution":
        x, weight, is_transposed = args[0], args[1], args[6]
        num: int = (x if is_transposed else made[0]).numel() * weight[0].numel()
        return num
    return made[0].numel() * args[MATRICES[name]][0].shape[-1] if name in MATRICES else 0


def view_after(func: Any, args: Sequence[Any], views: Sequence[View], shapes: Sequence[Shape], out: Shape) -> View:
    """Return the view of an operation's output.

    Args:
        args: of the operation.
        views, shapes: of those of its inputs that see the image.
        out: the output's shape.
    """
    name = func.overloadpacket.__name__
    name = name if name.endswith("__") else name.removesuffix("_")  # in place or not
    if name == "cat" and (along := _beside(views, args, len(out))):
        return along
    view = join(views)
    rule = RULES.get(name)
    if rule:
        after = rule(view, args, shapes[0], out)
    else:
        is_local = name in LOCAL or torch.Tag.pointwise in func.tags
        after = view if is_local else view.whole()
    return after if after.fits(out) else after.whole()


def _beside(views: Sequence[View], args: Sequence[Any], num_dims: int) -> View | None:
    """Return the view of maps put side by side along height or width; None if they are joined along channels."""
    first, dim = views[0], (args[1] if len(args) > 1 else 0) % num_dims
    if first.dims is None or dim not in first.dims or len(views) != len(args[0]):
        return None
    if any(view.dims != first.dims for view in views) or first.dims[0] == first.dims[1]:
        return join(view.whole() for view in views)
    for view in views[1:]:
        height, width = (
            mine.beside(other) if dim == at else mine.join(other)
            for mine, other, at in zip(first.axes, view.axes, first.dims, strict=True)
        )
        first = View(height, width, first.dims, max(first.depth, view.depth))
    return first


def _convolution(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    weight, stride, padding, dilation, is_transposed = args[1], args[3], args[4], args[5], args[6]
    if len(out) < 4 or len(shape) < 4:
        return replace(view.whole(), depth=view.depth + 1)
    slide = Axis.spread if is_transposed else Axis.window
    steps, pads, gaps = ((one[0], one[-1]) if len(one) < 3 else one[-2:] for one in (stride, padding, dilation))
    axes = [
        slide(axis, weight.shape[i], steps[i], pads[i], gaps[i], out[i])
        for i, axis in zip((-2, -1), view.axes, strict=True)
    ]
    return View(axes[0], axes[1], (len(out) - 2, len(out) - 1), view.depth + 1)


def _pool(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    kernel, stride, padding = _pair(args, 1), _pair(args, 2), _pair(args, 3, 0)
    has_dilation = len(args) > 4 and not isinstance(args[4], bool)  # the average has its rounding mode there
    dilation = _pair(args, 4) if has_dilation else (1, 1)
    axes = [
        axis.window(kernel[i], stride[i], padding[i], dilation[i], out[i])
        for i, axis in zip((-2, -1), view.axes, strict=True)
    ]
    return View(axes[0], axes[1], (len(out) - 2, len(out) - 1), view.depth)


def _adaptive(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    return replace(view, height=view.height.adapted(out[-2]), width=view.width.adapted(out[-1]))


def _resize(reach: int) -> Rule:
    """Return the rule of an interpolation whose units take `reach` neighbours on each side."""

    def rule(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
        return view.moved(lambda dim, axis: axis.resized(out[dim], reach, bool(args[2])))

    return rule


def _nearest(offset: float) -> Rule:
    """Return the rule of an enlargement that copies; channels that become pixels and unpooling are such too."""

    def rule(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
        return view.moved(lambda dim, axis: axis.nearest(out[dim], offset))

    return rule


def _reduce(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    if len(args) > 1 and isinstance(args[1], Tensor):  # the larger of two
        return view
    is_given = len(args) > 1 and args[1] not in ([], None) and not isinstance(args[1], bool)
    dims = args[1] if is_given else range(len(shape))
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


def _remove(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    """One slice of a dimension, which goes."""
    dim = (args[1] if len(args) > 1 else 0) % len(shape)
    return view.whole() if view.dims is None or dim in view.dims else _shift(view, {dim})


def _insert(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    """A new dimension; stacking without a number puts it first."""
    dim = (args[1] if len(args) > 1 else 0) % len(out)
    if view.dims is None:
        return view
    high, wide = (old + (old >= dim) for old in view.dims)
    return replace(view, dims=(high, wide))


def _reshape(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    return reshape(view, shape, out)


def _expand(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    """New dimensions come first, and single units are repeated."""
    if view.dims is None:
        return view
    more = len(out) - len(shape)
    high, wide = (dim + more for dim in view.dims)
    view = replace(view, dims=(high, wide))
    wider = [dim for dim in (high, wide) if out[dim] != shape[dim - more]]
    return view.moved(lambda dim, axis: axis.take(np.arange(out[dim]) % axis.length), wider) if wider else view


def _split(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    """Parts along channels stay as they are; of those along height or width it is not known which one this is."""
    dim = (args[2] if len(args) > 2 else 0) % len(shape)
    return view.whole() if view.dims is not None and dim in view.dims else view


def _slice(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    given: list[Any] = [*args[1:], *(0, None, None, 1)[len(args) - 1 :]]
    dim, start, end, step = given
    units = range(shape[dim])[slice(start, end, step)]
    return view.moved(lambda _, axis: axis.take(units, step), {dim % len(shape)})


def _flip(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    dims = {dim % len(shape) for dim in args[1]}
    return view.moved(lambda _, axis: axis.take(np.arange(axis.length)[::-1], -1), dims)


def _roll(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    if len(args) < 3 or not args[2]:
        return view.whole()  # of the tensor laid out flat
    shifts = {dim % len(shape): by for by, dim in zip(args[1], args[2], strict=True)}
    return view.moved(lambda dim, axis: axis.take((np.arange(axis.length) - shifts[dim]) % axis.length), shifts)


def _index(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    """Picks along other dimensions leave height and width alone; it is not known which units others take."""
    picked = {dim for dim, index in enumerate(args[1]) if index is not None}
    is_plain = len(out) == len(shape) and view.dims is not None and not picked & set(view.dims)
    return view if is_plain else view.whole()


def _along(index: int) -> Rule:
    """Return the rule of an operation that mixes all units along the dimension in this argument."""

    def rule(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
        return view.mixed({args[index] % len(shape)})

    return rule


def _pixel_unshuffle(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    return view.moved(lambda dim, axis: axis.window(args[1], args[1], 0, 1, out[dim]))


def _matmul(first: int) -> Rule:
    """Return the rule of a product of matrices: rows stay apart, all that lies along columns is mixed."""

    def rule(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
        by_row = view.dims == (0, 0) and args[first].shape == shape
        return replace(view if by_row else view.whole(), depth=view.depth + 1)

    return rule


def _pad(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    if len(out) < 4 or view.dims != (len(out) - 2, len(out) - 1):
        return view.whole()
    left, top = args[1][0], (args[1][2] if len(args[1]) > 2 else 0)
    height, width = view.height.window(1, 1, top, 1, out[-2]), view.width.window(1, 1, left, 1, out[-1])
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
    if index == 2 and (value == [] or len(args) <= index):
        value = args[1]
    if isinstance(value, int):
        return value, value
    return (value[0], value[0]) if len(value) == 1 else value


def _transpose(view: View, args: Sequence[Any], shape: Shape, out: Shape) -> View:
    order = list(range(len(shape)))
    a, b = (args[1], args[2]) if len(args) > 2 else (-2, -1)
    order[a], order[b] = order[b], order[a]
    return permute(view, order)


# Not pointwise by torch's tags, yet each unit takes its own position's values (normalisation: see field.py).
LOCAL = {
    *("clone", "detach", "alias", "copy", "_to_copy", "contiguous", "native_dropout", "dropout"),
    *("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "cudnn_batch_norm"),
    *("native_layer_norm", "native_group_norm", "hardswish", "_prelu_kernel", "prelu", "log_sigmoid_forward"),
}
RULES: dict[str, Rule] = {
    "convolution": _convolution,
    **dict.fromkeys(("max_pool2d_with_indices", "avg_pool2d", "max_pool3d_with_indices", "avg_pool3d"), _pool),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_max_pool2d"), _adaptive),
    **dict.fromkeys(("_adaptive_avg_pool3d", "adaptive_max_pool3d"), _adaptive),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "var", "std", "logsumexp", "prod", "max", "min"), _reduce),
    **dict.fromkeys(("upsample_nearest2d", "upsample_nearest3d", "pixel_shuffle", "max_unpool2d"), _nearest(0.0)),
    "_upsample_nearest_exact2d": _nearest(0.5),
    "upsample_bilinear2d": _resize(1),
    "upsample_trilinear3d": _resize(1),
    "upsample_bicubic2d": _resize(2),
    **dict.fromkeys(("constant_pad_nd", "reflection_pad2d", "replication_pad2d", "replication_pad3d"), _pad),
    "permute": lambda view, args, shape, out: permute(view, args[1]),
    "transpose": _transpose,
    "t": _transpose,
    **dict.fromkeys(("view", "_unsafe_view", "_reshape_alias", "squeeze"), _reshape),
    **dict.fromkeys(("unsqueeze", "stack"), _insert),
    **dict.fromkeys(("select", "unbind"), _remove),
    "expand": _expand,
    **dict.fromkeys(("split", "split_with_sizes"), _split),
    "cat": lambda view, args, shape, out: view,  # along channels: see `_beside`
    "slice": _slice,
    "index": _index,
    "index_select": lambda view, args, shape, out: _index(
        view, (None, [None] * (args[1] % len(shape)) + [0]), shape, out
    ),
    "flip": _flip,
    "roll": _roll,
    **dict.fromkeys(("_softmax", "_log_softmax", "_safe_softmax", "cumsum", "cumprod"), _along(1)),
    "glu": lambda view, args, shape, out: view,
    "pixel_unshuffle": _pixel_unshuffle,
    "mm": _matmul(0),
    "addmm": _matmul(1),
    "bmm": _bmm,
    "im2col": _unfold,
}
