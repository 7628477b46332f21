"""Networks that read a series in the order of time: recurrent ones, causal convolutions, attention."""

from functools import partial
from typing import Any

from striate.model.blueprint import IMAGE, Blueprint, Row

from .entry import Entry
from .scale import rising

PAPERS = {
    "rnn": "Elman, Finding Structure in Time, Cognitive Science 14 (1990)",
    "lstm": "Hochreiter, Schmidhuber, Long Short-Term Memory, Neural Computation 9 (1997)",
    "gru": "Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, arXiv:1406.1078",
    "tcn": "Bai, Kolter, Koltun, An Empirical Evaluation of Convolutional and Recurrent Networks, arXiv:1803.01271",
    "transformer_1d": "Vaswani et al., Attention Is All You Need, arXiv:1706.03762",
}
LENGTH = 128  # samples that they are drawn and counted for


def recurrent(cell: str, /, *, width: int = 64, depth: int = 1, dropout: float = 0.0) -> Blueprint:
    """Return recurrent layers one upon the other, and outputs from the state after the last sample.

    Args:
        width: numbers in the state.
        depth: number of layers.
        dropout: rate before the last layer.

    Example:
        >>> [row.block for row in recurrent("lstm", depth=2).rows]
        ['recurrent', 'last_step', 'linear']
    """
    rows = (Row("recurrent", width, depth, options={"cell": cell}, name="states"), *_head("last_step", dropout))
    return _network(cell, rows)


def tcn(
    *,
    width: int = 32,
    depth: int = 6,
    kernel: int = 7,
    norm: str = "weight",
    activation: str = "relu",
    dropout: float = 0.0,
    spatial_dropout: float = 0.0,
) -> Blueprint:
    """Return the paper's TCN: residual blocks of two causal convolutions, dilated 1, 2, 4, ..., and the last sample.

    The paper drops single values after each convolution, this one whole maps.

    Args:
        width: filters of each convolution.
        depth: number of blocks; the last sample sees 1 + 2 (kernel - 1) (2^depth - 1) samples, by default 757.
        kernel: samples of a window.
        dropout: rate before the last layer.
        spatial_dropout: rate of whole maps after each convolution.

    Example:
        >>> [row.options["dilation"] for row in tcn(depth=3).rows if row.name.endswith("conv1")]
        [(1, 1), (1, 2), (1, 4)]
    """
    rows: list[Row] = []
    for number in range(depth):
        rows += _block(f"block{number + 1}", rows, width, kernel, 2**number, spatial_dropout)
    defaults = {"norm": norm, "activation": activation}
    return _network("tcn", (*rows, *_head("last_step", dropout)), defaults)


def _block(name: str, before: list[Row], width: int, kernel: int, dilation: int, rate: float) -> list[Row]:
    source = before[-1].name if before else IMAGE
    over_time = {"kernel": (1, kernel), "dilation": (1, dilation), "padding": "causal"}
    rows = []
    for number in (1, 2):
        inputs = (source,) if number == 1 else ()
        rows.append(Row("conv", width, inputs=inputs, options=over_time, name=f"{name}_conv{number}"))
        if rate:
            rows.append(Row("dropout", options={"rate": rate, "spatial": True}, name=f"{name}_dropout{number}"))
    last = rows[-1].name
    if not before:
        plain = {"kernel": 1, "norm": "none", "activation": "none"}
        rows.append(Row("conv", width, inputs=(source,), options=plain, name=f"{name}_shortcut"))
    return [*rows, Row("add", inputs=(last, source if before else f"{name}_shortcut"), name=name)]


def transformer_1d(
    *,
    width: int = 64,
    depth: int = 3,
    heads: int = 4,
    expand: float = 2.0,
    kernel: int = 8,
    norm: str = "layer",
    activation: str = "gelu",
    dropout: float = 0.0,
    drop_path: float = 0.0,
) -> Blueprint:
    """Return a small transformer: a convolution makes a token of each sample, attention among all, their mean.

    The positions are learnt, so the network is tied to the length it is built for.

    Args:
        width: features of a token.
        depth: transformer blocks.
        heads: attentions side by side in a block; they divide the width.
        expand: units of a block's hidden layer over `width`.
        kernel: samples that a token is made of.
        dropout: rate after the positions, each attention and each layer of the hidden part.
        drop_path: rate of stochastic depth in the last block, growing linearly from 0 in the first.
    """
    cut = {"kernel": (1, kernel), "padding": "tensorflow", "norm": "none", "activation": "none"}
    block = {"heads": heads, "expand": expand, "dropout": dropout}
    rows = (
        Row("conv", width, options=cut, name="samples"),
        Row("tokens", options={"dropout": dropout}, name="tokens"),
        Row("transformer", width, depth, options=block, each=rising(drop_path, [depth])[0], name="encoder"),
        Row("token_norm", name="norm"),
        Row("grid", inputs=("norm", "samples"), name="grid"),
        *_head("global_pool"),
    )
    settings = {"kind": norm, "eps": 1e-6} if norm == "layer" else norm
    return _network("transformer_1d", rows, {"norm": settings, "activation": activation}, init="truncated")


def _head(block: str, dropout: float = 0.0) -> tuple[Row, ...]:
    return (
        Row(block, name="mean" if block == "global_pool" else "last"),
        *([Row("dropout", options={"rate": dropout}, name="dropout")] if dropout else []),
        Row("linear", options={"norm": "none", "activation": "none"}, name="outputs"),
    )


def _network(name: str, rows: tuple[Row, ...], defaults: dict[str, Any] | None = None, init: str = "he") -> Blueprint:
    options = defaults or {}
    return Blueprint(name, rows, paper=PAPERS[name], size=LENGTH, height=1, channels=1, defaults=options, init=init)


ENTRIES = {
    "rnn": Entry(partial(recurrent, "rnn"), PAPERS["rnn"], 1990, "a recurrent layer, for series"),
    "lstm": Entry(partial(recurrent, "lstm"), PAPERS["lstm"], 1997, "a recurrent layer with gates, for series"),
    "gru": Entry(partial(recurrent, "gru"), PAPERS["gru"], 2014, "a recurrent layer with two gates, for series"),
    "tcn": Entry(tcn, PAPERS["tcn"], 2018, "dilated causal convolutions, for series"),
    "transformer_1d": Entry(transformer_1d, PAPERS["transformer_1d"], 2017, "a small transformer, for series"),
}
