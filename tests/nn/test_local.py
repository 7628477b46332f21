"""The locally connected layer against its definition, and beside the convolution it does not share with."""

import pytest
import torch
from torch.nn import functional as F

from striate.base.errors import SettingsError
from striate.model.blueprint import Blueprint, Row
from striate.model.build import build
from striate.model.walk import walk
from striate.nn.blocks.local import LocalConv


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, "same"), (3, 2, 1), ((1, 3), 1, 0), (5, 2, "valid")])
def test_each_position_has_filters_of_its_own(kernel, stride, padding):
    torch.manual_seed(0)
    block = LocalConv(2, 3, kernel=kernel, stride=stride, padding=padding, size_hw=(7, 6))
    torch.nn.init.normal_(block.bias)
    x = torch.randn(4, 2, 7, 6)
    found = block(x)
    high, wide = block.kernel
    padded = F.pad(x, (block.padding[1],) * 2 + (block.padding[0],) * 2)
    for row in range(block.out_hw[0]):
        for column in range(block.out_hw[1]):
            place = row * block.out_hw[1] + column
            patch = padded[:, :, row * stride : row * stride + high, column * stride : column * stride + wide]
            expected = patch.flatten(1) @ block.weight[place] + block.bias[place]
            torch.testing.assert_close(found[:, :, row, column], expected)


def test_with_equal_weights_everywhere_it_is_the_convolution():
    conv = torch.nn.Conv2d(3, 4, 3, padding=1)
    block = LocalConv(3, 4, size_hw=(5, 5))
    with torch.no_grad():
        block.weight.copy_(conv.weight.flatten(1).T.expand(25, -1, -1))
        block.bias.copy_(conv.bias.expand(25, 1, -1))
    x = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(block(x), conv(x))


def test_the_published_counts_of_sharing_and_not_sharing():
    """The first layer of AlexNet as the course counts it: 105,705,600 parameters unshared, 34,944 shared."""

    def first(block):
        row = Row(block, 96, stride=4, options={"kernel": 11, "padding": 0}, name="first")
        return Blueprint("first", (row, Row("global_pool"), Row("linear")), size=227)

    counts = {name: walk(first(name), channels=3).layers[0] for name in ("conv", "local")}
    assert counts["conv"].out_shape == counts["local"].out_shape == (96, 55, 55)
    assert (counts["conv"].parameters, counts["local"].parameters) == (34_944, 105_705_600)
    assert counts["conv"].macs == counts["local"].macs
    assert counts["conv"].receptive_field_hw == counts["local"].receptive_field_hw == (11, 11)


def test_in_a_network_it_sees_what_a_convolution_sees():
    def plan(block):
        rows = (Row("conv", 4), Row(block, 4, stride=2), Row(block, 5), Row("global_pool"), Row("linear"))
        return Blueprint("two", rows, size=16)

    fields = [[layer.receptive_field_hw for layer in walk(plan(name)).layers[:3]] for name in ("conv", "local")]
    assert fields[0] == fields[1] == [(3, 3), (5, 5), (9, 9)]
    network = build(plan("local"), channels=3, outputs=2, size_hw=(16, 16), seed=0)
    network(torch.randn(2, 3, 16, 16)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_window_larger_than_the_map_is_refused():
    with pytest.raises(SettingsError, match="does not fit"):
        LocalConv(1, 1, kernel=9, padding=0, size_hw=(5, 5))
