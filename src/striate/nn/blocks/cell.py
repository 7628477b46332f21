"""A cell: a small graph of operations on the two maps before it, written as a table, as a search gives it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.base.choose import choose
from striate.base.errors import SettingsError

from .conv import conv, pad_tensorflow
from .norm import Spec, make_activation, make_norm, normalises
from .pool import pick
from .residual import DropPath
from .separable import separable

Pair = Sequence[Any]  # (operation, state, operation, state)


class Cell(nn.Module):
    """Pairs of operations whose results are added; what they give is concatenated.

    State 0 is the map before the previous one, state 1 the previous map, both brought to `width` channels and to one
    size; state n + 2 is the result of pair n.

    Args:
        c_ins: of the previous map and of the one before it. With one input alone, state 0 is that input as it is.
        width: channels of each state; the output has as many times more as `give` has members.
        stride: of the operations that read state 0 or 1; above 1 the cell is a reduction cell.
        pairs: (operation, state, operation, state) each; operations: "separable3", "separable5", "separable7" (twice
            in a row), "avg3", "max3", "stride3" (of each window the middle), "same" (the state itself).
        give: the states that are concatenated.
        reduction_pairs, reduction_give: those of a cell with a stride.
        shrink: whether state 0 comes from a map of twice the size.
        depthwise: as for `separable`.

    Raises:
        SettingsError: a state or operation is unknown, or the number of inputs is not 1 or 2.

    Reference: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition, arXiv:1707.07012.

    Example:
        >>> pairs = [("separable3", 1, "same", 0), ("avg3", 2, "max3", 1)]
        >>> cell = Cell((8, 4), 16, pairs=pairs, give=(2, 3))
        >>> cell(torch.zeros(2, 8, 6, 6), torch.zeros(2, 4, 6, 6)).shape
        torch.Size([2, 32, 6, 6])
    """

    def __init__(
        self,
        c_ins: tuple[int, ...],
        width: int,
        *,
        stride: int = 1,
        pairs: Sequence[Pair],
        give: Sequence[int],
        reduction_pairs: Sequence[Pair] = (),
        reduction_give: Sequence[int] = (),
        shrink: bool = False,
        depthwise: bool = True,
        norm: Spec = "batch",
        activation: str = "relu",
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if len(c_ins) not in {1, 2}:
            raise SettingsError(f"a cell takes the two maps before it; got {len(c_ins)}", fix="give one or two inputs")
        self.pairs, self.give = (reduction_pairs, reduction_give) if stride > 1 else (pairs, give)
        after: dict[str, Any] = {"norm": norm, "activation": activation, "depthwise": depthwise}
        old = c_ins[0] if len(c_ins) == 1 else width
        if len(c_ins) == 2 and not shrink:
            self.old: nn.Module = _mix(c_ins[1], width, 1, after)
        self.new = _mix(c_ins[0], width, 1, after)
        if len(c_ins) == 2 and shrink:
            self.old = Shrink(c_ins[1], width, norm=norm, activation=activation)
        self.steps = nn.ModuleList()
        for index, pair in enumerate(self.pairs):
            _check(pair, index)
            for name, state in (pair[:2], pair[2:]):
                c_in, step = old if state == 0 else width, stride if state < 2 else 1
                self.steps.append(choose("operation", name, OPERATIONS)(c_in, width, step, after))
        if not self.give or max(self.give) > len(self.pairs) + 1:
            raise SettingsError(f"a cell of {len(self.pairs)} pairs cannot give {list(self.give)}", fix="name states")
        self.drop_path = DropPath(drop_path) if drop_path else None

    def forward(self, x: Tensor, before: Tensor | None = None) -> Tensor:
        states = [x if before is None else self.old(before), self.new(x)]
        for index, (_, left, _, right) in enumerate(self.pairs):
            a = self._drop(self.steps[2 * index](states[left]), index, 0)
            b = self._drop(self.steps[2 * index + 1](states[right]), index, 2)
            states.append(a + b)
        return torch.cat([states[state] for state in self.give], 1)

    def _drop(self, x: Tensor, index: int, place: int) -> Tensor:
        return x if self.drop_path is None or self.pairs[index][place] == "same" else self.drop_path(x)


class Shrink(nn.Module):
    """Half the size without loss of rows: two 1x1 convolutions, on even positions and on odd ones, side by side."""

    def __init__(self, c_in: int, width: int, *, norm: Spec, activation: str) -> None:
        super().__init__()
        self.activation = make_activation(activation, inplace=False)
        self.even = nn.Conv2d(c_in, width // 2, 1, bias=not normalises(norm))
        self.odd = nn.Conv2d(c_in, width - width // 2, 1, bias=not normalises(norm))
        self.norm = make_norm(norm, width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(x)
        odd = F.pad(x[:, :, 1::2, 1::2], (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        out: Tensor = self.norm(torch.cat((self.even(x[:, :, ::2, ::2]), self.odd(odd)), 1))
        return out


class Pool(nn.Module):
    """3x3 pooling with TensorFlow's SAME padding, then a 1x1 convolution if the number of channels changes."""

    def __init__(self, kind: str, c_in: int, width: int, stride: int, after: Mapping[str, Any]) -> None:
        super().__init__()
        self.kind, self.stride = kind, (stride, stride)
        self.project = None if c_in == width else _mix(c_in, width, 1, after)

    def forward(self, x: Tensor) -> Tensor:
        edge = float("-inf") if self.kind == "max" else 0.0
        x, padding = pad_tensorflow(x, (3, 3), self.stride, value=edge)
        if self.kind == "max":
            x = F.max_pool2d(x, 3, self.stride, padding)
        elif self.kind == "stride":
            x = pick(x, (3, 3), self.stride, padding)
        else:
            # zeros at the edge count only with a stride, as in timm's port of the published weights
            x = F.avg_pool2d(x, 3, self.stride, padding, count_include_pad=self.stride != (1, 1))
        return x if self.project is None else self.project(x)

    def extra_repr(self) -> str:
        return f"{self.kind}, stride={self.stride[0]}"


