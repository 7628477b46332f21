"""MnasNet: inverted residual blocks whose kernels and expansions a search chose by the time measured on a phone."""

from functools import partial

from striate.model.blueprint import Blueprint, Row

from .entry import Entry
from .scale import divisible, norm_like, rising

PAPER = "Tan et al., MnasNet: Platform-Aware Neural Architecture Search for Mobile, arXiv:1807.11626"

# The network B1: kernel, expansion, channels, blocks, stride of the first.
B1 = ((3, 3, 24, 3, 2), (5, 3, 40, 3, 2), (5, 6, 80, 3, 2), (3, 6, 96, 2, 1), (5, 6, 192, 4, 2), (3, 6, 320, 1, 1))


def mnasnet(
    name: str,
    /,
    *,
    width: float = 1.0,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.2,
    drop_path: float = 0.0,
) -> Blueprint:
    """Return figure 7 of the paper without squeeze-and-excitation, as torchvision has it.

    Args:
        width: factor for all channels but those of the last convolution.
        dropout: rate before the last layer.
        drop_path: rate of stochastic depth in the last block, growing linearly from 0 in the first.
    """
    rows = [
        Row("conv", divisible(32, width), stride=2, name="stem"),
        Row("inverted", divisible(16, width), options={"expand": 1}, name="stage1"),
    ]
    steps = rising(drop_path, [repeat for _, _, _, repeat, _ in B1])
    for index, ((kernel, expand, channels, repeat, stride), each) in enumerate(zip(B1, steps, strict=True), 2):
        options, wide = {"kernel": kernel, "expand": expand}, divisible(channels, width)
        rows.append(Row("inverted", wide, repeat, stride, options=options, each=each, name=f"stage{index}"))
    rows += [
        Row("conv", 1280, options={"kernel": 1}, name="last"),
        Row("global_pool", name="mean"),
        *([Row("dropout", options={"rate": dropout}, name="dropout")] if dropout else []),
        Row("linear", options={"norm": "none", "activation": "none"}, name="outputs"),
    ]
    # momentum 0.9997 of the paper, in torch's sense; such slow statistics want long training
    defaults = {"norm": norm_like(norm, momentum=1 - 0.9997), "activation": activation}
    return Blueprint(name, tuple(rows), paper=PAPER, defaults=defaults)


def _entry(name: str, width: float) -> Entry:
    return Entry(partial(mnasnet, name, width=width), PAPER, 2018, f"searched inverted residual blocks, width {width}")


ENTRIES = {
    "mnasnet0_5": _entry("mnasnet0_5", 0.5),
    "mnasnet0_75": _entry("mnasnet0_75", 0.75),
    "mnasnet1_0": _entry("mnasnet1_0", 1.0),
    "mnasnet1_3": _entry("mnasnet1_3", 1.3),
}
