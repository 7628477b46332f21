"""A network as it was before it was trained: built anew from its blueprint and the run's seed."""

from torch import nn

from striate.base.seeds import seed_for
from striate.model.build import build
from striate.model.network import Network


def initial(network: nn.Module, seed: int) -> Network | None:
    """Return the network with the weights that a run of this seed starts from; None without a blueprint.

    Only a run that started from fresh weights started from these; whitening layers, which are made from images, differ.
    """
    if not isinstance(network, Network):
        return None
    shape = {"channels": network.channels, "outputs": network.outputs}
    return build(network.blueprint, size_hw=network.size_hw, seed=seed_for(seed, "init"), **shape)
