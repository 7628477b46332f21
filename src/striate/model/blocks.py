"""What each block costs beside the plain 3x3 convolution it replaces, measured by building and walking it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .blueprint import Blueprint, Row
from .walk import walk

WIDTH, SIDE = 64, 56  # channels in and out, height and width in pixels
INCEPTION = (
    ((16, 1),),
    ((24, 1), (32, 3)),
    ((4, 1), (8, 3)),
    (("max", 3), (8, 1)),
)  # GoogLeNet's 3a, a quarter as wide
BLOCKS: Mapping[str, tuple[str, int, Mapping[str, Any]]] = {
    "3x3 convolution": ("conv", WIDTH, {"norm": "batch"}),
    "1x1 convolution": ("conv", WIDTH, {"norm": "batch", "kernel": 1}),
    "separable": ("separable", WIDTH, {}),
    "basic": ("basic", WIDTH, {}),
    "bottleneck": ("bottleneck", WIDTH, {}),
    "bottleneck, 32 groups": ("bottleneck", WIDTH, {"reduction": 2, "groups": 32}),
    "pre_basic": ("pre_basic", WIDTH, {}),
    "inverted": ("inverted", WIDTH, {}),
    "inverted, squeeze": ("inverted", WIDTH, {"squeeze": 0.25}),
    "fire": ("fire", WIDTH, {"squeeze": WIDTH // 8, "norm": "batch"}),
    "inception": ("inception", 0, {"ways": INCEPTION}),
    "xception": ("xception", WIDTH, {}),
    "convnext": ("convnext", WIDTH, {}),
    "dense": ("dense", 32, {}),
}


@dataclass(frozen=True)
class BlockCost:
    """One line of the table; ratios are to the 3x3 convolution.

    Args:
        channels: out, from `WIDTH` in.
    """

    name: str
    channels: int
    parameters: int
    macs: int
    parameter_ratio: float
    mac_ratio: float


def blocks_table() -> tuple[BlockCost, ...]:
    """Return parameters and multiply-adds of each block on a 64x56x56 map, normalisation included.

    Example:
        >>> first = blocks_table()[0]
        >>> first.parameters == 9 * 64 * 64 + 2 * 64, first.macs == 9 * 64 * 64 * 56 * 56
        (True, True)
    """
    layers = {}
    for name, (block, width, options) in BLOCKS.items():
        rows = (Row(block, width, options=options), Row("global_pool"), Row("linear", 1))
        found = walk(Blueprint("one", rows), size_hw=(SIDE, SIDE), channels=WIDTH, outputs=1)
        layers[name] = found.layers[0]
    plain = layers["3x3 convolution"]
    return tuple(
        BlockCost(
            name,
            layer.out_shape[0],
            layer.parameters,
            layer.macs,
            layer.parameters / plain.parameters,
            layer.macs / plain.macs,
        )
        for name, layer in layers.items()
    )


def render_blocks() -> str:
    """Return the table as Markdown."""
    lines = ["| block | channels out | parameters | MACs | parameters, x | MACs, x |", "|---|--:|--:|--:|--:|--:|"]
    lines += [
        f"| {one.name} | {one.channels} | {one.parameters:,} | {one.macs / 1e6:.1f} M "
        f"| {one.parameter_ratio:.2f} | {one.mac_ratio:.2f} |"
        for one in blocks_table()
    ]
    return "\n".join(lines)
