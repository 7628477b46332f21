"""The gradient over time against brute force: differences of the loss, sample by sample."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from striate.base.errors import DataError
from striate.inside.through_time import through_time
from striate.model import zoo
from striate.model.build import build

LENGTH = 12


def network(name, **options):
    made = build(zoo.blueprint(name, **options), channels=2, outputs=3, size_hw=(1, LENGTH), seed=0)
    return made.double()


def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 2, 1, LENGTH, generator=generator, dtype=torch.float64), torch.tensor([0, 1, 2, 1])


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "tcn", "transformer_1d"])
def test_each_step_has_the_slope_of_the_loss(name):
    net, (x, truth) = network(name, width=8, **({"depth": 2} if name == "tcn" else {})), batch()
    found = through_time(net, x, truth).norms
    net.eval()
    slopes = np.zeros((4, 2, LENGTH))
    with torch.no_grad():
        for n in range(4):
            for c in range(2):
                for t in range(LENGTH):
                    ends = []
                    for step in (1e-5, -1e-5):
                        moved = x[n : n + 1].clone()
                        moved[0, c, 0, t] += step
                        ends.append(float(F.cross_entropy(net(moved), truth[n : n + 1])))
                    slopes[n, c, t] = (ends[0] - ends[1]) / 2e-5
    np.testing.assert_allclose(found, np.sqrt((slopes**2).sum(1)).mean(0), rtol=1e-4, atol=1e-8)


def test_an_rnn_of_small_weights_forgets_at_the_rate_of_its_matrix():
    """Near zero tanh is the identity, so each step back multiplies the gradient by the recurrent matrix."""
    net, (x, truth) = network("rnn", width=2), batch()
    rnn = net.rows["states"].rnn
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(0.5 * torch.eye(2))
        rnn.weight_ih_l0.copy_(1e-4 * torch.eye(2))
    norms = through_time(net, x, truth).norms
    np.testing.assert_allclose(norms[1:] / norms[:-1], 2.0, rtol=1e-3)
    assert through_time(net, x, truth).reach == pytest.approx(0.5 ** (LENGTH - 1), rel=1e-2)


def test_the_network_stays_as_it_was():
    net, (x, truth) = network("lstm", width=4), batch()
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    through_time(net, x, truth)
    assert net.training and all(value.grad is None for value in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_images_are_no_series():
    with pytest.raises(DataError, match="no batch of series"):
        through_time(network("rnn", width=4), torch.zeros(1, 2, 3, 12), torch.tensor([0]))
