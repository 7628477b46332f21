"""A classifier's weights in the encoder of a network for maps: from a file, from a run, frozen, and refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from striate.base import torchvision as tv
from striate.base.errors import ModelError
from striate.base.tensors import read_tensors
from striate.data import open_dataset
from striate.model import published, zoo
from striate.model.build import build
from striate.model.network import Network
from striate.model.weights import load, to_bytes
from striate.run.execute import train
from striate.run.recipe import named
from striate.run.start import trained_name

TINY = {"name": "mobilenet_v2", "width": 0.1}


def unet(seed: int = 0, **encoder) -> Network:
    plan = zoo.blueprint("unet", encoder={**TINY, **encoder}, width=2)
    return build(plan, channels=3, outputs=2, size_hw=(64, 64), seed=seed)


def reference() -> torch.nn.Module:
    torch.manual_seed(0)
    return tv.load("torchvision.models").mobilenet_v2(width_mult=0.1).eval()


def test_a_classifier_s_file_fills_the_body_and_nothing_else(tmp_path) -> None:
    classifier = zoo.build(TINY["name"], classes=7, size=64, seed=3, width=TINY["width"]).eval()
    (tmp_path / "own.safetensors").write_bytes(to_bytes(classifier))
    network, fresh = unet().eval(), unet().state_dict()
    loaded = load(network, tmp_path / "own.safetensors")
    x = torch.randn(1, 3, 50, 70)
    pairs = zip(network.features(x).values(), classifier.features(x).values(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    state = network.state_dict()
    assert set(loaded.matched) | set(loaded.missing) >= {key for key in state if "num_batches" not in key}
    assert all(torch.equal(state[key], fresh[key]) for key in loaded.missing)
    assert len(loaded.unused) == 2 and "the encoder is mobilenet_v2's body" in loaded.summary
    assert "fresh: 57 tensors, rows.bottom.conv.weight to rows.outputs.conv.bias" in loaded.summary


def test_torchvision_s_names_and_grey_images(tmp_path) -> None:
    theirs = reference()
    np.savez(tmp_path / "w.npz", **{key: value.numpy() for key, value in theirs.state_dict().items()})
    network = unet()
    load(network, tmp_path / "w.npz")
    x = torch.randn(2, 3, 64, 64)
    found = list(network.eval().features(x).values())[-1]
    assert torch.allclose(found, theirs.features(x), atol=1e-5)
    plan = zoo.blueprint("unet", encoder=TINY, width=2)
    grey = build(plan, channels=1, outputs=2, size_hw=(64, 64), seed=0).eval()
    assert "3 input channels to 1" in load(grey, tmp_path / "w.npz").summary
    y = x[:, :1]
    assert torch.allclose(list(grey.features(y).values())[-1], theirs.features(y.expand(-1, 3, -1, -1)), atol=1e-4)


def test_imagenet_means_the_encoder_s(tmp_path, monkeypatch) -> None:
    path = tmp_path / "w.safetensors"
    save_file(reference().state_dict(), path)
    asked = []
    monkeypatch.setattr(published, "fetch", lambda found: asked.append(found.name) or path)
    assert load(unet(), "imagenet").preset is not None and asked == [TINY["name"]]


def test_its_own_file_is_taken_whole(tmp_path) -> None:
    trained, path = unet(seed=1), tmp_path / "whole.safetensors"
    path.write_bytes(to_bytes(trained))
    network = unet()
    assert not load(network, path).missing
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in network.state_dict().items())


def test_weights_of_another_network_are_refused_and_nothing_changes(tmp_path) -> None:
    other = zoo.build("mobilenet_v3_small", classes=7, size=64, seed=3, width=0.1)
    (tmp_path / "other.safetensors").write_bytes(to_bytes(other))
    network, before = unet(), unet().state_dict()
    with pytest.raises(ModelError):
        load(network, tmp_path / "other.safetensors")
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_run_that_classifies_becomes_an_encoder_that_can_be_frozen(tmp_path, quiet) -> None:
    data = open_dataset("toy:shapes?n=40&size=32")
    short = named("regularized").changed(["train.epochs=1", "train.precision=float32", "augment=none", "train.ema=0"])
    base = train(data, "resnet20", short, out=tmp_path / "base", progress=quiet)
    changes = [f"transfer.weights={base.path}", "model.encoder=resnet20", "model.width=2"]
    recipe = short.changed([*changes, 'train.stages=[{frozen="body"}]'])
    run = train(data, "unet", recipe, target="mask", out=tmp_path / "maps", progress=quiet)
    first, second = read_tensors(base.weights), read_tensors(run.weights)
    same = {key for key in first if key in second}
    assert len(same) > 100 and all(torch.equal(first[key], second[key]) for key in same)
    assert run.info()["model"]["name"] == "unet"
    assert {"rows.bottom.conv.weight", "rows.outputs.conv.bias"} <= second.keys()


@pytest.fixture(scope="module")
def published_maps(tmp_path_factory):
    """A network for maps as torchvision has it, with random numbers, and its file."""
    torch.manual_seed(0)
    theirs = tv.load("torchvision.models").get_model("lraspp_mobilenet_v3_large", weights=None, weights_backbone=None)
    path = tmp_path_factory.mktemp("maps") / "lraspp.safetensors"  # a .pth is read by a child: seconds each time
    save_file(theirs.state_dict(), path)
    return theirs.eval(), path


def test_coco_means_the_whole_network_s(published_maps, monkeypatch) -> None:
    theirs, path = published_maps
    asked = []
    monkeypatch.setattr(published, "fetch", lambda found: asked.append(found) or path)
    name = "lraspp_mobilenet_v3_large"
    ours = zoo.build(name, classes=21, size=64, weights="coco").eval()
    assert asked[0].source.endswith("COCO_WITH_VOC_LABELS_V1") and asked[0].classes[15] == "person"
    x = torch.randn(1, 3, 64, 80)
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x)["out"], atol=1e-5)
    new = zoo.build(name, classes=3, size=64, seed=0)
    loaded = load(new, "coco")
    assert loaded.heads == (21, 3) and set(loaded.missing) == {
        f"rows.{row}.conv.{kind}" for row in ("fine_outputs", "outputs") for kind in ("weight", "bias")
    }


def test_a_local_file_of_the_whole_network_and_one_of_its_encoder(published_maps, tmp_path) -> None:
    theirs, path = published_maps
    ours = zoo.build("lraspp_mobilenet_v3_large", classes=21, size=64, seed=0)
    assert not load(ours, path).missing
    backbone = tv.load("torchvision.models").mobilenet_v3_large()
    save_file(backbone.state_dict(), tmp_path / "backbone.safetensors")
    loaded = load(ours, tmp_path / "backbone.safetensors")
    assert "the encoder is mobilenet_v3_large's body" in loaded.summary and len(loaded.unused) == 4
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():  # dilation begins at the last stride, so what lies before is the classifier's
        found, expected = ours.eval().features(x, at="block12")["block12"], backbone.eval().features[:13](x)
    assert torch.allclose(found, expected, atol=1e-5)


def test_words_that_are_not_published_are_refused() -> None:
    with pytest.raises(ModelError, match="trained on coco"):
        load(zoo.build("mobilenet_v2", classes=3, size=64, seed=0, width=0.1), "coco")
    with pytest.raises(ModelError, match=r"no ImageNet weights of 'unet'|no such"):
        load(unet(), "coco")


def test_where_a_recipe_looks_for_weights() -> None:
    usual = named("finetune")
    cases = {
        ("unet", "imagenet", "resnet18"): "resnet18",
        ("resnet18", "imagenet", None): "resnet18",
        ("fcn_resnet50", "imagenet", None): "resnet50",
        ("fcn_resnet50", "coco", None): "fcn_resnet50",
        ("mlp", "imagenet", "resnet18"): "mlp",
    }
    for (model, word, encoder), expected in cases.items():
        changes = [f"transfer.weights={word}", *([f"model.encoder={encoder}"] if encoder else [])]
        assert trained_name(usual.changed(changes), model) == expected
