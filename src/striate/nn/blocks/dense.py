"""Dense links: a layer takes all maps before it and adds a few."""

import torch
from torch import Tensor, nn

from striate.base.errors import SettingsError

from .norm import Spec
from .preactivation import pre_conv


class Dense(nn.Module):
    """`concat(x, branch(x))`."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.branch(x)), 1)


def dense(
    c_in: int,
    width: int,
    *,
    bottleneck: int = 4,
    norm: Spec = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Dense:
    """Return a layer that adds `width` maps: (N, c_in, H, W) -> (N, c_in + width, H, W).

    Args:
        width: maps it adds, the growth rate k of the paper.
        bottleneck: a 1x1 convolution to `bottleneck * width` channels comes first; 0 = none.
        dropout: rate for the added maps.

    Raises:
        SettingsError: the bottleneck is below 0.

    Reference: Huang et al., Densely Connected Convolutional Networks, arXiv:1608.06993.

    Example:
        >>> dense(64, 32)(torch.zeros(1, 64, 5, 5)).shape
        torch.Size([1, 96, 5, 5])
    """
    if bottleneck < 0:
        raise SettingsError(f"bottleneck {bottleneck} is below 0", fix="give 4, or 0 for none")
    inner = bottleneck * width
    parts = [pre_conv(c_in, inner, kernel=1, norm=norm, activation=activation)] if bottleneck else []
    parts.append(pre_conv(inner or c_in, width, norm=norm, activation=activation))
    return Dense(nn.Sequential(*parts, *([nn.Dropout(dropout)] if dropout else [])))
