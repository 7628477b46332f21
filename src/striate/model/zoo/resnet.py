"""ResNet: a network as a stack of corrections to its input."""

from functools import partial
from typing import Any

from striate.model.blueprint import Blueprint, Row

from .entry import Entry

PAPER = "He et al., Deep Residual Learning for Image Recognition, arXiv:1512.03385"


def resnet(
    name: str,
    block: str,
    depth: tuple[int, ...],
    expansion: int,
    /,
    *,
    width: int = 64,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
    drop_path: float = 0.0,
) -> Blueprint:
    """Return table 1 of the paper: a 7x7 stem, four stages of residual blocks, the mean of each map, outputs.

    Args:
        width: channels of the stem; the stages have 1, 2, 4 and 8 times as many (x4 with bottlenecks).
        dropout: rate before the last layer.
        drop_path: rate of stochastic depth in the last block, growing linearly from 0 in the first.
    """
    rates = [drop_path * index / max(1, sum(depth) - 1) for index in range(sum(depth))]
    stages = []
    for stage, repeat in enumerate(depth):
        each: dict[str, Any] = {"drop_path": tuple(rates[sum(depth[:stage]) :][:repeat])} if drop_path else {}
        wide = width * 2**stage * expansion
        stages.append(Row(block, wide, repeat, stride=1 if stage == 0 else 2, each=each, name=f"stage{stage + 1}"))
    rows = (
        Row("conv", width, stride=2, options={"kernel": 7}, name="stem"),
        Row("max_pool", stride=2, options={"kernel": 3, "padding": 1}, name="pool"),
        *stages,
        Row("global_pool", name="mean"),
        *([Row("dropout", options={"rate": dropout}, name="dropout")] if dropout else []),
        Row("linear", options={"norm": "none", "activation": "none"}, name="outputs"),
    )
    return Blueprint(name, rows, paper=PAPER, defaults={"norm": norm, "activation": activation})


def _entry(name: str, block: str, depth: tuple[int, ...], expansion: int) -> Entry:
    text = f"residual network, {block} blocks {'-'.join(map(str, depth))}"
    return Entry(partial(resnet, name, block, depth, expansion), PAPER, 2015, text)


ENTRIES = {
    "resnet18": _entry("resnet18", "basic", (2, 2, 2, 2), 1),
    "resnet34": _entry("resnet34", "basic", (3, 4, 6, 3), 1),
    "resnet50": _entry("resnet50", "bottleneck", (3, 4, 6, 3), 4),
    "resnet101": _entry("resnet101", "bottleneck", (3, 4, 23, 3), 4),
    "resnet152": _entry("resnet152", "bottleneck", (3, 8, 36, 3), 4),
}
