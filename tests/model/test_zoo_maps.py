"""Networks that make maps: sizes, equal budgets, encoders that are the classifiers they come from."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from striate.base import torchvision as tv
from striate.base.errors import SettingsError
from striate.model import zoo
from striate.model.blueprint import AUX_WEIGHT, Blueprint
from striate.model.build import build, parameters
from striate.model.dilation import DILATED, IN_TWO, dilated
from striate.model.walk import walk
from striate.nn.blocks import BLOCKS
from striate.task import Map

STUDY = ("unet", "encoder_decoder", "segnet", "segnet_nearest")  # what the homework compares
IMAGES = (*(f"residual_unet{way}" for way in ("", "_transposed", "_resize")), *zoo.AUTOENCODERS)
MAPS = tuple(name for name in zoo.names() if zoo.blueprint(name).native["outputs"] == 21 and name not in IMAGES)
WITH_ENCODER = tuple(name for name in MAPS if "encoder" in zoo.options(name))


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


@pytest.mark.parametrize("name", [*MAPS, "residual_unet"])
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
    if name not in (*MAPS, *IMAGES) and not zoo.blueprint(name).ends
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


@pytest.mark.parametrize("name", WITH_ENCODER)
@pytest.mark.parametrize("encoder", ["mobilenet_v2", "squeezenet1_0", "vgg11", "vit_cifar"])
def test_any_encoder_serves_any_decoder(name: str, encoder: str, tiny) -> None:
    given = {"encoder": {"name": encoder, **tiny[encoder][0]}, "width": 2}
    if encoder == "vit_cifar" and name in ("fcn16s", "fcn8s"):
        with pytest.raises(SettingsError, match="strides; there are 1"):
            zoo.blueprint(name, **given)
        return
    size_hw = (32, 32) if encoder == "vit_cifar" else (45, 70)
    plan = zoo.blueprint(name, **given)
    network = build(plan, channels=3, outputs=3, size_hw=size_hw, seed=0)
    assert Map(3).extended(plan, channels=3, size_hw=size_hw) is plan
    y = network(draw(2, 3, *size_hw))
    assert y.shape == (2, 3, *size_hw)
    y.square().mean().backward()
    assert all(value.grad is not None for value in network.parameters() if value.requires_grad)


def test_depth_limits_an_encoder() -> None:
    whole, part = (zoo.blueprint("unet", encoder="mobilenet_v2", depth=depth) for depth in (None, 4))
    assert "last" in whole.names and "last" not in part.names and "stage5" in part.names


def test_what_cannot_be_an_encoder_is_refused() -> None:
    for encoder, words in (("unet", "no maps with a head"), ("resnt18", "unknown network"), ({"width": 4}, "a name")):
        with pytest.raises(SettingsError, match=words):
            zoo.blueprint("fpn", encoder=encoder)
    with pytest.raises(SettingsError, match="no list of dilations"):
        zoo.blueprint("deeplabv3plus", rates=[0])


@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_resnet50", "lraspp_mobilenet_v3_large"])
def test_parameters_and_logits_equal_torchvision(name: str, tmp_path) -> None:
    torch.manual_seed(0)
    more = {"aux_loss": True} if "resnet" in name else {}
    theirs = tv.load("torchvision.models").get_model(name, weights=None, weights_backbone=None, **more).eval()
    with torch.no_grad():  # away from the values every normalisation starts with
        for value in (*theirs.parameters(), *theirs.buffers()):
            if value.dtype.is_floating_point and value.ndim == 1:
                value.add_(torch.rand_like(value) * 0.1)
    save_file(theirs.state_dict(), tmp_path / "w.safetensors")
    ours = zoo.build(name, classes=21, size=65, weights=tmp_path / "w.safetensors").eval()
    assert sum(map(torch.numel, ours.parameters())) == sum(map(torch.numel, theirs.parameters()))
    x = draw(1, 3, 65, 81)
    with torch.no_grad():
        found, expected = ours(x, auxiliary=True), theirs(x)
    assert list(found) == (["aux", "map"] if more else ["map"])
    for key, other in (("map", "out"), ("aux", "aux")):
        if key in found:
            assert torch.allclose(found[key], expected[other], atol=1e-5 * float(expected[other].abs().max()))
    assert ours.blueprint.aux_weight == (0.5 if more else AUX_WEIGHT)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_dilation_keeps_the_map_and_the_weights(name: str) -> None:
    """What a dilated network gives at every second place is what the network with strides gives, away from the rim."""
    plan = zoo.blueprint(name, width=4, depth=[1, 1, 2, 1], norm="none")
    rows = dilated(plan.rows, 8)
    usual = build(plan, channels=1, outputs=2, size_hw=(320, 320), seed=0).eval()
    wide = build(replace(plan, rows=rows), channels=1, outputs=2, size_hw=(320, 320), seed=0).eval()
    wide.load_state_dict(usual.state_dict())
    x = draw(1, 1, 320, 320)
    with torch.no_grad():
        small, large = (network.features(x, at="stage3")["stage3"] for network in (usual, wide))
    assert large.shape[2:] == (40, 40) and small.shape[2:] == (20, 20)
    assert torch.allclose(large[:, :, ::2, ::2][:, :, 9:11, 9:11], small[:, :, 9:11, 9:11], atol=1e-4)


def test_the_blocks_with_dilation_are_those_that_have_the_option() -> None:
    for option, names in (("dilation", DILATED), ("first_dilation", IN_TWO)):
        assert {name for name, block in BLOCKS.items() if option in parameters(block)} == names
