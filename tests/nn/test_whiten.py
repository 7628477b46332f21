"""The whitening layer against numpy, and how a run makes it from its training images."""

import numpy as np
import pytest
import torch

from striate.base.errors import SettingsError
from striate.model import zoo
from striate.model.blueprint import Blueprint, Row
from striate.model.build import build
from striate.nn.blocks.whiten import EPS, Whiten, covariance


@pytest.fixture
def images():
    """Smooth random colour images (50, 3, 8, 9): neighbouring pixels and channels go together."""
    noise = np.random.default_rng(0).normal(size=(50, 3, 10, 11))
    smooth = noise[:, :, 1:-1, 1:-1] + noise[:, :, :-2, 1:-1] + noise[:, :, 1:-1, 2:]
    return torch.from_numpy(smooth + 0.8 * smooth[:, [1, 2, 0]]).float()


def all_patches(images, kernel):
    array = images.numpy().astype(np.float64)
    high, wide = array.shape[2] - kernel + 1, array.shape[3] - kernel + 1
    return np.array(
        [one[:, y : y + kernel, x : x + kernel].ravel() for one in array for y in range(high) for x in range(wide)]
    )


@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_second_moments_of_patches(images, kernel):
    patches = all_patches(images, kernel)
    np.testing.assert_allclose(covariance(images, kernel), patches.T @ patches / len(patches), rtol=1e-4, atol=1e-5)


def test_filters_are_the_scaled_eigenvectors_and_their_negatives(images):
    layer = Whiten(3)
    layer.fit(images)
    found = layer.weight.detach().flatten(1).numpy()
    np.testing.assert_array_equal(found[12:], -found[:12])
    patches = all_patches(images, 2)
    values, vectors = np.linalg.eigh(patches.T @ patches / len(patches))
    expected = (vectors / np.sqrt(values + EPS)).T[::-1]
    signs = np.sign((found[:12] * expected).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found[:12] * signs, expected, rtol=1e-2, atol=1e-2)


def test_what_comes_out_is_white(images):
    layer = Whiten(3)
    layer.fit(images)
    outputs = layer(images).detach()[:, :12].permute(1, 0, 2, 3).flatten(1)
    moments = (outputs @ outputs.T / outputs.shape[1]).numpy()
    np.testing.assert_allclose(moments, np.eye(12), atol=0.02)


def test_only_its_biases_train(images):
    layer = Whiten(3)
    assert {name: value.requires_grad for name, value in layer.named_parameters()} == {
        "weight": False,
        "bias": True,
    }


def test_before_it_has_seen_images_a_filter_is_a_pixel():
    layer = Whiten(1)
    layer.initialise(torch.Generator())
    image = torch.arange(6.0).view(1, 1, 2, 3)
    np.testing.assert_array_equal(layer(image).detach()[0, :, 0, 0], [0, 1, 3, 4, 0, -1, -3, -4])


def test_so_it_begins_in_a_network_too():
    layer = zoo.build("airbench", classes=10, size=32, seed=0).rows["whiten"]
    np.testing.assert_array_equal(layer.weight.detach().flatten(1), np.concatenate([np.eye(12), -np.eye(12)]))


def test_it_refuses_maps_that_are_not_the_image(images):
    plan = Blueprint("late", (Row("conv", 4), Row("whiten"), Row("global_pool"), Row("linear")), size=8)
    network = build(plan, channels=3, outputs=2, size_hw=(8, 8))
    with pytest.raises(SettingsError, match="whitening takes the image"):
        network.rows["whiten1"].fit(images)


def test_convolutions_begin_by_passing_their_input_on():
    network = zoo.build("airbench", classes=10, size=32, seed=3)
    x = torch.randn(2, 64, 5, 5)
    conv = network.rows["conv2a"]
    torch.testing.assert_close(conv(x)[:, :64], x)
    assert conv(x)[:, 64:].std() > 0.5


def test_batch_norm_without_scale_trains_only_its_biases():
    network = zoo.build("airbench", classes=10, size=32)
    norm = network.rows["norm1a"].norm
    assert (norm.weight.requires_grad, norm.bias.requires_grad) == (False, True)
    assert bool((norm.weight == 1).all())
