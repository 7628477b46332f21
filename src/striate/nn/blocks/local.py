"""The locally connected layer: a convolution that does not share its weights."""

from math import sqrt

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from striate.base.errors import SettingsError

from .conv import Pair, pad_of
from .norm import Spec, make_activation, make_norm, normalises


class LocalConv(nn.Module):
    """Every position of the output has filters and biases of its own: (N, c_in, H, W) -> (N, width, H', W').

    What weight sharing saves, to be measured: a convolution's parameters times the positions.

    Args:
        size_hw: height and width of the input, to which the block is tied.

    Raises:
        SettingsError: the window is larger than the padded input.

    Reference: LeCun, Generalization and network design strategies (1989); Taigman et al., DeepFace, CVPR (2014).

    Example:
        >>> block = LocalConv(3, 8, kernel=3, size_hw=(6, 6))
        >>> sum(value.numel() for value in block.parameters())  # 36 positions x 8 filters of 27 weights and a bias
        8064
    """

    def __init__(
        self,
        c_in: int,
        width: int,
        *,
        kernel: Pair = 3,
        stride: int = 1,
        padding: Pair | str = "same",
        size_hw: tuple[int, ...] = (),
        norm: Spec = "none",
        activation: str = "none",
    ) -> None:
        super().__init__()
        self.kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        pad = pad_of(kernel, padding)
        self.padding = (pad, pad) if isinstance(pad, int) else pad
        self.stride = stride
        sizes = zip(size_hw, self.kernel, self.padding, strict=True)
        self.out_hw = tuple((size + 2 * pad - window) // stride + 1 for size, window, pad in sizes)
        if len(size_hw) != 2 or min(self.out_hw) < 1:
            raise SettingsError(
                f"a window of {self.kernel} does not fit a map of {size_hw}", fix="use a smaller kernel"
            )
        positions, taps = self.out_hw[0] * self.out_hw[1], c_in * self.kernel[0] * self.kernel[1]
        self.weight = nn.Parameter(torch.empty(positions, taps, width))
        self.bias = nn.Parameter(torch.empty(positions, 1, width)) if not normalises(norm) else None
        self.norm = make_norm(norm, width) if normalises(norm) else None
        self.activation = make_activation(activation)
        self.initialise()

    def initialise(self, generator: Generator | None = None) -> None:
        """Draw weights with deviation sqrt(2 / taps) (He et al., arXiv:1502.01852); biases are 0."""
        nn.init.normal_(self.weight, std=sqrt(2 / self.weight.shape[1]), generator=generator)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        patches = F.unfold(x, self.kernel, padding=self.padding, stride=self.stride)  # (N, taps, positions)
        outputs = patches.permute(2, 0, 1) @ self.weight.to(patches.dtype)  # (positions, N, width)
        if self.bias is not None:
            outputs = outputs + self.bias
        maps = outputs.permute(1, 2, 0).reshape(len(x), -1, *self.out_hw)
        out: Tensor = self.activation(self.norm(maps) if self.norm is not None else maps)
        return out
