"""MobileNet: convolution taken apart, so that it runs on a phone."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from striate.model.blueprint import Blueprint, Row

from .entry import Entry
from .scale import divisible, norm_like, rising

PAPER_V1 = "Howard et al., MobileNets: Efficient CNNs for Mobile Vision Applications, arXiv:1704.04861"
PAPER_V2 = "Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, arXiv:1801.04381"
PAPER_V3 = "Howard et al., Searching for MobileNetV3, arXiv:1905.02244"

# Table 1 of v1: channels, layers, stride of the first.
V1 = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2))

# Table 2 of v2: expansion, channels, blocks, stride of the first; and the same for images of 32x32.
V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
V2_SMALL = ((1, 16, 1, 1), (6, 24, 2, 1), *V2[2:])

# Tables 1 and 2 of v3: kernel, channels inside, channels out, squeeze-and-excitation, late activation, stride.
V3_LARGE = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
V3_SMALL = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


def mobilenet_v1(
    name: str,
    size: int,
    /,
    *,
    width: float = 1.0,
    padding: str = "same",
    norm: str = "batch",
    activation: str = "relu6",
    dropout: float = 0.0,
) -> Blueprint:
    """Return v1: a plain convolution, then thirteen separable ones.

    Args:
        width: factor for all channels.
        padding: "same", or "tensorflow" for weights that were trained there.
        dropout: rate before the last layer.
    """
    rows = [Row("conv", divisible(32, width), stride=1 if size == 32 else 2, name="stem")]
    for index, (channels, repeat, stride) in enumerate(V1, 1):
        options = {"between": True}
        rows.append(Row("separable", divisible(channels, width), repeat, stride, options=options, name=f"stage{index}"))
    rows += _head(dropout)
    defaults = {"norm": norm, "activation": activation, "padding": padding}
    return Blueprint(name, tuple(rows), paper=PAPER_V1, size=size, defaults=defaults)


def mobilenet_v2(
    name: str,
    table: Sequence[Sequence[int]],
    size: int,
    /,
    *,
    width: float = 1.0,
    padding: str = "same",
    norm: str = "batch",
    activation: str = "relu6",
    dropout: float = 0.2,
    drop_path: float = 0.0,
) -> Blueprint:
    """Return v2: inverted residual blocks, narrow where they are added, wide where they convolve.

    Args:
        width: factor for all channels; the last convolution is never narrower than 1280.
        padding: "same", or "tensorflow" for weights that were trained there.
        dropout: rate before the last layer.
        drop_path: rate of stochastic depth in the last block, growing linearly from 0 in the first.
    """
    rows = [Row("conv", divisible(32, width), stride=1 if size == 32 else 2, name="stem")]
    steps = rising(drop_path, [repeat for _, _, repeat, _ in table])
    for index, ((expand, channels, repeat, stride), each) in enumerate(zip(table, steps, strict=True), 1):
        options, wide = {"expand": expand}, divisible(channels, width)
        rows.append(Row("inverted", wide, repeat, stride, options=options, each=each, name=f"stage{index}"))
    rows.append(Row("conv", divisible(1280, max(1.0, width)), options={"kernel": 1}, name="last"))
    rows += _head(dropout)
    defaults = {"norm": norm, "activation": activation, "padding": padding}
    return Blueprint(name, tuple(rows), paper=PAPER_V2, size=size, defaults=defaults)


def mobilenet_v3(
    name: str,
    table: Sequence[Sequence[Any]],
    hidden: int,
    /,
    *,
    width: float = 1.0,
    padding: str = "same",
    norm: str = "batch",
    activation: str = "hardswish",
    early_activation: str = "relu",
    dropout: float = 0.2,
    drop_path: float = 0.0,
) -> Blueprint:
    """Return v3: inverted residual blocks, some with squeeze-and-excitation, sizes found by search.

    Args:
        width, padding, dropout, drop_path: as for v2.
        activation: of the deeper blocks, the stem and the head; maps are small there, so a costly one costs little.
        early_activation: of the other blocks.
    """
    rows = [Row("conv", divisible(16, width), stride=2, name="stem")]
    steps = rising(drop_path, [1] * len(table))
    for index, ((kernel, inner, channels, squeezes, late, stride), each) in enumerate(
        zip(table, steps, strict=True), 1
    ):
        inside = divisible(divisible(inner, width) // 4) if squeezes else 0
        options = {"kernel": kernel, "inner": divisible(inner, width), "squeeze": inside, "gate": "hardsigmoid"}
        options |= {} if late else {"activation": early_activation}
        wide = divisible(channels, width)
        rows.append(Row("inverted", wide, stride=stride, options=options, each=each, name=f"block{index}"))
    rows.append(Row("conv", 6 * divisible(table[-1][2], width), options={"kernel": 1}, name="last"))
    rows += _head(dropout, divisible(hidden, width))
    norm_v3 = norm_like(norm, eps=0.001, momentum=0.01)
    defaults = {"norm": norm_v3, "activation": activation, "padding": padding}
    return Blueprint(name, tuple(rows), paper=PAPER_V3, defaults=defaults)


def _head(dropout: float, hidden: int = 0) -> list[Row]:
    """Return the mean of each map, a hidden layer if it has units, outputs."""
    plain = {"norm": "none"}
    return [
        Row("global_pool", name="mean"),
        *([Row("linear", hidden, options=plain, name="hidden")] if hidden else []),
        *([Row("dropout", options={"rate": dropout}, name="dropout")] if dropout else []),
        Row("linear", options={**plain, "activation": "none"}, name="outputs"),
    ]


SEPARABLE = "depthwise separable convolutions"
INVERTED = "inverted residual blocks"
SEARCHED = "inverted residual blocks with squeeze-and-excitation, found by search"
SMALL = ", for images of 32x32"
ENTRIES = {
    "mobilenetv1_100": Entry(partial(mobilenet_v1, "mobilenetv1_100", 224), PAPER_V1, 2017, SEPARABLE),
    "mobilenetv1_cifar": Entry(partial(mobilenet_v1, "mobilenetv1_cifar", 32), PAPER_V1, 2017, SEPARABLE + SMALL),
    "mobilenet_v2": Entry(
        partial(mobilenet_v2, "mobilenet_v2", V2, 224), PAPER_V2, 2018, INVERTED, timm="mobilenetv2_100"
    ),
    "mobilenet_v2_cifar": Entry(
        partial(mobilenet_v2, "mobilenet_v2_cifar", V2_SMALL, 32), PAPER_V2, 2018, INVERTED + SMALL
    ),
    "mobilenet_v3_small": Entry(partial(mobilenet_v3, "mobilenet_v3_small", V3_SMALL, 1024), PAPER_V3, 2019, SEARCHED),
    "mobilenet_v3_large": Entry(partial(mobilenet_v3, "mobilenet_v3_large", V3_LARGE, 1280), PAPER_V3, 2019, SEARCHED),
}
