"""The Neocognitron learns digits by its own rule: no gradient, and no label but for the readout."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from striate.base.errors import ModelError
from striate.model import zoo
from striate.model.competition import learn, read_out
from striate.model.network import Network


def digits(folder: Path, part: str, count: int) -> tuple[Tensor, Tensor]:
    images = gzip.decompress((folder / "mnist" / f"{part}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((folder / "mnist" / f"{part}-labels-idx1-ubyte.gz").read_bytes())[8:]
    pixels = np.frombuffer(images, np.uint8)[: count * 784].reshape(count, 1, 28, 28) / np.float32(255)
    return torch.from_numpy(pixels), torch.from_numpy(np.frombuffer(labels, np.uint8)[:count].astype(np.int64))


def accuracy(network: Network, images: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return (network(images).argmax(1) == labels).float().mean().item()


def small(seed: int = 0) -> Network:
    return zoo.build("neocognitron", classes=4, channels=1, size=28, width=0.2, seed=seed)


def shapes() -> tuple[Tensor, Tensor]:
    """Bars in four directions, at places of chance."""
    bars = torch.zeros(4, 28, 28)
    bars[0, 13:15, 4:24] = bars[1, 4:24, 13:15] = 1
    bars[2] = torch.eye(28)
    bars[3] = torch.eye(28).flip(1)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(80) % 4
    moves = torch.randint(-4, 5, (80, 2), generator=generator).tolist()
    images = [bars[label].roll(tuple(move), (0, 1)) for label, move in zip(labels, moves, strict=True)]
    return torch.stack(images)[:, None], labels


def test_digits_are_told_apart_far_better_than_by_a_linear_classifier(real_data: Path) -> None:
    images, labels = digits(real_data, "train", 1000)
    test_images, test_labels = digits(real_data, "t10k", 300)
    linear = zoo.build("mlp", depth=0, classes=10, channels=1, size=28, seed=0)
    read_out(linear, images, labels)
    network = zoo.build("neocognitron", classes=10, channels=1, size=28, width=0.5, seed=0)
    used = learn(network, images[:300])
    assert all(count == network.rows[name].weight.shape[0] for name, count in used.items())
    read_out(network, images, labels)
    assert not any(value.grad is not None for value in network.parameters())
    ours, theirs = (accuracy(one, test_images, test_labels) for one in (network, linear))
    assert ours > 0.9 and ours > theirs + 0.08


def test_what_is_learned_matters() -> None:
    images, labels = shapes()
    network = small()
    used = learn(network, images[:20])
    assert used["s1"] > 2
    read_out(network, images[:40], labels[:40])
    assert accuracy(network, images[40:], labels[40:]) == 1


def test_learning_is_the_same_every_time_and_leaves_the_global_state_alone() -> None:
    images, labels = shapes()
    before = torch.get_rng_state()
    networks = [small(seed) for seed in (0, 1)]
    for network in networks:
        learn(network, images[:20])
        read_out(network, images, labels)
    assert torch.equal(torch.get_rng_state(), before)
    states = [network.state_dict() for network in networks]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_readout_is_ridge_regression() -> None:
    generator = torch.Generator().manual_seed(0)
    x, labels = torch.randn(30, 1, 2, 3, generator=generator), torch.arange(30) % 3
    network = zoo.build("mlp", depth=0, classes=3, channels=1, size=(2, 3), seed=0)
    read_out(network, x, labels, decay=0.2)
    features = x.flatten(1).double().numpy()
    centred = (features - features.mean(0)) / features.std(ddof=1)
    wanted = np.eye(3)[labels] - 1 / 3
    weight = np.linalg.solve(centred.T @ centred + 0.2 * 30 * np.eye(6), centred.T @ wanted)
    expected = centred @ weight + 1 / 3
    np.testing.assert_allclose(network(x).detach().numpy(), expected, atol=1e-4)


def test_networks_that_cannot_are_refused() -> None:
    images, labels = shapes()
    with pytest.raises(ModelError, match="no simple cells"):
        learn(zoo.build("mlp", classes=4, channels=1, size=28), images)
    with pytest.raises(ModelError, match="not linear"):
        read_out(zoo.build("squeezenet1_1", classes=4, channels=1, size=32, width=0.1), images, labels)
