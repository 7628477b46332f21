"""Weight normalisation in a network against its formula, and through everything a network goes through."""

import pytest
import torch
from torch.nn import functional as F

from striate.base.errors import SettingsError
from striate.model import zoo
from striate.model.blueprint import Blueprint, Row
from striate.model.build import build
from striate.model.walk import walk
from striate.model.weights import to_bytes

ROWS = (Row("conv", 4, options={"activation": "relu"}), Row("global_pool"), Row("linear", options={"norm": "none"}))
PLAN = Blueprint("small", ROWS, size=8, defaults={"norm": "weight"})


@pytest.fixture
def network():
    return build(PLAN, channels=3, outputs=2, size_hw=(8, 8), seed=0)


def parts(network):
    """g, v and bias of the first row."""
    state = network.state_dict()
    start = "rows.conv1.conv."
    names = (f"{start}parametrizations.weight.original{i}" for i in (0, 1))
    return (*(state[name] for name in names), state[f"{start}bias"])


def test_a_filter_is_its_length_times_its_direction(network):
    length, direction, bias = parts(network)
    assert length.shape == (4, 1, 1, 1)
    length.mul_(torch.tensor([0.5, 1, 2, 3]).view(4, 1, 1, 1))
    direction.mul_(7)  # only its direction counts
    x = torch.randn(2, 3, 8, 8)
    weight = torch.stack([g * v / v.square().sum().sqrt() for g, v in zip(length, direction, strict=True)])
    torch.testing.assert_close(network.rows["conv1"](x), F.conv2d(x, weight, bias, padding=1).relu())


def test_it_starts_as_the_same_network_without(network):
    plain = build(Blueprint("small", ROWS, size=8), channels=3, outputs=2, size_hw=(8, 8), seed=0)
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(network(x), plain(x))
    assert walk(PLAN, channels=3, outputs=2).parameters == walk(plain.blueprint, channels=3, outputs=2).parameters + 4


def test_length_and_direction_both_train_and_the_gradient_turns_only_the_direction(network):
    network(torch.randn(4, 3, 8, 8)).square().sum().backward()
    weight = network.rows["conv1"].conv.parametrizations["weight"]
    assert weight.original0.grad.abs().min() > 0
    along = (weight.original1.grad * weight.original1).flatten(1).sum(1)  # equation 3: at right angles to v
    torch.testing.assert_close(along, torch.zeros(4), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["bipyramid", "resnet18", "mobilenet_v2"])
def test_networks_of_the_zoo_take_it_and_travel(name, tiny, tmp_path):
    given, (_, size) = tiny[name]
    options = {"classes": 3, "size": size, **given, "norm": "weight"}
    network = zoo.build(name, seed=0, **options)
    assert not any("Norm" in type(part).__name__ for part in network.modules() if list(part.parameters(recurse=False)))
    path = tmp_path / "weights.safetensors"
    path.write_bytes(to_bytes(network))
    x = torch.randn(2, 3, size, size)
    assert torch.equal(zoo.build(name, weights=path, **options).eval()(x), network.eval()(x))


def test_a_row_without_filters_refuses_it():
    with pytest.raises(SettingsError, match="needs a block with filters"):
        zoo.build("convnext_tiny", classes=2, size=32, norm="weight")
