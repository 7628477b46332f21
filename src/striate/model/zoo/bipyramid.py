"""The bipyramidal network: maps get smaller and more numerous, step by step."""

from math import ceil, log2

from striate.base.errors import SettingsError
from striate.model.blueprint import Blueprint, Row

from .entry import Entry

PAPER = "LeCun et al., Backpropagation applied to handwritten zip code recognition, Neural Computation 1 (1989)"


def bipyramid(
    *,
    size: int = 64,
    width: int = 32,
    depth: int = 0,
    head: str = "pool",
    dense: int = 0,
    norm: str = "none",
    activation: str = "relu",
    dropout: float = 0.0,
    spatial_dropout: float = 0.0,
) -> Blueprint:
    """Return levels of 3x3 convolution, activation and 2x2 max-pooling; the filters double at each level.

    Args:
        size: side of the images in pixels, which decides the depth.
        width: filters of the first level; levels beyond the fifth stay at 16 times as many.
        depth: number of levels, each of which halves height and width, rounded up; 0 = down to a 2x2 map.
        head: "flatten" keeps where things are and ties the network to its input size; "pool" takes the mean of each
            map and works at any size.
        dense: width of the hidden layer in the head; 0 = none.
        norm: stands after the pooling, as in Jordan (2024, arXiv:2404.00498): a quarter of the units to normalise;
            "weight" is of the filters instead.
        dropout: rate before the last layer.
        spatial_dropout: rate for whole maps after each level.

    Example:
        >>> [row.name for row in bipyramid(depth=2).rows]
        ['conv1', 'pool1', 'conv2', 'pool2', 'pool', 'outputs']
    """
    if head not in {"flatten", "pool"} or depth < 0:
        raise SettingsError(
            f"head {head!r}, depth {depth} cannot be", where="bipyramid", fix="give head flatten or pool, depth >= 0"
        )
    rows = []
    for level in range(depth or max(1, ceil(log2(size)) - 1)):
        rows += _level(width * 2 ** min(level, 4), norm, str(level + 1))
        if spatial_dropout:
            options = {"rate": spatial_dropout, "spatial": True}
            rows.append(Row("dropout", options=options, name=f"spatial_dropout{level + 1}"))
    rows.append(Row("flatten", name="flatten") if head == "flatten" else Row("global_pool", name="pool"))
    if dense:
        rows.append(Row("linear", dense, name="dense"))
    if dropout:
        rows.append(Row("dropout", options={"rate": dropout}, name="dropout"))
    rows.append(Row("linear", options={"activation": "none"}, name="outputs"))
    return Blueprint("bipyramid", tuple(rows), paper=PAPER, size=size, defaults={"activation": activation})


ODD = {"ceil": True}  # an odd map keeps its last row and column, so that any size can be halved any number of times


def _level(width: int, norm: str, number: str) -> list[Row]:
    if norm in {"none", "weight"}:
        own = {"norm": norm} if norm == "weight" else {}
        conv = Row("conv", width, options=own, name=f"conv{number}")
        return [conv, Row("max_pool", stride=2, options=ODD, name=f"pool{number}")]
    bare = {"activation": "none", "bias": False}
    return [
        Row("conv", width, options=bare, name=f"conv{number}"),
        Row("max_pool", stride=2, options=ODD, name=f"pool{number}"),
        Row("normalise", options={"norm": norm}, name=f"norm{number}"),
    ]


ENTRIES = {"bipyramid": Entry(bipyramid, PAPER, 1989, "3x3 convolution + ReLU + 2x2 max-pooling, filters doubling")}