def _twice(kernel: int, c_in: int, width: int, stride: int, after: Mapping[str, Any]) -> nn.Module:
    """Return activation, separable convolution, normalisation, two times."""
    norm, activation = after["norm"], after["activation"]
    window: dict[str, Any] = {"kernel": kernel, "padding": "tensorflow", "norm": norm, "depthwise": after["depthwise"]}
    return nn.Sequential(
        make_activation(activation, inplace=False),
        separable(c_in, width, stride=stride, **window),
        make_activation(activation),
        separable(width, width, **window),
    )


def _same(c_in: int, width: int, stride: int, after: Mapping[str, Any]) -> nn.Module:
    return nn.Identity() if stride == 1 and c_in == width else _mix(c_in, width, stride, after)


def _mix(c_in: int, width: int, stride: int, after: Mapping[str, Any]) -> nn.Module:
    """Return activation, 1x1 convolution, normalisation."""
    first = make_activation(after["activation"], inplace=False)
    return nn.Sequential(first, conv(c_in, width, kernel=1, stride=stride, norm=after["norm"]))


OPERATIONS: Mapping[str, Callable[[int, int, int, Mapping[str, Any]], nn.Module]] = {
    "separable3": partial(_twice, 3),
    "separable5": partial(_twice, 5),
    "separable7": partial(_twice, 7),
    "avg3": partial(Pool, "avg"),
    "max3": partial(Pool, "max"),
    "stride3": partial(Pool, "stride"),
    "same": _same,
}


def _check(pair: Pair, index: int) -> None:
    is_pair = isinstance(pair, Sequence) and len(pair) == 4 and not isinstance(pair, str)
    if not is_pair or not all(isinstance(state, int) and 0 <= state < index + 2 for state in pair[1::2]):
        raise SettingsError(
            f"pair {index} of a cell: {pair!r}",
            fix=f"write (operation, state, operation, state), states 0..{index + 1}",
        )
