"""Learned kernels as arrays: against torch's own weights, numpy, and what a transposed convolution computes."""

import numpy as np
import pytest
import torch
from torch import nn

from striate.base.errors import SettingsError
from striate.inside.kernels import Kernels, kernels_of
from striate.model.build import build
from striate.model.zoo import blueprint


@pytest.fixture
def network():
    return build(blueprint("bipyramid", width=4, depth=2), channels=3, outputs=5, size_hw=(16, 16), seed=1)


def test_the_kernels_are_the_state(network):
    (first,) = kernels_of(network)
    weight = next(value for name, value in network.state_dict().items() if value.ndim == 4)
    assert np.array_equal(first.weights, weight.numpy())
    assert first.is_colour
    first.weights[:] = 0  # a copy
    assert weight.abs().sum() > 0


def test_norms_and_similarity_are_those_of_numpy():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(6, 3, 5, 5)).astype(np.float32)
    weights[1], weights[2], weights[3] = 2 * weights[0], -weights[0], 0
    found = Kernels("x", weights)
    for a in range(6):
        assert found.norms[a] == pytest.approx(np.sqrt((weights[a] ** 2).sum()), rel=1e-5)
        for b in range(6):
            length = np.linalg.norm(weights[a]) * np.linalg.norm(weights[b])
            cosine = (weights[a] * weights[b]).sum() / length if length else 0
            assert found.similarity[a, b] == pytest.approx(cosine, abs=1e-5)
    assert found.similarity[0, 1] == pytest.approx(1)
    assert found.similarity[0, 2] == pytest.approx(-1)


def test_images_show_0_as_grey_and_the_largest_as_black_or_white():
    weights = np.zeros((2, 3, 1, 2), np.float32)
    weights[0, 0, 0] = [1, -1]
    weights[1, 1, 0] = [0.25, 0]
    own, common = (Kernels("x", weights).images(is_common) for is_common in (False, True))
    assert own.shape == (2, 1, 2, 3)
    assert own[0, 0].tolist() == [[255, 128, 128], [0, 128, 128]]
    assert own[1, 0, 0, 1] == 255
    assert common[1, 0, 0, 1] == round(127.5 * 1.25)
    grey = Kernels("x", np.ones((2, 4, 3), np.float32)).images()
    assert grey.shape == (2, 4, 1, 3)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_kernel_is_what_an_output_channel_is_made_with(groups):
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(4, 6, 3, groups=groups, bias=False)
    (found,) = kernels_of(nn.Sequential(layer))
    assert found.weights.shape == (6, 4 // groups, 3, 3)
    for channel in range(4):  # an impulse at one input channel gives the kernels that read it
        impulse = torch.zeros(1, 4, 1, 1)
        impulse[0, channel] = 1
        made = layer(impulse)[0].detach().numpy()
        group = channel // (4 // groups)
        expected = np.zeros((6, 3, 3), np.float32)
        own = slice(group * 6 // groups, (group + 1) * 6 // groups)
        expected[own] = found.weights[own, channel % (4 // groups)]
        assert np.allclose(made, expected)


def test_parts_of_a_row_are_named_and_a_mistake_says_the_nearest(network):
    resnet = build(blueprint("resnet20"), channels=3, outputs=5, size_hw=(16, 16), seed=1)
    names = [one.name for one in kernels_of(resnet, resnet.blueprint.names[1])]
    assert len(names) > 1
    assert all(name.startswith(resnet.blueprint.names[1] + ".") for name in names)
    assert [one.name for one in kernels_of(resnet, names[0])] == names[:1]
    row = kernels_of(network)[0].name
    with pytest.raises(SettingsError, match="did you mean") as problem:
        kernels_of(network, row + "x")
    assert row in str(problem.value)
    with pytest.raises(SettingsError, match="no convolution"):
        kernels_of(nn.Sequential(nn.Linear(2, 2)))


def test_change_is_the_distance_moved_over_the_length_before():
    before = Kernels("x", np.ones((2, 1, 1, 4), np.float32))
    after = Kernels("x", np.array([[[[1, 1, 1, 1]]], [[[1, 1, 1, 3]]]], np.float32))
    assert after.change(before).tolist() == [0, 1]
    with pytest.raises(SettingsError, match="same layer"):
        after.change(Kernels("x", np.ones((1, 1, 1, 4), np.float32)))
