"""A detector's questions: learned queries that look at a map until each knows the object it answers for, or none."""

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from striate.base.errors import SettingsError

WAVE = 10_000.0  # the longest wavelength of a position, over 2 pi


def sine_positions(high: int, wide: int, width: int, device: torch.device) -> Tensor:
    """Return what says where in a map a place is: (width, high, wide), sines and cosines, half for each axis.

    Reference: Carion et al., DETR, arXiv:2005.12872, appendix A.4; positions go from 0 to 2 pi whatever the size.
    """
    half = width // 2
    step = (torch.arange(half // 2, device=device) * (2 * math.log(WAVE) / half)).exp()
    y, x = ((torch.arange(num, device=device) + 0.5) / num * 2 * math.pi for num in (high, wide))
    parts = [torch.cat([(at[:, None] / step).sin(), (at[:, None] / step).cos()], 1).T for at in (y, x)]
    return torch.cat([parts[0][:, :, None].expand(-1, -1, wide), parts[1][:, None].expand(-1, high, -1)])


class SineTokens(nn.Module):
    """A map's places as tokens (N, C, T), each with a sine of where it is added; of maps of any size.

    Raises:
        SettingsError: the width cannot be divided by 4.

    Example:
        >>> SineTokens(8)(torch.zeros(2, 8, 3, 4)).shape
        torch.Size([2, 8, 12])
    """

    def __init__(self, c_in: int) -> None:
        super().__init__()
        if c_in % 4:
            raise SettingsError(f"positions need a width that 4 divides, not {c_in}", fix=f"use {c_in + -c_in % 4}")

    def forward(self, x: Tensor) -> Tensor:
        where = sine_positions(x.shape[2], x.shape[3], x.shape[1], x.device).to(x)
        return (x + where).flatten(2)


class Attention(nn.Module):
    """Queries (N, Q, C) look at keys and values (N, T, C): the values, by how well their keys fit."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.project = (nn.Linear(width, width) for _ in range(4))

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        parts = [
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, query), (self.key, key), (self.value, value))
        ]
        found = F.scaled_dot_product_attention(*parts)
        out: Tensor = self.project(found.transpose(1, 2).flatten(2))
        return out


class QueryLayer(nn.Module):
    """Queries look at one another, then at the map, then each thinks for itself; normalised before, added after."""

    def __init__(self, width: int, heads: int, expand: float, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.among, self.at = Attention(width, heads), Attention(width, heads)
        self.up, self.down = nn.Linear(width, round(expand * width)), nn.Linear(round(expand * width), width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, asked: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.dropout(self.among(y + asked, y + asked, y))
        x = x + self.dropout(self.at(self.norm2(x) + asked, keys, values))
        out: Tensor = x + self.dropout(self.down(F.relu(self.up(self.norm3(x)))))
        return out


class Queries(nn.Module):
    """So many learned queries ask a map, in `depth` layers: (N, C, H, W) -> (N, C, depth, num), all layers' answers.

    Args:
        num: queries, which is the most objects an image may have.
        heads: attentions side by side, each on C / heads features.

    Raises:
        SettingsError: the width is not that of the map, or cannot be divided.

    Reference: Carion et al., End-to-End Object Detection with Transformers, arXiv:2005.12872.

    Example:
        >>> Queries(8, 8, num=5, depth=2, heads=2)(torch.zeros(3, 8, 2, 2)).shape
        torch.Size([3, 8, 2, 5])
    """

    def __init__(
        self, c_in: int, width: int, *, num: int = 40, depth: int = 3, heads: int = 8, expand: float = 4.0,
        dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if c_in != width or width % heads or width % 4:
            what = f"takes and gives the same width, which {heads} heads and 4 divide: {c_in} in, {width} out"
            raise SettingsError(what, fix="choose other width or heads")
        self.asked = nn.Parameter(torch.empty(num, width))
        self.layers = nn.ModuleList(QueryLayer(width, heads, expand, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def initialise(self, generator: Generator) -> None:
        """Draw the queries."""
        nn.init.normal_(self.asked, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        values = x.flatten(2).transpose(1, 2)
        where = sine_positions(x.shape[2], x.shape[3], x.shape[1], x.device).to(x)
        keys, asked = values + where.flatten(1).T, self.asked.to(x).repeat(len(x), 1, 1)
        y, found = torch.zeros_like(asked), []
        for layer in self.layers:
            y = layer(y, asked, keys, values)
            found.append(self.norm(y))
        return torch.stack(found, 1).permute(0, 3, 1, 2)
