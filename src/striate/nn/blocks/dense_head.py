"""What a detector ends in: outputs for every place of several maps, and where these places lie in the image."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from striate.base.errors import SettingsError

from .norm import Spec, make_activation, make_norm, normalises

DEVIATION = 0.01  # of the last layer's weights at the start: RetinaNet, arXiv:1708.02002, section 4.1


class LastConv(nn.Module):
    """A 3 x 3 convolution (N, c_in, H, W) -> (N, width, H, W) that starts near one number everywhere."""

    def __init__(self, c_in: int, width: int, start: float) -> None:
        super().__init__()
        self.start = start
        self.weight = nn.Parameter(torch.empty(width, c_in, 3, 3))
        self.bias = nn.Parameter(torch.empty(width))

    def initialise(self, generator: Generator) -> None:
        """Draw the weights; the bias is the number."""
        nn.init.normal_(self.weight, 0.0, DEVIATION, generator=generator)
        nn.init.constant_(self.bias, self.start)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, padding=1)


class DenseHead(nn.Module):
    """Convolutions on each of L maps (N, C, h, w), the outputs of all their places behind each other: (N, width, P).

    P is the sum of the maps' h x w. The levels share the convolutions and have normalisations of their own, since the
    statistics of their maps differ.

    Args:
        c_ins: channels of the maps.
        width: outputs of a place; times `per_place`, of which each place has so many, such as anchors.
        depth: 3 x 3 convolutions before the last one, of as many channels as the map has.
        start: what the outputs are at first.
        shared: whether all levels have the same convolutions.
        dropout: rate of whole maps before the last convolution.

    Raises:
        SettingsError: maps that share convolutions differ in their channels.

    Example:
        >>> head = DenseHead((8, 8), 3, depth=1, per_place=2)
        >>> head(torch.zeros(1, 8, 4, 4), torch.zeros(1, 8, 2, 2)).shape
        torch.Size([1, 6, 20])
    """

    def __init__(
        self,
        c_ins: tuple[int, ...],
        width: int,
        *,
        depth: int = 2,
        per_place: int = 1,
        start: float = 0.0,
        shared: bool = True,
        dropout: float = 0.0,
        norm: Spec = "none",
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if shared and len(set(c_ins)) > 1:
            raise SettingsError(f"maps of {c_ins} channels share no convolutions", fix="give all the same width")
        self.depth, own = depth, c_ins[:1] if shared else c_ins
        has_bias = not normalises(norm)
        self.convs = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1, bias=has_bias) for c in own for _ in range(depth))
        self.norms = nn.ModuleList(
            make_norm(norm, c, dims=2) if normalises(norm) else nn.Identity() for c in c_ins for _ in range(depth)
        )
        self.activation = make_activation(activation)
        self.dropout = nn.Dropout2d(dropout)
        self.last = nn.ModuleList(LastConv(c, width * per_place, start) for c in own)

    def forward(self, *xs: Tensor) -> Tensor:
        return torch.cat([self._level(number, x).flatten(2) for number, x in enumerate(xs)], 2)

    def _level(self, number: int, x: Tensor) -> Tensor:
        own = number % len(self.last)
        for turn in range(self.depth):
            x = self.convs[own * self.depth + turn](x)
            x = self.activation(self.norms[number * self.depth + turn](x))
        y: Tensor = self.last[own](self.dropout(x))
        return y


class Places(nn.Module):
    """Where the places of L maps lie in the image that is the last input: (N, 5, P), in its pixels.

    Of each place: x and y of its middle, the distance to the next (the stride), and the image's width and height. P as
    in `DenseHead`. They do not depend on what the maps hold, and are float32 whatever the maps are.

    Example:
        >>> Places((8, 3))(torch.zeros(1, 8, 1, 2), torch.zeros(1, 3, 8, 16))[0].tolist()
        [[4.0, 12.0], [4.0, 4.0], [8.0, 8.0], [16.0, 16.0], [8.0, 8.0]]
    """

    def __init__(self, c_ins: tuple[int, ...]) -> None:
        super().__init__()
        if len(c_ins) < 2:
            raise SettingsError("takes maps and the image", fix='give inputs=("map", "image")')

    def forward(self, *xs: Tensor) -> Tensor:
        *maps, image = xs
        high, wide = image.shape[2:]
        return torch.cat([_places(one, high, wide) for one in maps], 1).expand(
            image.shape[0], -1, -1
        )  # len() would fix the number in a graph


def _places(one: Tensor, high: int, wide: int) -> Tensor:
    rows, columns = one.shape[2:]
    down, across = high / rows, wide / columns
    y = (torch.arange(rows, dtype=torch.float32, device=one.device) + 0.5) * down
    x = (torch.arange(columns, dtype=torch.float32, device=one.device) + 0.5) * across
    size = torch.tensor([(down * across) ** 0.5, wide, high], dtype=torch.float32, device=one.device)
    middle = torch.stack([x.repeat(rows), y.repeat_interleave(columns)])
    return torch.cat([middle, size[:, None].expand(-1, rows * columns)])
