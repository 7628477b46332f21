"""GoogLeNet: modules that look at several scales at once, and classifiers on the way that help training."""

from functools import partial

from striate.model.blueprint import Blueprint, Row

from .entry import Entry
from .scale import norm_like, scaled, widened

PAPER = "Szegedy et al., Going Deeper with Convolutions, arXiv:1409.4842"

# Table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj.
MODULES = {
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "pool3": None,
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64),
    "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128),
    "pool4": None,
    "inception5a": (256, 160, 320, 32, 128, 128),
    "inception5b": (384, 192, 384, 48, 128, 128),
}


def googlenet(
    name: str,
    /,
    *,
    aux: bool = True,
    five: int = 3,
    width: float = 1.0,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.2,
    aux_dropout: float = 0.7,
) -> Blueprint:
    """Return table 1 of the paper, with batch normalisation instead of response normalisation.

    Args:
        aux: whether the two auxiliary classifiers hang on inception4a and inception4d.
        five: kernel of the ways the paper calls 5x5; the published weights have 3.
        width: factor of all channels.
        dropout, aux_dropout: rates before the last layer of the network and of the auxiliary classifiers.
    """
    window = {"kernel": 3, "ceil": True}
    rows = [
        Row("conv", scaled(64, width), stride=2, options={"kernel": 7}, name="conv1"),
        Row("max_pool", stride=2, options=window, name="pool1"),
        Row("conv", scaled(64, width), options={"kernel": 1}, name="conv2_reduce"),
        Row("conv", scaled(192, width), name="conv2"),
        Row("max_pool", stride=2, options=window, name="pool2"),
    ]
    for key, columns in MODULES.items():
        if columns:
            rows.append(Row("inception", options={"ways": widened(_ways(columns, five), width)}, name=key))
        else:
            rows.append(Row("max_pool", stride=2, options=window if key == "pool3" else {"ceil": True}, name=key))
    if aux:
        rows += _auxiliary("aux1", "inception4a", width, aux_dropout)
        rows += _auxiliary("aux2", "inception4d", width, aux_dropout)
    rows += [
        Row("global_pool", inputs=("inception5b",), name="mean"),
        Row("dropout", options={"rate": dropout}, name="dropout"),
        Row("linear", options={"norm": "none", "activation": "none"}, name="outputs"),
    ]
    defaults = {"norm": norm_like(norm, eps=0.001), "activation": activation}
    return Blueprint(name, tuple(rows), paper=PAPER, defaults=defaults)


def _ways(columns: tuple[int, ...], five: int) -> tuple[tuple[tuple[int | str, int], ...], ...]:
    """Return figure 2b for a line of the table."""
    one, reduce3, three, reduce5, large, project = columns
    return (
        ((one, 1),),
        ((reduce3, 1), (three, 3)),
        ((reduce5, 1), (large, five)),
        (("max", 3), (project, 1)),
    )


def _auxiliary(name: str, source: str, width: float, dropout: float) -> list[Row]:
    """Return the rows of a classifier on the side, section 5 of the paper (pooled to 4x4 whatever the image's size)."""
    return [
        Row("adaptive_pool", inputs=(source,), options={"size": 4}, name=f"{name}_pool"),
        Row("conv", scaled(128, width), options={"kernel": 1}, name=f"{name}_conv"),
        Row("flatten", name=f"{name}_flatten"),
        Row("linear", scaled(1024, width), options={"norm": "none"}, name=f"{name}_dense"),
        Row("dropout", options={"rate": dropout}, name=f"{name}_dropout"),
        Row("linear", options={"norm": "none", "activation": "none"}, name=name),
    ]


ENTRIES = {
    "googlenet": Entry(
        partial(googlenet, "googlenet"), PAPER, 2014, "nine Inception modules, two auxiliary heads", is_rescaled=True
    )
}
