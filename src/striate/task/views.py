"""How the outputs for several views of an image become one: undone where they are maps, then merged."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.base.size import SizeHW

Merge = Callable[[Tensor], Tensor]  # outputs (V, N, ...) of V views -> outputs (N, ...)


@dataclass(frozen=True)
class View:
    """How an image of `size_hw` is seen: mirrored or not, then moved by so many pixels; what moves in is its
    reflection."""

    is_mirrored: bool = False
    down_px: int = 0
    right_px: int = 0
    size_hw: SizeHW = field(default=(1, 1), repr=False)


def mean_outputs(outputs: Tensor) -> Tensor:
    """Return the mean of outputs (V, N, ...); where a view does not see a pixel (nan), of the others."""
    return outputs.nanmean(0)


def mean_softmax(outputs: Tensor) -> Tensor:
    """Return the logits (N, K, ...) whose softmax over K is the mean probability of logits (V, N, K, ...)."""
    return log_mean(outputs.log_softmax(2))


def mean_sigmoid(outputs: Tensor) -> Tensor:
    """Return the logits whose sigmoid is the mean probability of logits (V, N, ...)."""
    return log_mean(F.logsigmoid(outputs)) - log_mean(F.logsigmoid(-outputs))


def log_mean(logs: Tensor) -> Tensor:
    """Return the logarithm (N, ...) of the mean of what is seen (not nan), from logarithms (V, N, ...)."""
    is_blind = logs.isnan()
    if not is_blind.any():
        return logs.logsumexp(0) - math.log(len(logs))
    return logs.masked_fill(is_blind, -math.inf).logsumexp(0) - (~is_blind).sum(0).log()


def undo(maps: Tensor, view: View) -> Tensor:
    """Return maps (N, C, H, W) of moved, mirrored images where they belong; nan where the view did not see.

    Example:
        >>> undo(torch.arange(3.0).reshape(1, 1, 1, 3), View(is_mirrored=True)).tolist()
        [[[[2.0, 1.0, 0.0]]]]
    """
    down, right = view.down_px, view.right_px
    if down or right:
        moved = maps.new_full(maps.shape, math.nan)
        height, width = maps.shape[2:]
        inner = maps[:, :, max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
        top, left = max(0, -down), max(0, -right)
        moved[:, :, top : top + inner.shape[2], left : left + inner.shape[3]] = inner
        maps = moved
    return maps.flip(3) if view.is_mirrored else maps


def each(change: Callable[..., Any], *outputs: Any) -> Any:
    """Return outputs of the same nesting, each tensor changed; of several outputs of one nesting, leaf by leaf.

    Example:
        >>> each(lambda a, b: a + b, {"x": [1, 2]}, {"x": [10, 20]})
        {'x': [11, 22]}
    """
    first = outputs[0]
    if isinstance(first, Mapping):
        return {name: each(change, *(one[name] for one in outputs)) for name in first}
    if isinstance(first, Sequence) and not isinstance(first, str):
        return type(first)(each(change, *parts) for parts in zip(*outputs, strict=True))  # type: ignore[call-arg]
    return change(*outputs)


def leaves(outputs: Any) -> list[Tensor]:
    """Return the tensors of outputs of any nesting, in order."""
    found: list[Tensor] = []
    each(found.append, outputs)
    return found


def merged(outputs: Sequence[Any], merge: Merge) -> Any:
    """Return the outputs of several views as one."""
    return each(lambda *views: merge(torch.stack(views)), *outputs)
