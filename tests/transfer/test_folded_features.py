"""Features come from a copy of the body whose batch norm is folded into its convolutions."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from striate.base import device as devices
from striate.model import zoo
from striate.model.build import build
from striate.run.network import start_network
from striate.run.prepare import prepare
from striate.run.recipe import named
from striate.transfer.features import cut, take
from striate.transfer.fuse import fuse_batch_norms

NETWORKS = {
    "bipyramid": {"norm": "batch", "depth": 2},  # batch norm after pooling, which is not folded
    "mobilenet_v2": {},
    "resnet18": {},
    "xception_small": {},
    "densenet121": {},
    "efficientnet_b0": {},
    "googlenet": {},
}


def lived_in(name, **options):
    """A network whose batch norms have factors, addends and statistics of their own."""
    net = build(zoo.blueprint(name, **options), channels=3, outputs=4, size_hw=(64, 64), seed=0).double()
    generator = torch.Generator().manual_seed(1)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight, part.bias, part.running_mean, part.running_var):
                tensor.data.uniform_(0.5, 1.5, generator=generator)
    return net


def count(network, kind):
    return sum(isinstance(part, kind) for part in network.modules())


@pytest.mark.parametrize("name", NETWORKS)
def test_it_gives_what_the_network_gives_in_evaluation_mode(name):
    network = lived_in(name, **NETWORKS[name])
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    copied = fuse_batch_norms(network)
    network.eval()
    with torch.no_grad():
        torch.testing.assert_close(copied(images), network(images), rtol=1e-9, atol=1e-9)
        for stage, expected in network.features(images).items():
            torch.testing.assert_close(copied.features(images)[stage], expected, rtol=1e-9, atol=1e-9)


def test_no_norm_is_left_and_the_network_stays_as_it_was():
    network = lived_in("mobilenet_v2")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    copied = fuse_batch_norms(network)
    assert count(network, nn.BatchNorm2d) == 52
    assert count(copied, nn.BatchNorm2d) == 0
    assert not copied.training
    assert network.training
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert before.keys() == after.keys()


def test_what_is_listened_to_or_made_from_others_is_not_folded():
    network = lived_in("resnet18")
    heard = []
    layers = [part for part in network.modules() if isinstance(part, nn.Sequential) and count(part, nn.Conv2d) == 1]
    layers = [part for part in layers if isinstance(part[0], nn.Conv2d)]
    layers[0][1].register_forward_hook(lambda part, inputs, output: heard.append(output))
    weight_norm(layers[1][0])
    layers[2][1] = nn.BatchNorm2d(layers[2][0].out_channels, track_running_stats=False).double()
    copied, images = fuse_batch_norms(network), torch.randn(3, 3, 64, 64, dtype=torch.float64)
    assert count(copied, nn.BatchNorm2d) == 3
    network.eval()
    with torch.no_grad():
        torch.testing.assert_close(copied(images), network(images), rtol=1e-9, atol=1e-9)
    assert len(heard) == 2


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_features_are_the_networks_and_leave_it_alone(tiny, quiet, precision):
    recipe = named("features").changed(["data.size=16"])
    prepared = prepare(tiny, recipe, target=None, device=devices.pick("cpu"), progress=quiet)
    network = start_network(zoo.blueprint("resnet20"), prepared, 0)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_var.uniform_(0.5, 2, generator=torch.Generator().manual_seed(0))
    body, before = cut(network, precision), {name: one.clone() for name, one in network.state_dict().items()}
    found = take(body, prepared, "train", views=1, progress=quiet)
    assert network.training
    assert all(torch.equal(before[name], one) for name, one in network.state_dict().items())
    network.eval()
    with torch.no_grad():
        live = [network.features(batch.images, at=body.cut)[body.cut] for batch in prepared.loader("train").batches(0)]
    tolerance = 2e-3 if precision == "float32" else 0.05
    torch.testing.assert_close(found.values, torch.cat(live), rtol=tolerance, atol=tolerance)
