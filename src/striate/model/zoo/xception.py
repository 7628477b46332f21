"""Xception: Inception taken to its end, each channel for itself in space and all together at each position."""

from functools import partial

from striate.base.errors import SettingsError
from striate.model.blueprint import Blueprint, Row

from .entry import Entry
from .scale import rising, scaled

PAPER = "Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, arXiv:1610.02357"


def xception(
    name: str,
    /,
    *,
    width: float = 1.0,
    depth: int = 8,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
    drop_path: float = 0.0,
) -> Blueprint:
    """Return figure 5 of the paper: entry flow, middle flow, exit flow.

    Args:
        width: factor of all channels.
        depth: number of modules in the middle flow.
        dropout: rate before the last layer (the paper uses 0.5).
        drop_path: rate of stochastic depth in the last module, growing linearly from 0 in the first.
    """
    first, second, third, middle, last = rising(drop_path, (1, 1, 1, depth, 1))
    valid = {"padding": "valid"}
    rows = (
        Row("conv", scaled(32, width), stride=2, options=valid, name="conv1"),
        Row("conv", scaled(64, width), options=valid, name="conv2"),
        Row("xception", scaled(128, width), stride=2, options={"start": False}, each=first, name="entry1"),
        Row("xception", scaled(256, width), stride=2, each=second, name="entry2"),
        Row("xception", scaled(728, width), stride=2, each=third, name="entry3"),
        Row("xception", scaled(728, width), depth, options={"depth": 3}, each=middle, name="middle"),
        Row("xception", scaled(1024, width), stride=2, options={"grow": "last"}, each=last, name="exit1"),
        Row("separable", scaled(1536, width), name="exit2"),
        Row("separable", scaled(2048, width), name="exit3"),
        *_head(dropout),
    )
    return Blueprint(name, rows, paper=PAPER, size=299, defaults={"norm": norm, "activation": activation})


def small(
    name: str,
    /,
    *,
    width: float = 1.0,
    depth: int = 3,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.25,
    drop_path: float = 0.0,
) -> Blueprint:
    """Return an Xception for some thousand images: no middle flow, few channels.

    The shape is that of the network in Keras' example "Image classification from scratch", from half as many channels.

    Args:
        width: factor of all channels.
        depth: number of modules; each halves height and width and doubles the channels.
        dropout: rate before the last layer.
        drop_path: rate of stochastic depth in the last module, growing linearly from 0 in the first.

    Raises:
        SettingsError: the depth is below 1.
    """
    if depth < 1:
        raise SettingsError(f"depth {depth} is below 1", where=name, fix="give 3")
    channels = [scaled(64 * 2**level, width) for level in range(depth + 2)]
    rates = rising(drop_path, (1,) * depth)
    rows = (
        Row("conv", channels[0], stride=2, name="stem"),
        *(
            Row("xception", channels[level], stride=2, each=rates[level - 1], name=f"module{level}")
            for level in range(1, depth + 1)
        ),
        Row("separable", channels[-1], name="last"),
        *_head(dropout),
    )
    return Blueprint(name, rows, paper=PAPER, size=128, defaults={"norm": norm, "activation": activation})


def _head(dropout: float) -> list[Row]:
    return [
        Row("global_pool", name="mean"),
        *([Row("dropout", options={"rate": dropout}, name="dropout")] if dropout else []),
        Row("linear", options={"norm": "none", "activation": "none"}, name="outputs"),
    ]


ENTRIES = {
    "xception": Entry(
        partial(xception, "xception"),
        PAPER,
        2016,
        "separable convolutions with shortcuts, 36 layers",
        timm="legacy_xception",
    ),
    "xception_small": Entry(
        partial(small, "xception_small"), PAPER, 2016, "Xception for small data: no middle flow, few channels"
    ),
}
