"""Maps made larger: to the size of another map, or from a vector."""

import torch.nn.functional as F
from torch import Tensor, nn

from striate.base.choose import choose
from striate.base.errors import SettingsError

LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}  # by the axes of the maps
MODES = {mode: mode for mode in ("bilinear", "bicubic", "nearest")}


class Resize(nn.Module):
    """A map (N, C, H, W) brought to the height and width of another one, or made larger by a factor.

    Args:
        c_ins: channels of the map, and of the one whose size it gets, if that is given.
        scale: factor of height and width, where no other map is given.
        mode: "bilinear" (linear along every axis, also of signals and volumes), "bicubic" (images alone) or
            "nearest" (each pixel repeated).

    Raises:
        SettingsError: neither a factor nor a map of the wanted size is given, or both.

    Example:
        >>> import torch
        >>> Resize((1, 3))(torch.ones(1, 1, 2, 3), torch.zeros(1, 3, 8, 9)).shape
        torch.Size([1, 1, 8, 9])
        >>> Resize((1,), scale=2, mode="nearest")(torch.tensor([[[[1.0, 2.0]]]]))[0, 0, 0].tolist()
        [1.0, 1.0, 2.0, 2.0]
    """

    def __init__(self, c_ins: tuple[int, ...], *, scale: int = 0, mode: str = "bilinear") -> None:
        super().__init__()
        if len(c_ins) > 2 or (len(c_ins) == 2) == bool(scale):
            raise SettingsError(
                "takes a map and one of the wanted size", fix='give inputs=("map", "image"), or a scale'
            )
        self.scale, self.mode = scale, choose("mode", mode, MODES)

    def forward(self, x: Tensor, like: Tensor | None = None) -> Tensor:
        size = x.shape[2:] if like is None else like.shape[2:]
        if like is not None and size == x.shape[2:]:
            return x
        sides = tuple(side * self.scale for side in size) if like is None else size
        corners = None if self.mode == "nearest" else False
        mode = LINEAR[x.ndim - 2] if self.mode == "bilinear" else self.mode
        return F.interpolate(x, size=sides, mode=mode, align_corners=corners)


class Unpool(nn.Module):
    """A vector (N, c_in) as a map (N, width, side, side), each place by weights of its own."""

    def __init__(self, c_in: int, width: int, *, side: int = 8) -> None:
        super().__init__()
        self.linear, self.shape = nn.Linear(c_in, width * side * side), (width, side, side)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x)
        return y.view(len(x), *self.shape)
