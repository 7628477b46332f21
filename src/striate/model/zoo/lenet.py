"""LeNet-5: convolution and subsampling in turn, on handwritten digits."""

from functools import partial

from striate.base.errors import SettingsError
from striate.model.blueprint import Blueprint, Row

from .entry import Entry
from .scale import scaled

PAPER = "LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE 86 (1998)"

# Table I: the maps of S2 that each map of C3 takes.
TABLE_1 = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (4, 5, 0), (5, 0, 1)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (3, 4, 5, 0), (4, 5, 0, 1), (5, 0, 1, 2)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)


def lenet(
    name: str,
    /,
    *,
    c3: str = "partial",
    subsampling: str = "trained",
    padding: int = 0,
    width: float = 1.0,
    norm: str = "none",
    activation: str = "scaled_tanh",
    dropout: float = 0.0,
) -> Blueprint:
    """Return figure 2 of the paper: C1 to F6 are 60,000 trainable parameters, and linear outputs.

    The paper's outputs are distances to fixed images of the characters; here they are weighted sums.

    Args:
        c3: "partial" connects S2 and C3 as table I says, "dense" all with all.
        subsampling: "trained" has a coefficient and a bias for each map, "avg" and "max" have neither.
        padding: zeros around the image; 2 makes the paper's 32x32 of a 28x28 digit.
        width: factor of all channels; other than 1 with the dense C3 only.
        dropout: rate before the last layer.
    """
    if c3 not in {"partial", "dense"} or (c3 == "partial" and width != 1):
        raise SettingsError(
            f"c3 {c3!r} at width {width:g} cannot be: table I connects 6 maps with 16", where=name, fix="use c3=dense"
        )
    six, sixteen = scaled(6, width), scaled(16, width)
    five = {"kernel": 5, "padding": "valid"}
    rows = (
        Row("conv", six, options={"kernel": 5, "padding": padding}, name="c1"),
        _subsampling(name, subsampling, "s2", activation),
        Row("conv", sixteen, options=five, name="c3")
        if c3 == "dense"
        else Row("partial_conv", options={**five, "table": TABLE_1}, name="c3"),
        _subsampling(name, subsampling, "s4", activation),
        Row("conv", scaled(120, width), options=five, name="c5"),
        Row("flatten", name="flatten"),
        Row("linear", scaled(84, width), options={"norm": "none"}, name="f6"),
        *([Row("dropout", options={"rate": dropout}, name="dropout")] if dropout else []),
        Row("linear", options={"norm": "none", "activation": "none"}, name="outputs"),
    )
    return Blueprint(name, rows, paper=PAPER, size=32, channels=1, defaults={"norm": norm, "activation": activation})


def _subsampling(where: str, kind: str, name: str, activation: str) -> Row:
    blocks = {"trained": "subsample", "avg": "avg_pool", "max": "max_pool"}
    if kind not in blocks:
        raise SettingsError(f"no subsampling {kind!r}", where=where, fix=f"choose among {', '.join(blocks)}")
    return Row(blocks[kind], stride=2, name=name)


ENTRIES = {
    "lenet5": Entry(partial(lenet, "lenet5"), PAPER, 1998, "5x5 convolution and trained subsampling, C3 by table I"),
    "lenet5_dense": Entry(
        partial(lenet, "lenet5_dense", c3="dense", subsampling="avg", activation="tanh"),
        PAPER,
        1998,
        "LeNet-5 as it is taught: C3 takes all maps, average pooling, tanh",
    ),
}
