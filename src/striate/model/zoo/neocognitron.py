"""The Neocognitron: simple cells see patterns, complex cells forgive shifts; what every later network is made of."""

from functools import partial

from striate.base.errors import SettingsError
from striate.model.blueprint import Blueprint, Row

from .entry import Entry
from .scale import scaled

PAPER = "Fukushima, Neocognitron: A self-organizing neural network model, Biological Cybernetics 36 (1980)"

# Planes, side of the simple cells' patch, similarity from which they answer. Paper: 24, 5 in each of three stages.
STAGES = ((24, 5, 0.5), (128, 5, 0.5), (256, 3, 0.4))


def neocognitron(name: str, /, *, width: float = 1.0, depth: int = 3, dropout: float = 0.0) -> Blueprint:
    """Return figure 2 of the paper: layers of simple and complex cells in turn, after contrast cells (2003).

    The cells learn without labels and without backpropagation by `striate.model.competition.learn`, the outputs by
    `read_out`. Training the whole by gradients works as well. Normalisation and activation are part of the cells.

    Args:
        width: factor of the number of planes.
        depth: number of stages, 1 to 3; each halves height and width.
        dropout: rate before the last layer.

    Raises:
        SettingsError: the depth is not 1, 2 or 3.
    """
    if not 1 <= depth <= len(STAGES):
        raise SettingsError(f"depth {depth} is not among 1, 2, 3", where=name, fix="give 3")
    rows = [Row("contrast", name="contrast")]
    for stage, (planes, kernel, threshold) in enumerate(STAGES[:depth], 1):
        options = {"kernel": kernel, "threshold": threshold}
        rows.append(Row("simple_cells", scaled(planes, width), options=options, name=f"s{stage}"))
        rows.append(Row("complex_cells", stride=2, name=f"c{stage}"))
    rows.append(Row("flatten", name="flatten"))
    if dropout:
        rows.append(Row("dropout", options={"rate": dropout}, name="dropout"))
    rows.append(Row("linear", name="outputs"))
    return Blueprint(name, tuple(rows), paper=PAPER, size=28, channels=1)


ENTRIES = {
    "neocognitron": Entry(
        partial(neocognitron, "neocognitron"), PAPER, 1980, "simple and complex cells, trained by competition"
    )
}
