"""Pooling before the activation gives the same numbers and gradients, and shows the table's order to who asks."""

import copy

import pytest
import torch

from striate.model.zoo import build


def plain(network):
    """The same network without the shortcut."""
    other = copy.deepcopy(network)
    other._late = {}
    return other


@pytest.mark.parametrize(
    ("name", "options"), [("bipyramid", {}), ("bipyramid", {"activation": "tanh"}), ("resnet18", {})]
)
def test_outputs_and_gradients_are_those_of_the_table(name, options):
    network = build(name, classes=3, size=64, seed=0, **options)
    assert network._late
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    results = []
    for one in (network, plain(network)):
        outputs = one.train()(images)
        outputs.square().sum().backward()
        results.append((outputs, [parameter.grad for parameter in one.parameters()]))
    (ours, our_grads), (table, grads) = results
    torch.testing.assert_close(ours, table, rtol=1e-6, atol=1e-6)
    for a, b in zip(our_grads, grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_whoever_asks_for_the_row_gets_it_activated():
    network = build("bipyramid", classes=3, size=32, seed=0).eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert (network.features(images, at="conv1")["conv1"] >= 0).all()
    seen = []
    handle = network.rows["conv1"].register_forward_hook(lambda module, args, out: seen.append(out.clone()))
    outputs = network(images)
    handle.remove()
    assert (seen[0] >= 0).all()
    torch.testing.assert_close(outputs, network(images))
