"""Networks that make maps: sizes, equal budgets, encoders that are the classifiers they come from."""

from typing import Any

import pytest
import torch

from striate.base.errors import SettingsError
from striate.model import zoo
from striate.model.blueprint import Blueprint
from striate.model.build import build
from striate.model.walk import walk
from striate.task import Map

STUDY = ("unet", "encoder_decoder", "segnet", "segnet_nearest")  # what the homework compares
MAPS = (*STUDY, "residual_unet")
WITH_ENCODER = ("unet",)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_the_networks_of_the_study_have_one_budget() -> None:
    found = {name: walk(zoo.blueprint(name), size_hw=(128, 128), outputs=3) for name in STUDY}
    usual = found["unet"]
    for name, one in found.items():
        assert 0.97 < one.parameters / usual.parameters < 1.03, name
        assert 0.8 < one.macs / usual.macs <= 1, name
        assert one.depth == usual.depth
    plain = [(one.parameters, one.macs) for name, one in found.items() if name != "unet"]
    assert len(set(plain)) == 1
    assert not any(zoo.blueprint(name).has_skips for name in STUDY[1:]) and zoo.blueprint("unet").has_skips


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("size_hw", [(45, 60), (49, 65)])
def test_any_size(name: str, size_hw: tuple[int, int], tiny) -> None:
    plan = zoo.blueprint(name, **tiny[name][0])
    assert Map(3).extended(plan, channels=3, size_hw=size_hw) is plan
    network = build(plan, channels=3, outputs=3, size_hw=size_hw, seed=0)
    for other in (size_hw, (33, 70)):
        assert network(draw(2, 3, *other)).shape == (2, 3, *other)


# The others of a family come from the same function; they are checked with the slow tests.
FIRST = {getattr(entry.make, "func", entry.make): name for name, entry in zoo.ZOO.items()}.values()
CLASSIFIERS = [
    pytest.param(name, marks=[] if name in FIRST else pytest.mark.slow)
    for name in zoo.names()
    if name not in (*MAPS, "autoencoder")
]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_an_encoder_has_the_classifier_s_features(name: str, tiny) -> None:
    options, (_, size) = tiny[name]
    given: dict[str, Any] = {"encoder": {"name": name, **options}, "width": 2}
    if name == "mlp":
        with pytest.raises(SettingsError, match="no maps"):
            zoo.blueprint("unet", **given)
        return
    plan = zoo.blueprint("unet", **given)
    assert Blueprint.from_json(plan.to_json()) == plan
    network = build(plan, channels=3, outputs=3, size_hw=(size, size), seed=0).eval()
    usual = zoo.blueprint(name, **options)
    classifier = build(usual, channels=3, outputs=4, size_hw=(size, size), seed=1).eval()
    state = classifier.state_dict()
    own = network.state_dict()
    same = {key: state[key] for key in own if key in state}
    network.load_state_dict({**own, **same})
    x = draw(2, 3, size, size)
    with torch.no_grad():
        ours, theirs = network.features(x), classifier.features(x)
        assert len(ours) == len(theirs) and all(map(torch.equal, ours.values(), theirs.values()))
        assert network(x).shape == (2, 3, size, size)
    body = {row.name for row in plan.rows[: plan.names.index(plan.head)]}
    assert {key for key in own if key.split(".")[1] in body} == same.keys()
