"""Where branches meet: blocks of any number of inputs."""

import torch
from torch import Tensor, nn

from striate.base.errors import SettingsError

from .norm import make_activation


class Add(nn.Module):
    """The sum of maps of one shape, then an activation.

    Raises:
        SettingsError: the inputs differ in their number of channels.
    """

    same_width = True  # as each input

    def __init__(self, c_ins: tuple[int, ...], *, activation: str = "none") -> None:
        super().__init__()
        if len(set(c_ins)) > 1:
            raise SettingsError(f"inputs of {c_ins} channels cannot be added", fix="give all the same width")
        self.activation = make_activation(activation, inplace=len(c_ins) > 1)

    def forward(self, *xs: Tensor) -> Tensor:
        if len(xs) == 1:
            total = xs[0]
        else:
            total = torch.stack(xs).sum(0) if len(xs) > 2 else xs[0] + xs[1]
        out: Tensor = self.activation(total)
        return out


class Onto(nn.Module):
    """A map added to an image; where their channels differ in number, to the mean of the image's, in each channel.

    A network that ends so corrects the image it got instead of making one anew.

    Example:
        >>> Onto((1, 3))(torch.ones(1, 1, 2, 2), torch.ones(1, 3, 2, 2)).flatten().tolist()
        [2.0, 2.0, 2.0, 2.0]
    """

    def __init__(self, c_ins: tuple[int, ...]) -> None:
        super().__init__()
        if len(c_ins) != 2:
            raise SettingsError("takes a map and an image", fix='give inputs=("map", "image")')
        self.is_same = c_ins[0] == c_ins[1]

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        return x + (image if self.is_same else image.mean(1, keepdim=True))


class Multiply(nn.Module):
    """The product of two maps, of one shape or the second of one place: (N, C, H, W) by (N, C, 1, 1).

    Raises:
        SettingsError: there are not two inputs, or they differ in their number of channels.
    """

    def __init__(self, c_ins: tuple[int, ...]) -> None:
        super().__init__()
        if len(c_ins) != 2 or c_ins[0] != c_ins[1]:
            raise SettingsError(f"inputs of {c_ins} channels cannot be multiplied", fix="give two of the same width")

    def forward(self, x: Tensor, factor: Tensor) -> Tensor:
        return x * factor


class Concat(nn.Module):
    """The channels of all inputs one after the other; their heights and widths must be equal."""

    def __init__(self, c_ins: tuple[int, ...]) -> None:
        super().__init__()

    def forward(self, *xs: Tensor) -> Tensor:
        return torch.cat(xs, 1)


class Part(nn.Module):
    """Some channels of a map (N, c_in, ...), as they are: `width` of them from channel `start` on.

    Raises:
        SettingsError: the map has fewer.

    Example:
        >>> Part(8, 3, start=5)(torch.zeros(1, 8, 2, 2)).shape
        torch.Size([1, 3, 2, 2])
    """

    def __init__(self, c_in: int, width: int, *, start: int = 0) -> None:
        super().__init__()
        if not 0 <= start <= start + width <= c_in:
            what = f"channels {start} to {start + width} of {c_in} are not there"
            raise SettingsError(what, fix="give a smaller start or width")
        self.start, self.width = start, width

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.start : self.start + self.width]
