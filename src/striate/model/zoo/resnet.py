"""ResNet and its kin: a network as a stack of corrections to its input."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from striate.model.blueprint import Blueprint, Row

from .entry import Entry
from .scale import blocks, rising

PAPER = "He et al., Deep Residual Learning for Image Recognition, arXiv:1512.03385"
PAPER_V2 = "He et al., Identity Mappings in Deep Residual Networks, arXiv:1603.05027"
PAPER_WIDE = "Zagoruyko, Komodakis, Wide Residual Networks, arXiv:1605.07146"
PAPER_NEXT = "Xie et al., Aggregated Residual Transformations for Deep Neural Networks, arXiv:1611.05431"


def resnet(
    name: str,
    block: str,
    inside: Mapping[str, Any],
    paper: str,
    /,
    *,
    depth: Sequence[int],
    width: int = 64,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
    drop_path: float = 0.0,
) -> Blueprint:
    """Return table 1 of the paper: a 7x7 stem, four stages of residual blocks, the mean of each map, outputs.

    Args:
        depth: blocks in each stage.
        width: channels of the stem; the stages have 1, 2, 4 and 8 times as many (x4 with bottlenecks).
        dropout: rate before the last layer.
        drop_path: rate of stochastic depth in the last block, growing linearly from 0 in the first.
    """
    rows = (
        Row("conv", width, stride=2, options={"kernel": 7}, name="stem"),
        Row("max_pool", stride=2, options={"kernel": 3, "padding": 1}, name="pool"),
        *_stages(block, width * (1 if block == "basic" else 4), depth, inside, drop_path),
        *_head(dropout),
    )
    return Blueprint(name, rows, paper=paper, defaults={"norm": norm, "activation": activation})


def resnetv2(
    name: str,
    /,
    *,
    depth: Sequence[int],
    width: int = 64,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
    drop_path: float = 0.0,
) -> Blueprint:
    """Return ResNet with pre-activation: nothing stands on the way around the blocks, so the last one is normalised.

    Args: as for `resnet`.
    """
    plain = {"kernel": 7, "norm": "none", "activation": "none", "bias": False}
    rows = (
        Row("conv", width, stride=2, options=plain, name="stem"),
        Row("max_pool", stride=2, options={"kernel": 3, "padding": 1}, name="pool"),
        *_stages("pre_bottleneck", 4 * width, depth, {}, drop_path),
        Row("normalise", name="last"),
        *_head(dropout),
    )
    return Blueprint(name, rows, paper=PAPER_V2, defaults={"norm": norm, "activation": activation})


def small(
    name: str,
    /,
    *,
    depth: Sequence[int],
    width: int = 16,
    shortcut: str = "pad",
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
    drop_path: float = 0.0,
) -> Blueprint:
    """Return section 4.2 of the paper, for images of 32x32: a 3x3 stem and three stages at 32, 16 and 8 pixels.

    Args:
        depth: blocks in each stage, n of the paper's 6 n + 2 layers.
        width: channels of the stem and the first stage; then 2 and 4 times as many.
        shortcut: where the shape changes: "pad" has no parameters (the paper's option A), "projection" a convolution.
        dropout, drop_path: as for `resnet`.
    """
    rows = (
        Row("conv", width, name="stem"),
        *_stages("basic", width, depth, {"shortcut": shortcut}, drop_path),
        *_head(dropout),
    )
    return Blueprint(name, rows, paper=PAPER, size=32, defaults={"norm": norm, "activation": activation})


def _stages(
    block: str, width: int, depth: Sequence[int], options: Mapping[str, Any], drop_path: float
) -> tuple[Row, ...]:
    """Return a row for each stage: twice the channels and half the size of the one before."""
    counts = blocks(depth)
    return tuple(
        Row(block, width * 2**i, count, stride=1 if i == 0 else 2, options=options, each=each, name=f"stage{i + 1}")
        for i, (count, each) in enumerate(zip(counts, rising(drop_path, counts), strict=True))
    )


def _head(dropout: float) -> tuple[Row, ...]:
    return (
        Row("global_pool", name="mean"),
        *([Row("dropout", options={"rate": dropout}, name="dropout")] if dropout else []),
        Row("linear", options={"norm": "none", "activation": "none"}, name="outputs"),
    )


PLAIN: Mapping[str, int] = {}


def _entry(
    name: str,
    block: str,
    depth: tuple[int, ...],
    inside: Mapping[str, int] = PLAIN,
    paper: str = PAPER,
    year: int = 2015,
) -> Entry:
    text = f"residual network, {block} blocks {'-'.join(map(str, depth))}"
    return Entry(partial(resnet, name, block, inside, paper, depth=depth), paper, year, text)


def _v2(name: str, depth: tuple[int, ...]) -> Entry:
    return Entry(partial(resnetv2, name, depth=depth), PAPER_V2, 2016, "residual network with pre-activation")


def _small(layers: int) -> Entry:
    name, count = f"resnet{layers}", (layers - 2) // 6
    return Entry(partial(small, name, depth=(count,) * 3), PAPER, 2015, "residual network for images of 32x32")


WIDE, NEXT_4, NEXT_8 = {"reduction": 2}, {"reduction": 2, "groups": 32}, {"reduction": 1, "groups": 32}
ENTRIES = {
    "resnet18": _entry("resnet18", "basic", (2, 2, 2, 2)),
    "resnet34": _entry("resnet34", "basic", (3, 4, 6, 3)),
    "resnet50": _entry("resnet50", "bottleneck", (3, 4, 6, 3)),
    "resnet101": _entry("resnet101", "bottleneck", (3, 4, 23, 3)),
    "resnet152": _entry("resnet152", "bottleneck", (3, 8, 36, 3)),
    "resnetv2_50": _v2("resnetv2_50", (3, 4, 6, 3)),
    "resnetv2_101": _v2("resnetv2_101", (3, 4, 23, 3)),
    "resnetv2_152": _v2("resnetv2_152", (3, 8, 36, 3)),
    "wide_resnet50_2": _entry("wide_resnet50_2", "bottleneck", (3, 4, 6, 3), WIDE, PAPER_WIDE, 2016),
    "wide_resnet101_2": _entry("wide_resnet101_2", "bottleneck", (3, 4, 23, 3), WIDE, PAPER_WIDE, 2016),
    "resnext50_32x4d": _entry("resnext50_32x4d", "bottleneck", (3, 4, 6, 3), NEXT_4, PAPER_NEXT, 2016),
    "resnext101_32x8d": _entry("resnext101_32x8d", "bottleneck", (3, 4, 23, 3), NEXT_8, PAPER_NEXT, 2016),
    **{f"resnet{layers}": _small(layers) for layers in (20, 32, 44, 56, 110)},
}
