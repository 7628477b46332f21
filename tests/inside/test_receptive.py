"""Receptive fields against gradients with positive weights, and a stack of box filters whose field is known."""

import numpy as np
import pytest
import torch
from torch import nn

from striate.base.errors import SettingsError
from striate.inside.receptive import along_depth, receptive_field
from striate.model.build import build
from striate.model.zoo import blueprint

ZOO = {"resnet20": {}, "bipyramid": {"width": 4, "depth": 3}, "mobilenet_v2": {"width": 0.25}, "googlenet": {}}


def positive(network):
    """Positive weights, means for maxima, no activations: no way of the gradient cancels or is cut."""
    for parent in list(network.modules()):
        for name, part in list(parent.named_children()):
            if isinstance(part, nn.MaxPool2d):
                settings = part.kernel_size, part.stride, part.padding, part.ceil_mode
                setattr(parent, name, nn.AvgPool2d(*settings))
            elif isinstance(part, nn.ReLU | nn.ReLU6):
                setattr(parent, name, nn.Identity())
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(value.abs() + 0.01)
    return network


def slope_of(network, row, unit, images):
    """The absolute gradient of a unit by the pixels, summed over colours, with plain hooks."""
    kept = {}
    handle = network.rows[row].register_forward_hook(lambda module, args, out: kept.update(out=out))
    x = images.clone().requires_grad_()
    network.eval()(x)
    handle.remove()
    kept["out"][:, :, unit[0], unit[1]].sum().backward()
    return x.grad.abs().sum((0, 1)).double().numpy()


@pytest.mark.parametrize("name", ZOO)
def test_the_box_is_the_hull_of_the_gradient_with_positive_weights(name):
    network = build(blueprint(name, **ZOO[name]), channels=3, outputs=5, size_hw=(64, 64), seed=0)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    rows = [row for row in network.blueprint.names if len(network.shapes[row]) == 3]
    chosen = [(row, network.shapes[row]) for row in rows[:: max(1, len(rows) // 4)]]
    units = {row: (height // 3, width // 2) for row, (_, height, width) in chosen}
    row, unit = next(iter(units.items()))
    expected = slope_of(network, row, unit, images)
    assert np.allclose(receptive_field(network, images, row, unit).influence, expected / expected.max(), atol=1e-5)
    positive(network)
    for row, unit in units.items():
        ys, xs = np.nonzero(slope_of(network, row, unit, images))
        left, top, right, bottom = receptive_field(network, images, row, unit).box
        assert (max(left, 0), max(top, 0)) == (xs.min(), ys.min()), row
        assert (min(right, 64), min(bottom, 64)) == (xs.max() + 1, ys.max() + 1), row


def test_box_filters_in_a_row_give_the_spread_of_their_convolution():
    depth = 6
    network = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(depth)))
    with torch.no_grad():
        for layer in network:
            layer.weight.fill_(1.0)
    found = receptive_field(network, torch.randn(3, 1, 41, 41), str(depth - 1))
    line = np.ones(1)
    for _ in range(depth):
        line = np.convolve(line, np.ones(3))
    expected = np.zeros((41, 41))
    expected[20 - depth : 21 + depth, 20 - depth : 21 + depth] = np.outer(line, line) / line.max() ** 2
    assert np.allclose(found.influence, expected, atol=1e-6)
    assert found.unit == (20, 20)
    assert found.box == (14, 14, 27, 27)
    assert found.centre == pytest.approx((20, 20))
    assert found.sigma_hw == pytest.approx((np.sqrt(depth * 8 / 12),) * 2)  # a box of 3 has variance 8/12
    assert found.effective_px == pytest.approx(np.sqrt((expected > 0.0455).sum()))
    assert 0 < found.share < 1
    assert found.num_images == 3


def test_one_channel_has_its_own_field():
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, bias=False))
    with torch.no_grad():
        network[0].weight.zero_()
        network[0].weight[1, 0, 0, 2] = -2.0
    image = torch.randn(1, 1, 7, 7)
    assert receptive_field(network, image, "0", channel=0).influence.sum() == 0
    found = receptive_field(network, image, "0", channel=1)
    assert np.argwhere(found.influence).tolist() == [[2, 4]]
    assert found.effective_px == 1


@pytest.mark.parametrize(
    ("row", "unit", "channel"), [("2", None, None), ("0", (9, 0), None), ("0", None, 5), ("x", None, None)]
)
def test_a_unit_that_is_not_there_is_refused(row, unit, channel):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 25, 3))
    with pytest.raises(SettingsError):
        receptive_field(network, torch.randn(1, 1, 7, 7), row, unit, channel)


@pytest.mark.parametrize("shape", [(3, 32, 32), (2, 1, 40)])
def test_the_fields_along_depth_are_those_of_each_row(shape):
    network = build(blueprint("mobilenet_v2", width=0.25), channels=shape[0], outputs=5, size_hw=shape[1:], seed=0)
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    fields = along_depth(network, images)
    assert [one.row for one in fields] == [
        name for name in network.blueprint.names if np.prod(network.shapes[name][1:]) > 1
    ]
    for one in fields[::3]:
        alone = receptive_field(network, images, one.row)
        assert np.allclose(one.influence, alone.influence, atol=1e-6)
        assert (one.box, one.unit) == (alone.box, alone.unit) and 0 < one.share <= 1
    assert fields[0].theoretical_px == 3 and fields[0].effective_px <= 3
    counts = (fields[1].influence > 0.0455).sum()
    assert fields[1].effective_px == pytest.approx(counts if shape[1] == 1 else counts**0.5)


def test_many_rows_are_drawn_from_the_first_to_the_last():
    network = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(60)))
    fields = along_depth(network, torch.randn(1, 1, 16, 16))
    assert len(fields) == 24 and (fields[0].row, fields[-1].row) == ("0", "59")
    assert fields[-1].theoretical_px == 121
    assert along_depth(nn.Sequential(nn.Flatten(), nn.Linear(256, 2)), torch.randn(1, 1, 16, 16)) == []
