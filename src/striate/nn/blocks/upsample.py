"""Maps made larger by a whole factor: transposed convolution, sub-pixel convolution, unpooling with positions."""

from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from striate.base.errors import SettingsError

from .conv import Pair, check_groups, each
from .norm import Spec, make_activation, make_norm, normalises

UNPOOLING: dict[int, tuple[Any, Any]] = {
    1: (F.max_pool1d, F.max_unpool1d),
    2: (F.max_pool2d, F.max_unpool2d),
    3: (F.max_pool3d, F.max_unpool3d),
}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}  # by the axes of the maps


def fit(x: Tensor, like: Tensor) -> Tensor:
    """Return a map with the height and width of another: cut off, or its last row or column repeated, at the end.

    Example:
        >>> fit(torch.arange(3.0).view(1, 1, 1, 3), torch.zeros(1, 1, 2, 4))
        tensor([[[[0., 1., 2., 2.],
                  [0., 1., 2., 2.]]]])
    """
    sides = like.shape[2:]
    for axis, side in enumerate(sides, 2):
        x = x if x.shape[axis] <= side else x.narrow(axis, 0, side)
    more = [side - have for have, side in zip(x.shape[2:], sides, strict=True)]
    behind = [number for side in reversed(more) for number in (0, side)]
    return F.pad(x, behind, mode="replicate") if any(more) else x


class Transposed(nn.Module):
    """Transposed convolution, normalisation, activation: (N, c_in, H, W) -> (N, width, H * stride, W * stride).

    Args:
        c_ins: channels of the map; with a second input the result is cut or continued to that one's height and width.
        kernel, stride: one number, or one for height and one for width; by default the kernel has the size of the
            stride, so that windows do not overlap. A kernel that the stride does not divide gives a checkerboard.
        dims: axes of the maps, 1, 2 or 3.

    Raises:
        SettingsError: the groups do not divide the channels.

    Reference: Dumoulin and Visin, arXiv:1603.07285, section 4; checkerboard: Odena et al., Distill (2016).

    Example:
        >>> Transposed((8,), 4)(torch.zeros(2, 8, 5, 6)).shape
        torch.Size([2, 4, 10, 12])
        >>> Transposed((8, 3), 4)(torch.zeros(2, 8, 5, 6), torch.zeros(2, 3, 9, 13)).shape
        torch.Size([2, 4, 9, 13])
    """

    def __init__(
        self,
        c_ins: tuple[int, ...],
        width: int,
        *,
        kernel: Pair = 0,
        stride: Pair = 2,
        groups: int = 1,
        bias: bool | None = None,
        norm: Spec = "none",
        activation: str = "none",
        dims: int = 2,
    ) -> None:
        super().__init__()
        check_groups(groups, c_ins[0], width)
        steps, sizes = each(stride, dims), each(kernel or stride, dims)
        cut, more = zip(*(_margins(k, s) for k, s in zip(sizes, steps, strict=True)), strict=True)
        has_bias = not normalises(norm) if bias is None else bias
        make: Any = TRANSPOSED[dims]
        self.conv = make(c_ins[0], width, sizes, steps, cut, more, groups=groups, bias=has_bias)
        self.norm = make_norm(norm, width, dims=dims)
        self.activation = make_activation(activation)

    def forward(self, x: Tensor, like: Tensor | None = None) -> Tensor:
        y: Tensor = self.activation(self.norm(self.conv(x)))
        return y if like is None else fit(y, like)


