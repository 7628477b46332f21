"""Gradients in the layout of training, channels-last, are those in the default layout: zoo, blueprints, search."""

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from zoo_families import marked

from striate.base.device import place
from striate.base.errors import SettingsError
from striate.model import zoo
from striate.model.blueprint import Blueprint, Row
from striate.model.build import build
from striate.model.network import Network
from striate.search.space import Frame, Genome, blueprint, mutated, start

NUM_NETWORKS = 40  # of each kind
SHARE = 1e-4  # of the gradient's norm; rounding gives 1e-6


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def gradients(network: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The gradient of every parameter that has one, of a sum of the outputs in which each counts otherwise."""
    options = {"auxiliary": True} if isinstance(network, Network) else {}
    found = network(x, **options).values()
    loss = sum((y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum() for y in found)
    names, values = zip(*((n, v) for n, v in network.named_parameters() if v.requires_grad), strict=True)
    slopes = torch.autograd.grad(loss, values, allow_unused=True)
    return {name: slope for name, slope in zip(names, slopes, strict=True) if slope is not None}


def furthest(network: Network, size: int, channels: int, threads: int) -> tuple[float, str]:
    """How far a parameter's gradient is from that in float64 and the default layout, over the largest norm of all.

    The best of three inputs counts: a ReLU at zero tips either way with rounding, a wrong kernel is wrong on them all.
    """
    torch.set_num_threads(threads)
    network = network.eval()  # batch norm of two images is no smooth function of them
    exact = deepcopy(network).double()
    place(network, "cpu")
    found = (float("inf"), "")
    for seed in range(3):
        x = torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(seed))
        right, slopes = gradients(exact, x.double()), gradients(network, x.to(memory_format=torch.channels_last))
        scale = max(float(slope.norm()) for slope in right.values())
        found = min(found, max((float((slopes[name] - right[name]).norm()) / scale, name) for name in right))
        if found[0] < SHARE:
            break
    return found


@pytest.mark.parametrize("name", marked(name for name in zoo.names() if not zoo.blueprint(name).ends))
def test_zoo(name: str, tiny) -> None:
    given, (_, size) = tiny[name]
    network = zoo.build(name, classes=3, channels=3, size=size, seed=0, **given)
    far, parameter = furthest(network, size, 3, threads=2 if zoo.names().index(name) % 5 == 0 else 1)
    assert far < SHARE, parameter


def random_genome(seed: int) -> tuple[Genome, Frame]:
    rng = np.random.default_rng(seed)
    frame = Frame((int(rng.choice([12, 16, 18, 24, 33])),) * 2, int(rng.choice([1, 3, 4])), 5)
    genome = start(frame, int(rng.choice([8, 12, 16])), str(rng.choice(["none", "batch", "group"])))
    for _ in range(12):
        genome = mutated(genome, frame, rng)[1]
    return genome, frame


def random_blueprint(seed: int) -> Blueprint:
    """Rows of many kinds and strides on few channels."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(int(rng.integers(2, 6))):
        block = str(rng.choice(["conv", "conv", "conv", "basic", "bottleneck", "separable", "inverted", "pre_conv"]))
        options = {"kernel": int(rng.choice([1, 1, 3, 5]))} if block in ("conv", "pre_conv") else {}
        if block == "conv" and rng.random() < 0.5:
            options |= {"activation": "relu", "norm": str(rng.choice(["none", "batch"]))}
        rows.append(Row(block, 4 * int(rng.integers(1, 5)), stride=int(rng.choice([1, 2, 2, 3])), options=options))
        if rng.random() < 0.2:
            rows.append(Row(str(rng.choice(["max_pool", "avg_pool", "stride_pool"]))))
    return Blueprint(f"random{seed}", (*rows, Row("global_pool"), Row("linear")))


def test_searched_networks() -> None:
    for seed in range(NUM_NETWORKS):
        genome, frame = random_genome(seed)
        size = frame.size
        network = build(blueprint(genome, frame), channels=frame.channels, outputs=5, size_hw=(size, size), seed=seed)
        far, parameter = furthest(network, size, frame.channels, threads=2 if seed % 5 == 0 else 1)
        assert far < SHARE, (seed, str(genome), parameter)


def test_random_blueprints() -> None:
    num_built = 0
    for seed in range(NUM_NETWORKS):
        channels, size = 1 + seed % 4, (16, 18, 24, 36)[seed % 4]
        try:
            network = build(random_blueprint(seed), channels=channels, outputs=5, size_hw=(size, size), seed=seed)
        except SettingsError:  # more strides than pixels
            continue
        num_built += 1
        far, parameter = furthest(network, size, channels, threads=2 if seed % 5 == 0 else 1)
        assert far < SHARE, (seed, network.blueprint, parameter)
    assert num_built > 0.8 * NUM_NETWORKS
