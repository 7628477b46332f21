"""The map of images: PCA against scikit-learn, neighbours against brute force, features against a plain hook."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from striate.base.errors import DataError, SettingsError
from striate.inside.embedding import features, lay_out, neighbours, pca, penultimate
from striate.model.build import build
from striate.model.zoo import blueprint


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 8)) @ rng.normal(size=(8, 8)) + 7


def test_pca_is_that_of_scikit_learn(values):
    decomposition = pytest.importorskip("sklearn.decomposition")
    reference = decomposition.PCA(3, svd_solver="full").fit(values)
    points, shares = pca(values, 3)
    expected = reference.transform(values)
    assert np.allclose(np.abs(points), np.abs(expected), atol=1e-9)
    assert np.allclose(shares, reference.explained_variance_ratio_)
    directions = np.linalg.lstsq(values - values.mean(0), points, rcond=None)[0].T
    assert all(row[np.abs(row).argmax()] > 0 for row in directions)


def test_pca_of_one_feature_or_of_equal_images_has_zeros(values):
    points, shares = pca(values[:, :1])
    assert (points[:, 1] == 0).all()
    assert shares.tolist() == pytest.approx([1, 0])
    points, shares = pca(np.ones((5, 3)))
    assert not points.any()
    assert shares.tolist() == [0, 0]


def test_neighbours_are_those_of_brute_force(values, monkeypatch):
    monkeypatch.setattr("striate.inside.embedding.CHUNK", 17)
    found, far = neighbours(values, 4)
    for index, row in enumerate(values):
        distances = np.linalg.norm(values - row, axis=1)
        distances[index] = np.inf
        assert found[index].tolist() == np.argsort(distances)[:4].tolist()
        assert np.allclose(far[index], np.sort(distances)[:4])
    assert neighbours(values[:3], 10)[0].shape == (3, 2)


@pytest.mark.parametrize("name", ["bipyramid", "resnet20", "mobilenet_v2"])
def test_features_are_what_the_head_takes(name):
    network = build(blueprint(name), channels=3, outputs=3, size_hw=(32, 32), seed=0).eval()
    images, taken = torch.randn(5, 3, 32, 32), []
    last = [part for part in network.modules() if isinstance(part, nn.Linear)][-1]
    handle = last.register_forward_pre_hook(lambda module, args: taken.append(args[0].detach().clone()))
    with torch.no_grad():
        for part in images.split(2):  # a batch of five is rounded in another way
            network(part)
    handle.remove()
    found = features(network, images.split(2))
    assert np.allclose(found, torch.cat(taken).numpy(), rtol=0, atol=1e-6)


def test_a_map_is_averaged_and_any_module_has_a_last_layer_but_one():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))
    assert penultimate(network) == "2"
    images = torch.randn(2, 3, 8, 8)
    found = features(network, [images], "1")
    assert np.allclose(found, network[:2](images).mean((2, 3)).detach().numpy(), atol=1e-6)
    with pytest.raises(DataError):
        features(network, [])
    with pytest.raises(SettingsError, match="no layer before"):
        penultimate(nn.Sequential(nn.Linear(2, 2)))


def test_tsne_keeps_groups_apart_and_is_seeded():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 15)
    values = rng.normal(size=(30, 5)) + 20 * groups[:, None]
    one, same = (lay_out(values, "tsne", seed=1).points for _ in range(2))
    assert np.array_equal(one, same)
    assert (groups[neighbours(one, 1)[0][:, 0]] == groups).all()


@pytest.mark.parametrize(("method", "module"), [("umap", "umap"), ("tsne", "sklearn.manifold")])
def test_a_missing_library_is_one_line_that_says_what_to_install(values, monkeypatch, method, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError, match="not installed") as problem:
        lay_out(values, method)
    assert "pip install" in problem.value.line


def test_mistakes_are_refused(values):
    with pytest.raises(SettingsError, match="layout"):
        lay_out(values, "magic")
    with pytest.raises(DataError, match="no map"):
        lay_out(values[:2])
