"""The ConvNeXt block: a residual block in the manner of transformers."""

import torch
from torch import Generator, Tensor, nn

from striate.base.errors import SettingsError

from .conv import conv
from .norm import Spec, make_activation, make_norm
from .residual import dropped


class ConvNeXtBlock(nn.Module):
    """`x + scale * branch(x)`: large depthwise convolution, normalisation, 1x1 up, activation, 1x1 down.

    The 1x1 convolutions are written as linear layers over the channels, which is faster on channels-last maps.

    Args:
        kernel: side of the depthwise convolution.
        expand: channels in the middle over `width`.
        scale: where the learned factor of each channel starts; small, so that each block starts as the identity.
        skip: False leaves x out of the sum; the factors then start at 1, since nothing else passes.
        depthwise: False makes the large convolution a plain one: `width` times its parameters.

    Raises:
        SettingsError: the input has another width.

    Reference: Liu et al., A ConvNet for the 2020s, arXiv:2201.03545, figure 4.

    Example:
        >>> ConvNeXtBlock(8, 8)(torch.zeros(2, 8, 7, 7)).shape
        torch.Size([2, 8, 7, 7])
    """

    def __init__(
        self,
        c_in: int,
        width: int,
        *,
        kernel: int = 7,
        expand: int = 4,
        scale: float = 1e-6,
        skip: bool = True,
        depthwise: bool = True,
        norm: Spec = "channel",
        activation: str = "gelu",
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if c_in != width:
            raise SettingsError(f"keeps the width: {c_in} in, {width} out", fix=f"use width={c_in}")
        self.skip, self.start = skip, scale if skip else 1.0
        self.scale = nn.Parameter(torch.full((width, 1, 1), self.start))
        self.depthwise = conv(width, width, kernel=kernel, groups=width if depthwise else 1)
        self.norm = make_norm(norm, width)
        self.up = nn.Linear(width, expand * width)
        self.activation = make_activation(activation)
        self.down = nn.Linear(expand * width, width)
        self.drop_path = dropped(drop_path, skip)

    def initialise(self, generator: Generator) -> None:
        """Set the factors of the channels."""
        nn.init.constant_(self.scale, self.start)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x)).permute(0, 2, 3, 1)
        y = self.scale * self.down(self.activation(self.up(y))).permute(0, 3, 1, 2)
        if self.drop_path is not None:
            y = self.drop_path(y)
        out: Tensor = y.add_(x) if self.skip else y
        return out
