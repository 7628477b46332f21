"""Transformer blocks. Tokens are (N, C, T): T positions of C features, stored position by position."""

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from striate.base.errors import ModelError, SettingsError

from .norm import Spec, make_activation, make_norm
from .residual import dropped


class TokenNorm(nn.Module):
    """Normalisation of tokens (N, C, T), by default of each token for itself."""

    def __init__(self, c_in: int, *, norm: Spec = "layer") -> None:
        super().__init__()
        self.norm = make_norm(norm, c_in, vector=True)
        self.by_token = isinstance(self.norm, nn.LayerNorm)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(x.transpose(1, 2)).transpose(1, 2) if self.by_token else self.norm(x)
        return out


class ClassToken(nn.Module):
    """One learned token (N, width, 1), the same for every image; attention collects in it what the outputs need."""

    def __init__(self, c_in: int, width: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, width))

    def initialise(self, generator: Generator) -> None:
        """Start from zero."""
        nn.init.zeros_(self.token)

    def forward(self, x: Tensor) -> Tensor:
        return self.token.repeat(x.shape[0], 1, 1).transpose(1, 2)


class Tokens(nn.Module):
    """A map's positions as tokens, a class token before them if there is one, plus a learned vector for each position.

    Args:
        c_ins: of the map (N, C, H, W), and of the class token.
        size_hw: of the map; the network is tied to it.
        dropout: rate for single values.

    Reference: Dosovitskiy et al., An Image is Worth 16x16 Words, arXiv:2010.11929, equation 1.

    Example:
        >>> Tokens((8, 8), size_hw=(3, 4))(torch.zeros(2, 8, 3, 4), torch.zeros(2, 8, 1)).shape
        torch.Size([2, 8, 13])
    """

    def __init__(self, c_ins: tuple[int, ...], *, size_hw: tuple[int, ...], dropout: float = 0.0) -> None:
        super().__init__()
        if len(size_hw) != 2 or len(set(c_ins)) > 1 or len(c_ins) > 2:
            raise SettingsError(
                f"takes a map and perhaps a class token of its width; got widths {c_ins}", fix="name the map first"
            )
        self.size_hw = size_hw
        num_tokens = size_hw[0] * size_hw[1] + len(c_ins) - 1
        self.positions = nn.Parameter(torch.zeros(1, num_tokens, c_ins[0]))
        self.dropout = nn.Dropout(dropout)

    def initialise(self, generator: Generator) -> None:
        """Start from a normal distribution of deviation 0.02."""
        nn.init.normal_(self.positions, 0.0, 0.02, generator=generator)

    def forward(self, x: Tensor, token: Tensor | None = None) -> Tensor:
        if tuple(x.shape[2:]) != self.size_hw:
            what = f"positions of a {self.size_hw} map cannot go to one of {tuple(x.shape[2:])}"
            raise ModelError(what, fix="build the network for the size of these images")
        y = x.flatten(2).transpose(1, 2)
        if token is not None:
            y = torch.cat((token.transpose(1, 2), y), 1)
        out: Tensor = self.dropout(y + self.positions).transpose(1, 2)
        return out


class Transformer(nn.Module):
    """Attention among tokens, then a hidden layer for each; each normalised before and added to its input.

    Args:
        heads: attentions side by side, each on `width / heads` features.
        expand: units of the hidden layer over `width`.
        dropout: rate for single values, after attention and in the hidden layer.
        skip: False leaves out both sums: attention and hidden layer one after the other.

    Raises:
        SettingsError: the input has another width, or the heads do not divide it.

    Reference: Vaswani et al., arXiv:1706.03762; with the normalisation before, Dosovitskiy et al., arXiv:2010.11929.

    Example:
        >>> Transformer(8, 8, heads=2)(torch.zeros(2, 8, 5)).shape
        torch.Size([2, 8, 5])
    """

    def __init__(
        self,
        c_in: int,
        width: int,
        *,
        heads: int,
        expand: float = 4.0,
        skip: bool = True,
        norm: Spec = "layer",
        activation: str = "gelu",
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if c_in != width:
            raise SettingsError(f"keeps the width: {c_in} in, {width} out", fix=f"use width={c_in}")
        if heads < 1 or width % heads:
            fitting = [n for n in range(1, width + 1) if width % n == 0]
            best = min(fitting, key=lambda n: abs(n - heads))
            raise SettingsError(f"heads={heads} must divide the {width} features", fix=f"use heads={best}")
        self.heads = heads
        self.norm1 = TokenNorm(width, norm=norm)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm2 = TokenNorm(width, norm=norm)
        self.up = nn.Linear(width, round(expand * width))
        self.activation = make_activation(activation)
        self.down = nn.Linear(round(expand * width), width)
        self.dropout = nn.Dropout(dropout)
        self.skip, self.drop_path = skip, dropped(drop_path, skip) or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)  # (N, T, C), contiguous: the tokens were stored so
        y = self.norm1(x.transpose(1, 2)).transpose(1, 2)
        y = self.drop_path(self.dropout(self.project(self._attend(self.query_key_value(y)))))
        x = x + y if self.skip else y
        y = self.norm2(x.transpose(1, 2)).transpose(1, 2)
        y = self.down(self.dropout(self.activation(self.up(y))))
        y = self.drop_path(self.dropout(y))
        out: Tensor = (x + y if self.skip else y).transpose(1, 2)
        return out

    def _attend(self, qkv: Tensor) -> Tensor:
        n, num_tokens, _ = qkv.shape
        parts = qkv.view(n, num_tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (3, N, heads, T, C / heads)
        y = F.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        return y.transpose(1, 2).reshape(n, num_tokens, -1)


class FirstToken(nn.Module):
    """The first token (N, C) of tokens (N, C, T)."""

    def __init__(self, c_in: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, 0]


class Grid(nn.Module):
    """Tokens (N, C, T) as a map again, of the size of the map they came from; a class token is left out.

    Args:
        c_ins: of the tokens, and of the map (of which only the size matters).
    """

    def __init__(self, c_ins: tuple[int, ...]) -> None:
        super().__init__()
        if len(c_ins) != 2:
            raise SettingsError("takes tokens and the map they came from", fix='give inputs=("tokens", "map")')

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        high, wide = like.shape[2:]
        out: Tensor = x[:, :, -high * wide :].unflatten(2, (high, wide))
        return out
