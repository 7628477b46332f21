"""AlexNet: five convolutions and three dense layers."""

from functools import partial

from striate.model.blueprint import Blueprint, Row

from .entry import Entry
from .scale import check_head, scaled

PAPER = "Krizhevsky, One weird trick for parallelizing convolutional neural networks, arXiv:1404.5997"


def alexnet(
    name: str,
    /,
    *,
    width: float = 1.0,
    head: str = "flatten",
    norm: str = "none",
    activation: str = "relu",
    dropout: float = 0.5,
) -> Blueprint:
    """Return the network of 2014: that of 2012 on one processor, without response normalisation.

    Args:
        width: factor of all channels, dense layers too.
        head: "flatten" has the dense layers, "pool" takes the mean of each map instead.
        dropout: rate before each dense layer, or before the outputs.
    """
    check_head(head, name)
    window = {"kernel": 3}
    plain, drop = {"norm": "none"}, {"rate": dropout}
    rows = [
        Row("conv", scaled(64, width), stride=4, options={"kernel": 11, "padding": 2}, name="conv1"),
        Row("max_pool", stride=2, options=window, name="pool1"),
        Row("conv", scaled(192, width), options={"kernel": 5}, name="conv2"),
        Row("max_pool", stride=2, options=window, name="pool2"),
        Row("conv", scaled(384, width), name="conv3"),
        Row("conv", scaled(256, width), name="conv4"),
        Row("conv", scaled(256, width), name="conv5"),
        Row("max_pool", stride=2, options=window, name="pool5"),
    ]
    if head == "flatten":
        rows += [
            Row("adaptive_pool", options={"size": 6}, name="grid"),
            Row("flatten", name="flatten"),
            Row("dropout", options=drop, name="dropout6"),
            Row("linear", scaled(4096, width), options=plain, name="fc6"),
            Row("dropout", options=drop, name="dropout7"),
            Row("linear", scaled(4096, width), options=plain, name="fc7"),
        ]
    else:
        rows += [Row("global_pool", name="mean"), Row("dropout", options=drop, name="dropout")]
    rows.append(Row("linear", options={**plain, "activation": "none"}, name="outputs"))
    first = "grid" if head == "flatten" else "mean"
    return Blueprint(name, tuple(rows), paper=PAPER, defaults={"norm": norm, "activation": activation}, head=first)


ENTRIES = {"alexnet": Entry(partial(alexnet, "alexnet"), PAPER, 2014, "five convolutions, three dense layers")}
