"""The network of airbench: small images, trained in seconds on a GPU and in minutes without one."""

from math import log2

from striate.model.blueprint import Blueprint, Row

from .entry import Entry

PAPER = "Jordan, 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv:2404.00498"
NORM = {"kind": "batch", "scale": False}


def airbench(
    *,
    size: int = 32,
    width: int = 64,
    depth: int = 0,
    norm: str = "batch",
    activation: str = "gelu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return a whitening layer, then levels of convolution, 2x2 max-pooling and another convolution.

    Convolutions begin by passing their input on (see `init` "dirac"), and of batch normalisation only the biases train.
    The recipe `fast-small` goes with it.

    Args:
        size: side of the images in pixels, which decides the depth.
        width: filters of the first level; the others have 4 times as many.
        depth: number of levels, each of which halves height and width; 0 = down to about 4 px.
        norm: "batch" without its scale, or another kind.
        activation: the paper's is gelu; relu costs less time on a CPU.
        dropout: rate before the last layer.

    Example:
        >>> [row.name for row in airbench(depth=1).rows]
        ['whiten', 'activation', 'conv1a', 'pool1', 'norm1a', 'conv1b', 'norm1b', 'pool', 'outputs']
    """
    bare = {"activation": "none", "norm": "none", "bias": False}
    rows = [Row("whiten", name="whiten"), Row("normalise", options={"norm": "none"}, name="activation")]
    for level in range(1, 1 + (depth or max(1, round(log2(size / 4))))):
        maps = width if level == 1 else 4 * width
        rows += [
            Row("conv", maps, options=bare, name=f"conv{level}a"),
            Row("max_pool", stride=2, name=f"pool{level}"),
            Row("normalise", name=f"norm{level}a"),
            Row("conv", maps, options=bare, name=f"conv{level}b"),
            Row("normalise", name=f"norm{level}b"),
        ]
    rows.append(Row("global_pool", options={"kind": "max"}, name="pool"))
    if dropout:
        rows.append(Row("dropout", options={"rate": dropout}, name="dropout"))
    rows.append(Row("linear", options={"norm": "none", "activation": "none", "bias": False}, name="outputs"))
    defaults = {"norm": NORM if norm == "batch" else norm, "activation": activation}
    return Blueprint("airbench", tuple(rows), paper=PAPER, size=size, defaults=defaults, init="dirac")


TEXT = "whitening, then convolution + max-pooling + convolution, three levels; for 32x32"
ENTRIES = {"airbench": Entry(airbench, PAPER, 2024, TEXT)}
