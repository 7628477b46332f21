"""VGG: nothing but 3x3 convolutions, more and more of them."""

from collections.abc import Sequence
from functools import partial

from striate.model.blueprint import Blueprint, Row

from .entry import Entry
from .scale import blocks, check_head, scaled

PAPER = "Simonyan, Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv:1409.1556"

# Table 1, columns A, B, D, E: convolutions before each max-pooling.
DEPTHS = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)


def vgg(
    name: str,
    /,
    *,
    depth: Sequence[int],
    width: float = 1.0,
    head: str = "flatten",
    norm: str = "none",
    activation: str = "relu",
    dropout: float = 0.5,
) -> Blueprint:
    """Return a column of the paper's table 1.

    Args:
        depth: convolutions in each of the five stages.
        width: factor of all channels, dense layers too.
        head: "flatten" has the two dense layers of 4096, "pool" takes the mean of each map instead.
        dropout: rate after each dense layer, or before the outputs.
    """
    check_head(head, name)
    rows = []
    for stage, (channels, repeat) in enumerate(zip(CHANNELS, blocks(depth, 5), strict=True), 1):
        # The published weights have biases before batch normalisation too.
        rows.append(Row("conv", scaled(channels, width), repeat, options={"bias": True}, name=f"stage{stage}"))
        rows.append(Row("max_pool", stride=2, name=f"pool{stage}"))
    plain, drop = {"norm": "none"}, {"rate": dropout}
    if head == "flatten":
        rows += [
            Row("adaptive_pool", options={"size": 7}, name="grid"),
            Row("flatten", name="flatten"),
            Row("linear", scaled(4096, width), options=plain, name="fc6"),
            Row("dropout", options=drop, name="dropout6"),
            Row("linear", scaled(4096, width), options=plain, name="fc7"),
            Row("dropout", options=drop, name="dropout7"),
        ]
    else:
        rows += [Row("global_pool", name="mean"), Row("dropout", options=drop, name="dropout")]
    rows.append(Row("linear", options={**plain, "activation": "none"}, name="outputs"))
    first = "grid" if head == "flatten" else "mean"
    return Blueprint(name, tuple(rows), paper=PAPER, defaults={"norm": norm, "activation": activation}, head=first)


def _entries(name: str, depth: tuple[int, ...]) -> dict[str, Entry]:
    text = f"{sum(depth)} 3x3 convolutions {'-'.join(map(str, depth))}, three dense layers"
    plain = Entry(partial(vgg, name, depth=depth), PAPER, 2014, text)
    with_norm = Entry(
        partial(vgg, f"{name}_bn", depth=depth, norm="batch"), PAPER, 2014, f"{text}, batch normalisation"
    )
    return {name: plain, f"{name}_bn": with_norm}


ENTRIES = {key: entry for name, depth in DEPTHS.items() for key, entry in _entries(name, depth).items()}
