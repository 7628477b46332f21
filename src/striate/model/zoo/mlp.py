"""The multilayer perceptron on pixels: the thing to beat."""

from striate.model.blueprint import Blueprint, Row

from .entry import Entry

PAPER = "Rumelhart, Hinton, Williams, Learning representations by back-propagating errors, Nature 323 (1986)"


def mlp(
    *, width: int = 256, depth: int = 2, norm: str = "none", activation: str = "relu", dropout: float = 0.0
) -> Blueprint:
    """Return the image as one vector, `depth` hidden layers, outputs: many parameters, no sense of place.

    Args:
        width: units of each hidden layer.
        depth: number of hidden layers; 0 is a linear classifier.
        dropout: rate after each hidden layer.

    Example:
        >>> [row.name for row in mlp(depth=1).rows]
        ['flatten', 'hidden1', 'outputs']
    """
    rows = [Row("flatten", name="flatten")]
    for level in range(depth):
        rows.append(Row("linear", width, options={"norm": norm, "activation": activation}, name=f"hidden{level + 1}"))
        if dropout:
            rows.append(Row("dropout", options={"rate": dropout}, name=f"dropout{level + 1}"))
    rows.append(Row("linear", name="outputs"))
    return Blueprint("mlp", tuple(rows), paper=PAPER, size=64)


ENTRIES = {"mlp": Entry(mlp, PAPER, 1986, "fully connected layers on the pixels")}
