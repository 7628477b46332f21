"""A detector's questions: learned queries that look at a map until each knows the object it answers for, or none."""

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from striate.base.errors import SettingsError

WAVE = 20.0  # the longest wavelength of a position over the shortest, which is the map's side
SIDE = 0.2  # of a query's box to begin with, of the image's


def sines(at: Tensor, width: int) -> Tensor:
    """Return sines and cosines of numbers (...) in 0..1, of `width` / 2 wavelengths each: (..., width).

    Reference: Carion et al., DETR, arXiv:2005.12872, appendix A.4; wavelengths as in Liu et al., arXiv:2201.12329.

    Example:
        >>> sines(torch.tensor([0.0, 0.25]), 2).round().tolist()
        [[0.0, 1.0], [1.0, -0.0]]
    """
    step = (torch.arange(width // 2, device=at.device) * (2 * math.log(WAVE) / width)).exp()
    angle = at[..., None] * 2 * math.pi / step
    return torch.cat([angle.sin(), angle.cos()], -1)


def sine_positions(high: int, wide: int, width: int, device: torch.device) -> Tensor:
    """Return what says where in a map a place is: (width, high, wide), sines and cosines, half for each axis."""
    y, x = (sines((torch.arange(num, device=device) + 0.5) / num, width // 2).T for num in (high, wide))
    return torch.cat([y[:, :, None].expand(-1, -1, wide), x[:, None].expand(-1, high, -1)])


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


def attended(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Return for each query (N, Q, D) a mean of values (N, T, C), weighted by how well their keys (N, T, D) fit."""
    parts = [x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value)]
    return F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)


class Projection(nn.Linear):
    """A linear layer that begins with weights of variance 1 / fan-in, times a gain: nothing is rectified behind it."""

    def __init__(self, c_in: int, width: int, gain: float = 1.0) -> None:
        self.gain = gain
        super().__init__(c_in, width)

    def initialise(self, generator: Generator) -> None:
        """Draw the weights; biases are 0."""
        nn.init.normal_(self.weight, 0.0, self.gain / math.sqrt(self.in_features), generator=generator)
        nn.init.zeros_(self.bias)


class QueryLayer(nn.Module):
    """Queries look at one another, then at the map, then each thinks for itself; normalised before, added after.

    What a query looks for is two vectors: one fits what a place holds, one where the place is, so that a query that
    knows its box looks there from the first step on.

    Reference: Meng et al., Conditional DETR, arXiv:2108.06152.
    """

    def __init__(self, width: int, heads: int, expand: float, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.query1, self.key1, self.value1, self.project1 = (Projection(width, width) for _ in range(4))
        self.query2, self.key2, self.value2, self.project2 = (Projection(width, width) for _ in range(4))
        self.query_place, self.key_place, self.scale = (Projection(width, width) for _ in range(3))
        self.up, self.down = nn.Linear(width, round(expand * width)), Projection(round(expand * width), width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, box: Tensor, middle: Tensor, tokens: Tensor, places: Tensor) -> Tensor:
        """Return the queries (N, Q, C).

        Args:
            box, middle: (N, Q, C) of each query.
            tokens, places: (N, T, C) what the map's places hold, and where they are.
        """
        y = self.norm1(x)
        asked = y + box
        x = x + self.dropout(self.project1(attended(self.query1(asked), self.key1(asked), self.value1(y), self.heads)))
        y = self.norm2(x)
        query = self._joined(self.query2(y), self.query_place(middle * self.scale(y)))
        key = self._joined(self.key2(tokens), self.key_place(places).expand(len(tokens), -1, -1))
        x = x + self.dropout(self.project2(attended(query, key, self.value2(tokens), self.heads)))
        out: Tensor = x + self.dropout(self.down(F.relu(self.up(self.norm3(x)))))
        return out

    def _joined(self, a: Tensor, b: Tensor) -> Tensor:
        """Both, side by side in every head."""
        return torch.cat([x.unflatten(2, (self.heads, -1)) for x in (a, b)], 3).flatten(2)


class Queries(nn.Module):
    """So many queries ask a map, in `depth` layers: (N, C, H, W) -> (N, C + 4, depth, num), all layers' answers.

    Each has a box, middle and sides as shares before a sigmoid, the last four channels: learned to begin with, and
    mended by every layer.

    Args:
        num: queries, which is the most objects an image may have.
        heads: attentions side by side, each on C / heads features.

    Raises:
        SettingsError: the width is not that of the map, or cannot be divided.

    Reference: Carion et al., End-to-End Object Detection with Transformers, arXiv:2005.12872; with boxes, Liu et al.,
    DAB-DETR: Dynamic Anchor Boxes are Better Queries for DETR, arXiv:2201.12329.

    Example:
        >>> Queries(8, 8, num=5, depth=2, heads=2)(torch.zeros(3, 8, 2, 2)).shape
        torch.Size([3, 12, 2, 5])
    """

    def __init__(
        self, c_in: int, width: int, *, num: int = 40, depth: int = 3, heads: int = 8, expand: float = 4.0,
        dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if c_in != width or width % heads or width % 4:
            what = f"takes and gives the same width, which {heads} heads and 4 divide: {c_in} in, {width} out"
            raise SettingsError(what, fix="choose other width or heads")
        self.asked, self.boxes = nn.Parameter(torch.empty(num, width)), nn.Parameter(torch.empty(num, 4))
        self.box1, self.box2 = nn.Linear(2 * width, width), Projection(width, width)
        self.layers = nn.ModuleList(QueryLayer(width, heads, expand, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.shift1, self.shift2 = nn.Linear(width, width), Projection(width, 4, gain=0.01)

    def initialise(self, generator: Generator) -> None:
        """Draw the queries, and boxes all over the image."""
        nn.init.normal_(self.asked, generator=generator)
        with torch.no_grad():
            self.boxes.uniform_(0.05, 0.95, generator=generator).logit_()
            self.boxes[:, 2:] = math.log(SIDE / (1 - SIDE))

    def forward(self, x: Tensor) -> Tensor:
        width, tokens = x.shape[1], x.flatten(2).transpose(1, 2)
        places = sine_positions(x.shape[2], x.shape[3], width, x.device).to(x).flatten(1).T[None]
        y, box = (one.to(x).repeat(len(x), 1, 1) for one in (self.asked, self.boxes))
        answers = []
        for layer in self.layers:
            where = sines(box.detach().sigmoid(), width // 2).flatten(2).to(x)  # (N, Q, 2 C): x, y, width, height
            asked = self.box2(F.relu(self.box1(where)))
            middle = torch.cat([where[..., width // 2 : width], where[..., : width // 2]], 2)  # y, x, as places
            y = layer(y, asked, middle, tokens, places)
            answer = self.norm(y)
            shift = self.shift2(F.relu(self.shift1(answer)))
            answers.append(torch.cat([answer, box + shift], 2))
            box = (box + shift).detach()
        return torch.stack(answers, 1).permute(0, 3, 1, 2)
