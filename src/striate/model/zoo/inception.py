"""Inception v2, v3 and Inception-ResNet v2: large kernels taken apart, normalised, and made residual."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from striate.model.blueprint import Blueprint, Row

from .entry import Entry
from .scale import blocks, norm_like, rising, scaled, widened

PAPER_V2 = "Ioffe, Szegedy, Batch Normalization, arXiv:1502.03167"
PAPER_V3 = "Szegedy et al., Rethinking the Inception Architecture for Computer Vision, arXiv:1512.00567"
PAPER_RESNET = "Szegedy et al., Inception-v4, Inception-ResNet and the Impact of Residual Connections, arXiv:1602.07261"

# Figure 5 of the v2 paper: #1x1, #3x3 reduce, #3x3, double #3x3 reduce, double #3x3, pool, its projection.
# Without #1x1 the stride is 2 and the pool passes through. 4c and 4d give 608 maps, as their columns add up to.
MODULES_V2 = {
    "inception3a": (64, 64, 64, 64, 96, "avg", 32),
    "inception3b": (64, 64, 96, 64, 96, "avg", 64),
    "inception3c": (0, 128, 160, 64, 96, "max", 0),
    "inception4a": (224, 64, 96, 96, 128, "avg", 128),
    "inception4b": (192, 96, 128, 96, 128, "avg", 128),
    "inception4c": (160, 128, 160, 128, 160, "avg", 128),
    "inception4d": (96, 128, 192, 160, 192, "avg", 128),
    "inception4e": (0, 128, 192, 192, 256, "max", 0),
    "inception5a": (352, 192, 320, 160, 224, "avg", 128),
    "inception5b": (352, 192, 320, 192, 224, "max", 128),
}

AUX_WEIGHT = 0.4  # of the auxiliary loss in torchvision's reference training
Ways = tuple[tuple[Any, ...], ...]


def inception_v2(
    name: str,
    /,
    *,
    width: float = 1.0,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return figure 5 of the batch normalisation paper: GoogLeNet with two 3x3 instead of each 5x5 convolution.

    Args:
        width: factor of all channels.
        dropout: rate before the last layer.
    """
    rows = [
        Row("conv", scaled(64, width), stride=2, options={"kernel": 7}, name="conv1"),
        Row("max_pool", stride=2, options={"kernel": 3, "ceil": True}, name="pool1"),
        Row("conv", scaled(64, width), options={"kernel": 1}, name="conv2_reduce"),
        Row("conv", scaled(192, width), name="conv2"),
        Row("max_pool", stride=2, options={"kernel": 3, "ceil": True}, name="pool2"),
        *(_module(key, width, *_ways_v2(*columns)) for key, columns in MODULES_V2.items()),
        *_head(dropout),
    ]
    return Blueprint(name, tuple(rows), paper=PAPER_V2, defaults={"norm": norm, "activation": activation})


def _ways_v2(one: int, reduce: int, three: int, double_reduce: int, double: int, pool: str, project: int) -> Ways:
    if not one:
        return (
            ((reduce, 1), (three, 3, 2)),
            ((double_reduce, 1), (double, 3), (double, 3, 2)),
            ((pool, 3, 2),),
        )
    return (
        ((one, 1),),
        ((reduce, 1), (three, 3)),
        ((double_reduce, 1), (double, 3), (double, 3)),
        ((pool, 3), (project, 1)),
    )


def inception_v3(
    name: str,
    /,
    *,
    aux: bool = True,
    width: float = 1.0,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.5,
) -> Blueprint:
    """Return table 1 of the v3 paper, as published: modules of figures 5, 6 and 7 with grid reductions between.

    Args:
        aux: whether the auxiliary classifier hangs on mixed6e.
        width: factor of all channels.
        dropout: rate before the last layer.
    """
    rows = [
        *_stem(width),
        _module("mixed5b", width, *_figure5(32)),
        _module("mixed5c", width, *_figure5(64)),
        _module("mixed5d", width, *_figure5(64)),
        _module("mixed6a", width, *REDUCE_6A),
        _module("mixed6b", width, *_figure6(128)),
        _module("mixed6c", width, *_figure6(160)),
        _module("mixed6d", width, *_figure6(160)),
        _module("mixed6e", width, *_figure6(192)),
        *(_auxiliary(width) if aux else []),
        _module("mixed7a", width, *REDUCE_7A, source="mixed6e"),
        _module("mixed7b", width, *FIGURE_7),
        _module("mixed7c", width, *FIGURE_7),
        *_head(dropout),
    ]
    defaults = {"norm": norm_like(norm, eps=0.001), "activation": activation}
    return Blueprint(name, tuple(rows), paper=PAPER_V3, size=299, defaults=defaults, aux_weight=AUX_WEIGHT)


def _figure5(project: int) -> Ways:
    """Return the module on 35x35 maps; the published weights kept one 5x5 convolution."""
    return (
        ((64, 1),),
        ((48, 1), (64, 5)),
        ((64, 1), (96, 3), (96, 3)),
        (("avg", 3), (project, 1)),
    )


def _figure6(inner: int) -> Ways:
    """Return the module on 17x17 maps: n x n taken apart into 1 x n and n x 1, with n = 7."""
    return (
        ((192, 1),),
        ((inner, 1), (inner, (1, 7)), (192, (7, 1))),
        ((inner, 1), (inner, (7, 1)), (inner, (1, 7)), (inner, (7, 1)), (192, (1, 7))),
        (("avg", 3), (192, 1)),
    )


