"""Networks for time series, which are images of height 1: every kernel is 1 high.

Padding is TensorFlow's, as in the authors' code: of an even kernel the larger half lies behind.
"""

from typing import Any

from striate.model.blueprint import IMAGE, Blueprint, Row

from .entry import Entry

PAPER = "Wang, Yan, Oates, Time Series Classification from Scratch with Deep Neural Networks, arXiv:1611.06455"
LENGTH = 128  # samples that they are drawn and counted for
KERNELS = (8, 5, 3)  # of the three convolutions in a row


def fcn_1d(*, width: int = 128, norm: str = "batch", activation: str = "relu", dropout: float = 0.0) -> Blueprint:
    """Return the paper's FCN: three convolutions over time, the mean of each map, outputs.

    Args:
        width: filters of the first and the last convolution; the middle one has twice as many.
        dropout: rate before the last layer.

    Example:
        >>> [row.options["kernel"] for row in fcn_1d().rows[:3]]
        [(1, 8), (1, 5), (1, 3)]
    """
    rows = [
        Row("conv", times * width, options=_over_time(kernel), name=f"conv{number}")
        for number, (times, kernel) in enumerate(zip((1, 2, 1), KERNELS, strict=True), 1)
    ]
    return _network("fcn_1d", [*rows, *_head(dropout)], norm, activation)


def resnet_1d(
    *, width: int = 64, depth: int = 3, norm: str = "batch", activation: str = "relu", dropout: float = 0.0
) -> Blueprint:
    """Return the paper's ResNet: blocks of three convolutions over time with a shortcut, the mean of each map, outputs.

    Where the shape stays the shortcut is normalisation alone, as in the authors' code.

    Args:
        width: filters of the first block; the others have twice as many.
        depth: number of blocks.
        dropout: rate before the last layer.

    Example:
        >>> len(resnet_1d().rows), resnet_1d().rows[4].inputs
        (17, ('block1_conv3', 'block1_shortcut'))
    """
    rows: list[Row] = []
    for number in range(1, depth + 1):
        rows += _block(f"block{number}", width * (1 if number == 1 else 2), rows, changes=number <= 2)
    return _network("resnet_1d", [*rows, *_head(dropout)], norm, activation)


def _block(name: str, width: int, before: list[Row], *, changes: bool) -> list[Row]:
    source = before[-1].name if before else IMAGE
    last = {"activation": "none"}
    rows = [
        Row("conv", width, options=_over_time(kernel) | (last if kernel == KERNELS[-1] else {}), name=f"{name}_conv{n}")
        for n, kernel in enumerate(KERNELS, 1)
    ]
    around: dict[str, Any] = {"inputs": (source,), "name": f"{name}_shortcut"}
    shortcut = Row("normalise", options=last, **around)
    if changes:
        shortcut = Row("conv", width, options=_over_time(1) | last, **around)
    return [
        *rows,
        shortcut,
        Row("add", inputs=(rows[-1].name, f"{name}_shortcut"), name=name),
    ]


def _over_time(kernel: int) -> dict[str, Any]:
    return {"kernel": (1, kernel), "padding": "tensorflow"}


def _head(dropout: float) -> tuple[Row, ...]:
    return (
        Row("global_pool", name="mean"),
        *([Row("dropout", options={"rate": dropout}, name="dropout")] if dropout else []),
        Row("linear", options={"norm": "none", "activation": "none"}, name="outputs"),
    )


def _network(name: str, rows: list[Row], norm: str, activation: str) -> Blueprint:
    defaults = {"norm": norm, "activation": activation}
    return Blueprint(name, tuple(rows), paper=PAPER, size=LENGTH, height=1, channels=1, defaults=defaults)


ENTRIES = {
    "fcn_1d": Entry(fcn_1d, PAPER, 2016, "three convolutions over time, for series"),
    "resnet_1d": Entry(resnet_1d, PAPER, 2016, "nine convolutions over time with shortcuts, for series"),
}
