"""EfficientNet: one searched network, made larger in width, depth and resolution together."""

from functools import partial
from math import ceil

from striate.base.errors import SettingsError
from striate.model.blueprint import Blueprint, Row

from .entry import Entry
from .scale import divisible, norm_like, rising

PAPER = "Tan, Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, arXiv:1905.11946"

# Table 1, stages 2 to 8 of B0: expansion, kernel, stride of the first, channels, blocks.
B0 = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


def efficientnet(
    name: str,
    size: int,
    eps: float,
    momentum: float,
    /,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    padding: str = "same",
    norm: str = "batch",
    activation: str = "silu",
    dropout: float = 0.2,
    drop_path: float = 0.2,
) -> Blueprint:
    """Return table 1 of the paper, scaled.

    Args:
        width: factor for the channels of B0.
        depth: factor for the blocks of each stage of B0.
        padding: "same", or "tensorflow" for weights that were trained there.
        dropout: rate before the last layer.
        drop_path: rate of stochastic depth in the last block, growing linearly from 0 in the first.
    """
    if depth <= 0:
        raise SettingsError(f"depth {depth} is not above 0", where=name, fix="give 1.0 for the depth of B0")
    counts = [ceil(repeat * depth) for *_, repeat in B0]
    rows = [Row("conv", divisible(32, width), stride=2, name="stem")]
    for index, (expand, kernel, stride, channels, _) in enumerate(B0):
        # the channels inside the squeeze-and-excitation are a quarter of those the block takes
        options = {"expand": expand, "kernel": kernel, "squeeze": 0.25, "squeeze_activation": activation}
        each, wide = rising(drop_path, counts)[index], divisible(channels, width)
        rows.append(Row("inverted", wide, counts[index], stride, options=options, each=each, name=f"stage{index + 1}"))
    rows += [
        Row("conv", 4 * divisible(320, width), options={"kernel": 1}, name="last"),
        Row("global_pool", name="mean"),
        *([Row("dropout", options={"rate": dropout}, name="dropout")] if dropout else []),
        Row("linear", options={"norm": "none", "activation": "none"}, name="outputs"),
    ]
    batch = norm_like(norm, eps=eps, momentum=momentum) if eps != 1e-5 else norm
    defaults = {"norm": batch, "activation": activation, "padding": padding}
    return Blueprint(name, tuple(rows), paper=PAPER, size=size, defaults=defaults)


def _entry(name: str, width: float, depth: float, size: int, dropout: float, eps: float = 1e-5) -> Entry:
    make = partial(efficientnet, name, size, eps, 0.01, width=width, depth=depth, dropout=dropout)
    return Entry(make, PAPER, 2019, f"inverted residual blocks, width x{width}, depth x{depth}, made for {size} px")


# B5 to B7 have TensorFlow's settings of batch normalisation, since their published weights come from there.
ENTRIES = {
    "efficientnet_b0": _entry("efficientnet_b0", 1.0, 1.0, 224, 0.2),
    "efficientnet_b1": _entry("efficientnet_b1", 1.0, 1.1, 240, 0.2),
    "efficientnet_b2": _entry("efficientnet_b2", 1.1, 1.2, 260, 0.3),
    "efficientnet_b3": _entry("efficientnet_b3", 1.2, 1.4, 300, 0.3),
    "efficientnet_b4": _entry("efficientnet_b4", 1.4, 1.8, 380, 0.4),
    "efficientnet_b5": _entry("efficientnet_b5", 1.6, 2.2, 456, 0.4, eps=1e-3),
    "efficientnet_b6": _entry("efficientnet_b6", 1.8, 2.6, 528, 0.5, eps=1e-3),
    "efficientnet_b7": _entry("efficientnet_b7", 2.0, 3.1, 600, 0.5, eps=1e-3),
}
