"""ConvNeXt: a ResNet brought step by step to the design of vision transformers."""

from collections.abc import Sequence
from functools import partial

from striate.base.errors import SettingsError
from striate.model.blueprint import Blueprint, Row

from .entry import Entry
from .scale import blocks, rising

PAPER = "Liu et al., A ConvNet for the 2020s, arXiv:2201.03545"


def convnext(
    name: str,
    /,
    *,
    width: int = 96,
    depth: Sequence[int] = (3, 3, 9, 3),
    norm: str = "channel",
    activation: str = "gelu",
    dropout: float = 0.0,
    drop_path: float = 0.1,
) -> Blueprint:
    """Return table 9 of the paper: patches of 4x4 pixels, four stages, the size halved before each but the first.

    Args:
        width: channels of the first stage; then 2, 4 and 8 times as many.
        depth: blocks in each stage.
        dropout: rate before the last layer.
        drop_path: rate of stochastic depth in the last block, growing linearly from 0 in the first.
    """
    if width < 1:
        raise SettingsError(f"width {width} is not above 0", where=name, fix="give 96")
    settings = {"kind": norm, "eps": 1e-6} if norm in {"channel", "layer"} else norm
    last = {"norm": "channel"} if norm == "instance" else {}  # one value a channel has no deviation
    plain = {"norm": "none", "activation": "none"}
    patches = {"kernel": 4, "padding": "valid", "bias": True, "activation": "none"}
    rows = [Row("conv", width, stride=4, options=patches, name="stem")]
    for index, (count, each) in enumerate(zip(blocks(depth), rising(drop_path, blocks(depth)), strict=True)):
        wide = width * 2**index
        if index:
            half = {"kernel": 2, "padding": "valid", **plain}
            rows.append(Row("normalise", options={"activation": "none"}, name=f"norm{index + 1}"))
            rows.append(Row("conv", wide, stride=2, options=half, name=f"down{index + 1}"))
        rows.append(Row("convnext", wide, count, each=each, name=f"stage{index + 1}"))
    rows += [
        Row("adaptive_pool", options={"size": 1}, name="mean"),
        Row("normalise", options={"activation": "none"} | last, name="norm"),
        Row("flatten", name="flatten"),
        *([Row("dropout", options={"rate": dropout}, name="dropout")] if dropout else []),
        Row("linear", options=plain, name="outputs"),
    ]
    defaults = {"norm": settings, "activation": activation}
    return Blueprint(name, tuple(rows), paper=PAPER, defaults=defaults, head="mean", init="truncated")


def _entry(name: str, width: int, depth: tuple[int, ...], drop_path: float) -> Entry:
    make = partial(convnext, name, width=width, depth=depth, drop_path=drop_path)
    return Entry(make, PAPER, 2022, f"7x7 depthwise blocks {'-'.join(map(str, depth))}, {width} channels at first")


ENTRIES = {
    "convnext_tiny": _entry("convnext_tiny", 96, (3, 3, 9, 3), 0.1),
    "convnext_small": _entry("convnext_small", 96, (3, 3, 27, 3), 0.4),
    "convnext_base": _entry("convnext_base", 128, (3, 3, 27, 3), 0.5),
    "convnext_large": _entry("convnext_large", 192, (3, 3, 27, 3), 0.5),
}
