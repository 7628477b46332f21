"""DenseNet: every layer takes the maps of all layers before it in its block."""

from collections.abc import Sequence
from functools import partial

from striate.model.blueprint import Blueprint, Row

from .entry import Entry
from .scale import blocks, scaled

PAPER = "Huang et al., Densely Connected Convolutional Networks, arXiv:1608.06993"

# Table 1: layers in the four blocks.
DEPTHS = {"densenet121": (6, 12, 24, 16), "densenet169": (6, 12, 32, 32), "densenet201": (6, 12, 48, 32)}


def densenet(
    name: str,
    is_small: bool,
    /,
    *,
    depth: Sequence[int],
    growth: int = 32,
    bottleneck: int = 4,
    width: float = 1.0,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
    layer_dropout: float = 0.0,
) -> Blueprint:
    """Return a column of the paper's table 1 (DenseNet-BC), or its network for 32x32 images: a 3x3 stem, three blocks.

    Transitions halve the channels and the size.

    Args:
        depth: layers in each block.
        growth: maps that each layer adds, k in the paper.
        bottleneck: 1x1 convolutions give this times `growth` channels; 0 leaves them out.
        width: factor of `growth`, and so of all channels.
        dropout: rate before the last layer.
        layer_dropout: rate after each dense layer (the paper uses 0.2 on small sets without augmentation).
    """
    growth = scaled(growth, width)
    channels = 2 * growth
    layer = {"bottleneck": bottleneck, "dropout": layer_dropout}
    large = [
        Row("conv", channels, stride=2, options={"kernel": 7}, name="stem"),
        Row("max_pool", stride=2, options={"kernel": 3, "padding": 1}, name="pool"),
    ]
    # The small stem is followed by the first layer's own normalisation.
    small = [Row("conv", channels, options={"norm": "none", "activation": "none", "bias": False}, name="stem")]
    rows = small if is_small else large
    for block, repeat in enumerate(blocks(depth), 1):
        rows.append(Row("dense", growth, repeat, options=layer, name=f"block{block}"))
        channels += repeat * growth
        if block < len(depth):
            channels //= 2
            rows.append(Row("pre_conv", channels, options={"kernel": 1}, name=f"transition{block}"))
            rows.append(Row("avg_pool", stride=2, name=f"pool{block}"))
    rows += [
        Row("normalise", name="norm"),
        Row("global_pool", name="mean"),
        *([Row("dropout", options={"rate": dropout}, name="dropout")] if dropout else []),
        Row("linear", options={"norm": "none", "activation": "none"}, name="outputs"),
    ]
    size = 32 if is_small else 224
    return Blueprint(name, tuple(rows), paper=PAPER, size=size, defaults={"norm": norm, "activation": activation})


def _entry(name: str, depth: tuple[int, ...]) -> Entry:
    text = f"densely connected network, layers {'-'.join(map(str, depth))}"
    return Entry(partial(densenet, name, False, depth=depth), PAPER, 2016, text)


ENTRIES = {
    **{name: _entry(name, depth) for name, depth in DEPTHS.items()},
    "densenet_cifar": Entry(
        partial(densenet, "densenet_cifar", True, depth=(16, 16, 16), growth=12),
        PAPER,
        2016,
        "DenseNet-BC-100 for 32 px images",
    ),
}