REDUCE_6A: Ways = (
    ((384, 3, 2, "valid"),),
    ((64, 1), (96, 3), (96, 3, 2, "valid")),
    (("max", 3, 2, "valid"),),
)
REDUCE_7A: Ways = (
    ((192, 1), (320, 3, 2, "valid")),
    ((192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, "valid")),
    (("max", 3, 2, "valid"),),
)
SPLIT = (((384, (1, 3)),), ((384, (3, 1)),))
FIGURE_7: Ways = (  # on 8x8 maps: 3x3 becomes 1x3 beside 3x1
    ((320, 1),),
    ((384, 1), SPLIT),
    ((448, 1), (384, 3), SPLIT),
    (("avg", 3), (192, 1)),
)


def _auxiliary(width: float) -> list[Row]:
    """Return the rows of the classifier on the side, section 4 of the v3 paper."""
    return [
        Row("auxiliary_pool", stride=3, name="aux_pool"),
        Row("conv", scaled(128, width), options={"kernel": 1}, name="aux_conv1"),
        Row("conv", scaled(768, width), options={"kernel": 5, "padding": "valid"}, name="aux_conv2"),
        Row("global_pool", name="aux_mean"),
        Row("linear", options={"norm": "none", "activation": "none"}, name="aux"),
    ]


def inception_resnet(
    name: str,
    /,
    *,
    depth: Sequence[int] = (10, 20, 9),
    width: float = 1.0,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.2,
    drop_path: float = 0.0,
) -> Blueprint:
    """Return figure 15 of the Inception-v4 paper with the modules of version 2, as published.

    Args:
        depth: modules at each of the three sizes.
        width: factor of all channels.
        dropout: rate before the last layer.
        drop_path: rate of stochastic depth in the last module, growing linearly from 0 in the first.
    """
    five, six, seven = blocks(depth, 3)
    rates = rising(drop_path, (five, six, seven, 1))
    rows = [
        *_stem(width),
        _module("mixed5b", width, *MIXED_5B, count_padding=False),
        _residual("stage5", width, FIGURE_16, five, 0.17, rates[0]),
        _module("mixed6a", width, *REDUCE_RESNET_6A),
        _residual("stage6", width, FIGURE_17, six, 0.1, rates[1]),
        _module("mixed7a", width, *REDUCE_RESNET_7A),
        _residual("stage7", width, FIGURE_19, seven, 0.2, rates[2]),
        _residual("last", width, FIGURE_19, 1, 1.0, rates[3], last="none"),
        Row("conv", scaled(1536, width), options={"kernel": 1}, name="conv7b"),
        *_head(dropout),
    ]
    defaults = {"norm": norm_like(norm, eps=0.001), "activation": activation}
    return Blueprint(name, tuple(rows), paper=PAPER_RESNET, size=299, defaults=defaults)


MIXED_5B: Ways = (
    ((96, 1),),
    ((48, 1), (64, 5)),
    ((64, 1), (96, 3), (96, 3)),
    (("avg", 3), (64, 1)),
)
FIGURE_16: Ways = (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3)))
FIGURE_17: Ways = (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1))))
FIGURE_19: Ways = (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1))))
REDUCE_RESNET_6A: Ways = (
    ((384, 3, 2, "valid"),),
    ((256, 1), (256, 3), (384, 3, 2, "valid")),
    (("max", 3, 2, "valid"),),
)
REDUCE_RESNET_7A: Ways = (
    ((256, 1), (384, 3, 2, "valid")),
    ((256, 1), (288, 3, 2, "valid")),
    ((256, 1), (288, 3), (320, 3, 2, "valid")),
    (("max", 3, 2, "valid"),),
)


def _stem(width: float) -> list[Row]:
    """Return the layers before the modules: 299x299 to 35x35."""
    valid = {"padding": "valid"}
    return [
        Row("conv", scaled(32, width), stride=2, options=valid, name="conv1a"),
        Row("conv", scaled(32, width), options=valid, name="conv2a"),
        Row("conv", scaled(64, width), name="conv2b"),
        Row("max_pool", stride=2, options={"kernel": 3}, name="pool2"),
        Row("conv", scaled(80, width), options={"kernel": 1}, name="conv3b"),
        Row("conv", scaled(192, width), options=valid, name="conv4a"),
        Row("max_pool", stride=2, options={"kernel": 3}, name="pool4"),
    ]


def _module(name: str, width: float, *ways: Sequence[Any], source: str = "", **options: Any) -> Row:
    inputs = (source,) if source else ()
    return Row("inception", inputs=inputs, options={"ways": widened(ways, width), **options}, name=name)


def _residual(name: str, width: float, ways: Ways, repeat: int, scale: float, each: Any, **options: Any) -> Row:
    options = {"ways": widened(ways, width), "scale": scale, **options}
    return Row("inception_residual", repeat=repeat, options=options, each=each, name=name)


def _head(dropout: float) -> list[Row]:
    return [
        Row("global_pool", name="mean"),
        *([Row("dropout", options={"rate": dropout}, name="dropout")] if dropout else []),
        Row("linear", options={"norm": "none", "activation": "none"}, name="outputs"),
    ]


ENTRIES = {
    "inception_v2": Entry(
        partial(inception_v2, "inception_v2"), PAPER_V2, 2015, "GoogLeNet with batch normalisation and 3x3 kernels"
    ),
    "inception_v3": Entry(
        partial(inception_v3, "inception_v3"),
        PAPER_V3,
        2015,
        "large kernels taken apart, one auxiliary head",
        is_rescaled=True,
    ),
    "inception_resnet_v2": Entry(
        partial(inception_resnet, "inception_resnet_v2"),
        PAPER_RESNET,
        2016,
        "Inception modules as residuals",
    ),
}
