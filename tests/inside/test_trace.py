"""A trace has every operation, each with the output that it had, and leaves the network as it was."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from trace_networks import NETWORKS, make

from striate.inside.trace import INPUT, trace

IMAGE = torch.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16).sin()


@pytest.mark.parametrize("name", NETWORKS)
def test_each_output_follows_from_its_inputs_and_the_last_is_the_networks(name):
    network = make(name)
    found = trace(network, IMAGE)
    for operation in found.operations:
        again = operation.again([one.clone() for one in found.inputs(operation)])
        assert torch.equal(again, operation.output), operation
    with torch.no_grad():
        expected = copy.deepcopy(network).eval()(IMAGE)
    assert torch.equal(found.outputs, expected)
    assert torch.equal(found.operations[-1].output, expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_is_given_back_as_it_was(name):
    network = make(name)
    before = copy.deepcopy(network.state_dict())
    trace(network, IMAGE)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_hooks_are_gone_where_the_network_raises():
    class Fails(nn.Module):
        def forward(self, x):
            raise ValueError("no")

    network = nn.Sequential(nn.Conv2d(3, 2, 1), Fails())
    with pytest.raises(ValueError, match="no"):
        trace(network, IMAGE)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_functions_and_modules_that_are_used_twice_have_their_own_places():
    operations = trace(make("residual"), IMAGE).operations
    assert [(one.kind, one.module, one.use) for one in operations[:7]] == [
        ("conv", "stem", 0),
        ("activation", "", 0),
        ("conv", "twice", 0),
        ("activation", "", 0),
        ("conv", "twice", 1),
        ("add", "", 0),
        ("activation", "", 0),
    ]
    assert operations[5].parents == (4, 1)
    assert operations[2].weight_names == {"weight": "twice.weight", "bias": "twice.bias"}
    assert operations[0].parents == (INPUT,)


def test_what_an_in_place_operation_overwrites_is_kept():
    found = trace(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True)), IMAGE)
    before, after = (one.output for one in found.operations)
    assert before.min() < 0
    assert torch.equal(after, before.clamp(min=0))


def test_the_image_is_kept_where_the_network_writes_into_it():
    found = trace(nn.ReLU(inplace=True), IMAGE)
    assert torch.equal(found.image, IMAGE)
    assert found.operations[0].parents == (INPUT,)


def test_a_write_through_a_view_is_seen():
    class Masked(nn.Module):
        def forward(self, x):
            y = x * 2
            y[:, 0] = 0
            part = y[:, 1:]
            part.relu_()
            return y + 1

    found = trace(Masked(), IMAGE)
    expected = torch.cat([torch.zeros(1, 1, 16, 16), (IMAGE[:, 1:] * 2).relu()], 1)
    assert torch.equal(found.operations[-1].output, expected + 1)
    assert torch.equal(found.inputs(found.operations[-1])[0], expected)
    assert torch.equal(found.operations[0].output, IMAGE * 2)


def test_a_network_of_the_zoo_pools_in_the_order_of_its_table():
    from striate.model import zoo

    kinds = [one.kind for one in trace(zoo.build("bipyramid", classes=2, size=16, seed=0), IMAGE).operations]
    assert kinds[:3] == ["conv", "activation", "max_pool"]


def test_settings_have_their_names():
    class Two(nn.Module):
        def forward(self, x):
            return F.avg_pool2d(F.leaky_relu(x, 0.2), 2, ceil_mode=True)

    first, second = trace(Two(), IMAGE).operations
    assert first.settings["negative_slope"] == 0.2
    assert (second.settings["kernel_size"], second.settings["ceil_mode"]) == (2, True)
