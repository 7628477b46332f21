"""ViT: an image as a sentence of patches, read by a transformer."""

from functools import partial
from typing import Any

from striate.base.errors import SettingsError
from striate.model.blueprint import IMAGE, Blueprint, Row

from .entry import Entry
from .scale import rising

PAPER = "Dosovitskiy et al., An Image is Worth 16x16 Words, arXiv:2010.11929"
PAPER_SMALL = "Lee et al., Vision Transformer for Small-Size Datasets, arXiv:2112.13492"


def vit(
    name: str,
    size: int,
    paper: str,
    /,
    *,
    patch: int = 16,
    width: int = 768,
    depth: int = 12,
    heads: int = 12,
    expand: float = 4.0,
    head: str = "token",
    norm: str = "layer",
    activation: str = "gelu",
    dropout: float = 0.0,
    drop_path: float = 0.0,
) -> Blueprint:
    """Return figure 1 of the paper: patches, a class token, positions, `depth` transformer blocks, outputs.

    The network is tied to the input size it is built for.

    Args:
        patch: side of a patch in pixels.
        width: features of a token.
        depth: transformer blocks.
        heads: attentions side by side in a block; they divide the width.
        expand: units of a block's hidden layer over `width`.
        head: "token" reads the outputs from a class token, "pool" from the mean of all patches.
        dropout: rate after the positions, each attention and each layer of the hidden part.
        drop_path: rate of stochastic depth in the last block, growing linearly from 0 in the first.
    """
    if head not in {"token", "pool"} or depth < 1:
        raise SettingsError(f"head {head!r}, depth {depth} cannot be", where=name, fix="give head token, depth >= 1")
    by_token, block = head == "token", {"heads": heads, "expand": expand, "dropout": dropout}
    cut = {"kernel": patch, "padding": "valid", "norm": "none", "activation": "none"}
    rows = [
        *([Row("class_token", width, name="token")] if by_token else []),
        Row("conv", width, stride=patch, inputs=(IMAGE,), options=cut, name="patches"),
        Row(
            "tokens",
            inputs=("patches", "token") if by_token else ("patches",),
            options={"dropout": dropout},
            name="tokens",
        ),
        Row("transformer", width, depth, options=block, each=rising(drop_path, [depth])[0], name="encoder"),
        Row("token_norm", name="norm"),
        *([Row("first_token", name="first")] if by_token else _mean()),
        Row("linear", options={"norm": "none", "activation": "none"}, name="outputs"),
    ]
    settings = {"kind": norm, "eps": 1e-6} if norm == "layer" else norm
    defaults = {"norm": settings, "activation": activation}
    after = "first" if by_token else "mean"
    return Blueprint(name, tuple(rows), paper=paper, size=size, defaults=defaults, head=after, init="truncated")


def _mean() -> list[Row]:
    return [Row("grid", inputs=("norm", "patches"), name="grid"), Row("global_pool", name="mean")]


SMALL: dict[str, Any] = {"patch": 4, "width": 192, "depth": 9, "heads": 12, "expand": 2.0}
ENTRIES = {
    "vit_b_16": Entry(partial(vit, "vit_b_16", 224, PAPER), PAPER, 2020, "transformer on patches of 16x16 pixels"),
    "vit_cifar": Entry(
        partial(vit, "vit_cifar", 32, PAPER_SMALL, **SMALL), PAPER_SMALL, 2021, "small transformer for 32x32 images"
    ),
}
