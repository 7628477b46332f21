"""Explanations of every network: completeness, and maps that change when weights become random."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from toy_networks import images

from striate.inside import sanity
from striate.inside.explain import METHODS, explain
from striate.model import zoo
from striate.task.classify import Classify
from striate.task.segment import Segment

FEW = {"smoothgrad": {"num": 4}, "integrated": {"steps": 8}}
QUICK = ("bipyramid", "densenet121", "resnet18", "vit_b_16", "convnext_tiny", "resnet_1d", "unet")
NAMES = ("a", "b", "c")
FLAT = tuple(  # explanations are of images, and what those of lists are about a detector's task says
    name for name in zoo.names() if len(zoo.blueprint(name).native_hw) == 2 and not zoo.blueprint(name).ends
)


def tiny_network(name: str, tiny: dict[str, Any]) -> tuple[nn.Module, torch.Tensor]:
    """A small variant away from the values that norms and biases start with, and images for it."""
    options, (_, size) = tiny[name]
    network = zoo.build(name, classes=3, size=size, seed=0, **options).eval()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in (*network.parameters(), *network.buffers()):
            if value.dtype.is_floating_point and value.ndim == 1:
                value.add_(torch.rand(value.shape, generator=draw) * 0.1)
    return network, images(4, size, seed=5)


def require_changes(name: str, methods, tiny) -> None:
    """The mean correlation over images: a map of 2 x 2 places has four ranks only."""
    network, x = tiny_network(name, tiny)
    with torch.no_grad():
        is_dense = network(x[:1]).ndim == 4
    task = (Segment if is_dense else Classify)("target", NAMES)
    for method in methods:
        if (method == "gradcam" and name == "mlp") or (method == "occlusion" and name.startswith("residual_unet")):
            continue  # it has no map; it adds the image to its answer, of which a patch is missing whatever it learnt
        found = [
            sanity.check(network, task, one[None], method=method, stages=1, seed=seed, **FEW.get(method, {}))
            for seed, one in enumerate(x)
        ]
        mean = np.mean([one.correlations[-1] for one in found])
        assert abs(mean) < 0.5, (name, method, mean)


@pytest.mark.parametrize("name", QUICK)
def test_maps_hang_on_the_weights(name: str, tiny) -> None:
    require_changes(name, ("gradient", "gradcam"), tiny)


@pytest.mark.slow
@pytest.mark.parametrize("name", FLAT)
def test_maps_of_every_network_and_method_hang_on_the_weights(name: str, tiny) -> None:
    require_changes(name, METHODS, tiny)


# Where a straight way from a flat image cannot be followed: what the network is given instead.
NORMALISING = {*(f"convnext_{size}" for size in ("tiny", "small", "base", "large")), "transformer_1d"}  # biases not 0
SWINGING = {"mobilenet_v2", "mobilenet_v2_cifar", "mobilenet_v3_large"}  # 50 fresh layers are chaotic: calmer norms
DIVIDING = {"neocognitron"}  # any contrast gives the whole score, none gives 0: the way from an image close by


def complete_case(name: str, tiny: dict[str, Any]) -> tuple[nn.Module, torch.Tensor, torch.Tensor | float]:
    """A network, images, and the baseline (a number or an image) on the way from which a quadrature can follow it."""
    options, (_, size) = tiny[name]
    network = zoo.build(name, classes=3, size=size, seed=0, **options).eval()
    x = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    if name in NORMALISING:
        return tiny_network(name, tiny)[0], x[:2], 0.0
    if name in SWINGING:
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.weight.mul_(0.7)
    return (network, x[:1], torch.lerp(x[0], x[2], 0.02)) if name in DIVIDING else (network, x[:2], 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", FLAT)
def test_integrated_gradients_of_every_network_are_complete(name: str, tiny) -> None:
    network, x, baseline = complete_case(name, tiny)
    with torch.no_grad():
        is_dense = network(x[:1]).ndim == 4
    task = (Segment if is_dense else Classify)("target", NAMES)
    found = explain(network, task, x, method="integrated", steps=128, baseline=baseline)
    assert max(one.gap for one in found) < 0.01
