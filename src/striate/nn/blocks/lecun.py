"""The pieces of LeNet-5 that later networks left out: partial connections and subsampling with weights."""

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Generator, Tensor, nn

from striate.base.errors import SettingsError

from .conv import Pair, pad_of, pair
from .norm import Spec, make_activation, make_norm, normalises


class PartialConv(nn.Module):
    """A convolution whose maps see some of the input's maps only: (N, c_in, H, W) -> (N, len(table), H', W').

    Args:
        table: for each map out, the numbers of the maps in.

    Raises:
        SettingsError: the table names a map that the input does not have.

    Reference: LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE 86 (1998), table I.

    Example:
        >>> block = PartialConv(3, table=[(0, 1), (1, 2), (0, 1, 2)], kernel=5)
        >>> sum(value.numel() for value in block.parameters())  # 7 kernels and 3 biases
        178
    """

    def __init__(
        self,
        c_in: int,
        *,
        table: Sequence[Sequence[int]],
        kernel: Pair = 3,
        stride: Pair = 1,
        padding: Pair | str = "same",
        norm: Spec = "none",
        activation: str = "none",
    ) -> None:
        super().__init__()
        for number, maps in enumerate(table):
            if not maps or not all(0 <= one < c_in for one in maps):
                raise SettingsError(
                    f"map {number} takes {list(maps)}; the input has {c_in} maps",
                    fix=f"use numbers from 0 to {c_in - 1}",
                )
        # Neighbouring maps that take the same number of maps are one grouped convolution.
        runs = [list(run) for _, run in groupby(table, key=len)]
        self.taken = [[one for maps in run for one in maps] for run in runs]
        window = pair(kernel), pair(stride), pair(pad_of(kernel, padding))
        self.parts = nn.ModuleList(
            nn.Conv2d(len(taken), len(run), *window, groups=len(run))
            for taken, run in zip(self.taken, runs, strict=True)
        )
        self.norm = make_norm(norm, len(table)) if normalises(norm) else None
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([part(x[:, taken]) for part, taken in zip(self.parts, self.taken, strict=True)], 1)
        out: Tensor = self.activation(y if self.norm is None else self.norm(y))
        return out


class Subsample(nn.Module):
    """The mean over windows, times a coefficient, plus a bias, both one number a map; then the activation.

    Reference: LeCun et al., 1998, section II.B, where the sum is taken instead of the mean.
    """

    def __init__(self, c_in: int, *, kernel: int = 2, stride: int = 1, activation: str = "none") -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(kernel, stride)
        self.weight = nn.Parameter(torch.empty(c_in))
        self.bias = nn.Parameter(torch.empty(c_in))
        self.activation = make_activation(activation)

    def initialise(self, generator: Generator) -> None:
        """Start as the plain mean."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.pool(x) * self.weight[:, None, None] + self.bias[:, None, None])
        return out
