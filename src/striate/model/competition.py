"""Training without backpropagation: simple cells learn by competition, the outputs by least squares."""

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.base.errors import ModelError
from striate.nn.blocks.neocognitron import SimpleCells

from .blueprint import IMAGE
from .network import Network

BATCH = 100  # images a forward pass; a matter of memory only


@torch.no_grad()
def learn(network: Network, images: Tensor, *, threshold: float = 0.85, area: int = 3) -> dict[str, int]:
    """Train all simple cells of a network, layer by layer, each seeing every image once. Labels are not needed.

    The rule is the Neocognitron's: the winner among neighbouring cells takes up what it sees, and a pattern that no
    cell answers to gets a new plane. What was learned before is forgotten.

    Args:
        images: (N, C, H, W); some hundred are enough.
        threshold: similarity from which a cell can win; the higher, the more patterns are told apart.
        area: side of the square in which cells compete; odd.

    Returns:
        row name -> planes that have learned a pattern; the others stay silent.

    Raises:
        ModelError: the network has no simple cells.

    Example:
        >>> from striate.model import zoo
        >>> network = zoo.build("neocognitron", classes=10, channels=1, size=28, width=0.2, seed=0)
        >>> bars = torch.eye(28).roll(3, 1).expand(1, 1, 28, 28)
        >>> learn(network, bars)["s1"]
        1
    """
    layers = {name: row for name, row in network.rows.items() if isinstance(row, SimpleCells)}
    if not layers:
        raise ModelError("no simple cells to train", where=network.blueprint.name, fix="use neocognitron")
    network.eval()
    for name, cells in layers.items():
        cells.weight.zero_()
        for batch in images.split(BATCH):
            for x in _before(network, name, batch).split(1):
                cells.compete(x, threshold=threshold, area=area)
    return {name: int((cells.weight.flatten(1).amax(1) > 0).sum()) for name, cells in layers.items()}


@torch.no_grad()
def read_out(network: Network, images: Tensor, labels: Tensor, *, decay: float = 0.1) -> None:
    """Set the last linear layer by least squares: 1 for the image's class, 0 for the others.

    Args:
        images: (N, C, H, W).
        labels: (N,) class numbers.
        decay: of the weights (ridge), relative to the variance of the features.

    Raises:
        ModelError: the last row is no linear layer.
    """
    name = network.blueprint.names[-1]
    layer = getattr(network.rows[name], "linear", None)
    if layer is None:
        raise ModelError(f"the last row {name!r} is not linear", where=network.blueprint.name, fix="end in linear")
    network.eval()
    features = torch.cat([_before(network, name, batch) for batch in images.split(BATCH)])
    middle, spread = features.mean(0), features.std() + 1e-12
    x = ((features - middle) / spread).double()
    wanted = F.one_hot(labels.long(), network.outputs).to(x)
    share = wanted.mean(0)
    # As many unknowns as there are images, not as there are features.
    gram = x @ x.T + decay * len(x) * torch.eye(len(x), dtype=x.dtype, device=x.device)
    weight = (x.T @ torch.linalg.solve(gram, wanted - share)).T / spread
    layer.weight.copy_(weight)
    layer.bias.copy_(share - weight @ middle.double())


def _before(network: Network, name: str, images: Tensor) -> Tensor:
    """Return what the row takes."""
    source = network.blueprint.sources[name][0]
    return images if source == IMAGE else network.features(images, at=source)[source]