def _margins(kernel: int, stride: int) -> tuple[int, int]:
    """Return how many pixels are cut from both ends, and added at the last, so that the size is `stride` times more."""
    cut = max(0, -(-(kernel - stride) // 2))
    return cut, stride - kernel + 2 * cut


class BilinearTransposed(nn.Module):
    """Transposed convolution of each channel for itself that starts as bilinear interpolation.

    In the paper channels are mixed too, by weights that start at 0: kernel^2 x channels^2 of them.

    Args:
        c_ins: channels of the map; with a second input the result is cut or continued to that one's height and width.
        stride: factor of height and width.
        trains: False keeps the weights as they start, as the paper does in the last one.

    Reference: Long et al., Fully Convolutional Networks, arXiv:1411.4038, section 3.3.

    Example:
        >>> BilinearTransposed((3,), stride=4)(torch.zeros(2, 3, 5, 6)).shape
        torch.Size([2, 3, 20, 24])
    """

    def __init__(self, c_ins: tuple[int, ...], *, stride: int = 2, trains: bool = True) -> None:
        super().__init__()
        kernel = 2 * stride - stride % 2
        cut, more = _margins(kernel, stride)
        self.conv = _Bilinear(c_ins[0], c_ins[0], kernel, stride, cut, more, groups=c_ins[0], bias=False)
        self.conv.requires_grad_(trains)

    def forward(self, x: Tensor, like: Tensor | None = None) -> Tensor:
        y: Tensor = self.conv(x)
        return y if like is None else fit(y, like)


class _Bilinear(nn.ConvTranspose2d):
    def initialise(self, generator: Generator) -> None:
        """Set weights that fall from the middle to 0 at one stride."""
        size, step = self.kernel_size[0], self.stride[0]
        slope = (1 - (torch.arange(size) - (size - 1) / 2).abs() / step).clamp(min=0)
        with torch.no_grad():
            self.weight.copy_(torch.outer(slope, slope).expand_as(self.weight))


class Subpixel(nn.Module):
    """Convolution to `scale`^2 times the channels, which become pixels: (N, c_in, H, W) -> (N, width, H s, W s).

    Args:
        c_ins: channels of the map; with a second input the result is cut or continued to that one's height and width.
        scale: factor of height and width.

    Reference: Shi et al., arXiv:1609.05158, equation 4.

    Example:
        >>> Subpixel((8,), 4, scale=3)(torch.zeros(2, 8, 5, 6)).shape
        torch.Size([2, 4, 15, 18])
    """

    def __init__(
        self,
        c_ins: tuple[int, ...],
        width: int,
        *,
        scale: int = 2,
        kernel: int = 3,
        norm: Spec = "none",
        activation: str = "none",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            c_ins[0],
            width * scale**2,
            kernel,
            padding="same",
            bias=not normalises(norm),
        )
        self.shuffle = nn.PixelShuffle(scale)
        self.norm = make_norm(norm, width)
        self.activation = make_activation(activation)

    def forward(self, x: Tensor, like: Tensor | None = None) -> Tensor:
        y: Tensor = self.activation(self.norm(self.shuffle(self.conv(x))))
        return y if like is None else fit(y, like)


class MaxUnpool(nn.Module):
    """A map put back where a max-pooling took its maxima; all else is 0. The opposite of a row `max_pool`.

    Args:
        c_ins: channels of the pooled map, and of the one that was pooled, whose maxima are found again: positions
            are no row's output, and finding them costs a hundredth of a convolution.
        kernel, stride, padding, ceil: of that pooling.

    Raises:
        SettingsError: the two differ in their number of channels.

    Reference: Badrinarayanan et al., SegNet, arXiv:1511.00561, section 3.

    Example:
        >>> x = torch.tensor([[[[1.0, 4.0], [2.0, 3.0]]]])
        >>> MaxUnpool((1, 1), stride=2)(torch.tensor([[[[7.0]]]]), x)
        tensor([[[[0., 7.],
                  [0., 0.]]]])
    """

    def __init__(
        self,
        c_ins: tuple[int, ...],
        *,
        kernel: Pair = 2,
        stride: Pair = 2,
        padding: Pair = 0,
        ceil: bool = False,
        dims: int = 2,
    ) -> None:
        super().__init__()
        if len(c_ins) != 2 or c_ins[0] != c_ins[1]:
            what = f"takes a map and the one that was pooled, of one width; got widths {c_ins}"
            raise SettingsError(what, fix='give inputs=("map", "before_pooling")')
        self.kernel, self.stride, self.padding = (each(value, dims) for value in (kernel, stride, padding))
        self.ceil, (self.pool, self.unpool) = ceil, UNPOOLING[dims]

    def forward(self, x: Tensor, pooled: Tensor) -> Tensor:
        window = self.kernel, self.stride, self.padding
        at = self.pool(pooled.detach(), *window, ceil_mode=self.ceil, return_indices=True)[1]
        found: Tensor = self.unpool(x, at, *window, tuple(pooled.shape[2:]))
        return found
