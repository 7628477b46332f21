"""Maps made larger: to the size of another map, or from a vector."""

import torch.nn.functional as F
from torch import Tensor, nn

from striate.base.errors import SettingsError


class Resize(nn.Module):
    """A map (N, C, H, W) brought to the height and width of another one, bilinearly.

    Args:
        c_ins: channels of the map, and of the one whose size it gets.

    Example:
        >>> import torch
        >>> Resize((1, 3))(torch.ones(1, 1, 2, 3), torch.zeros(1, 3, 8, 9)).shape
        torch.Size([1, 1, 8, 9])
    """

    def __init__(self, c_ins: tuple[int, ...]) -> None:
        super().__init__()
        if len(c_ins) != 2:
            raise SettingsError("takes a map and one of the wanted size", fix='give inputs=("map", "image")')

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


class Unpool(nn.Module):
    """A vector (N, c_in) as a map (N, width, side, side), each place by weights of its own."""

    def __init__(self, c_in: int, width: int, *, side: int = 8) -> None:
        super().__init__()
        self.linear, self.shape = nn.Linear(c_in, width * side * side), (width, side, side)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x)
        return y.view(len(x), *self.shape)
