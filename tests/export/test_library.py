"""Weights that torchvision and timm load: their networks answer like the run; what they do not have is refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from striate.base import torchvision as tv
from striate.base.errors import ModelError, SettingsError
from striate.export import export, library
from striate.predict import Predictor
from striate.run.execute import train
from striate.run.recipe import named


@pytest.fixture
def made(request, tiny, quiet, tmp_path):
    """A run of the network that the test names, and its validation images as they are stored."""
    model, *changes = getattr(request, "param", ("mobilenet_v2", "data.size=32"))
    recipe = named("baseline").changed(["train.epochs=1", "train.precision=float32", *changes])
    run = train(tiny, model, recipe, target="label", out=tmp_path / "run", progress=quiet)
    predictor = Predictor.load(run)
    return run, [predictor.fitted(tiny.images.read(int(index))) for index in tiny.splits["val"]]


def same_answers(network, run, stored):
    """Whether a library's network, given the run's normalised images, has the run's probabilities."""
    predictor = Predictor.load(run)
    with torch.inference_mode():
        found = network.eval()(predictor.inputs(stored)).softmax(1).numpy()
    wanted = [list(one.probabilities.values()) for one in predictor(stored)]
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert np.ptp(wanted, axis=0).max() > 1e-3  # else any weights would do


def test_both_libraries_load_what_is_written(made, tmp_path, monkeypatch):
    tv.load()  # first, since timm imports torchvision
    timm = pytest.importorskip("timm")
    run, stored = made
    found = export(run, stored, "torchvision", tmp_path / "torchvision")
    network = tv.load("torchvision.models").mobilenet_v2(num_classes=3)
    network.load_state_dict(load_file(found.file))
    same_answers(network, run, stored)
    assert 'get_model("mobilenet_v2", num_classes=3)' in (found.folder / "README.md").read_text()

    found = export(run, stored, "timm", tmp_path / "timm")
    network = timm.create_model(f"local-dir:{found.folder}", pretrained=True)
    same_answers(network, run, stored)
    config = network.pretrained_cfg
    assert (config["label_names"], list(config["mean"])) == (
        ["top", "middle", "bottom"],
        list(Predictor.load(run).mean),
    )
    assert timm.create_model(f"local-dir:{found.folder}", pretrained=True, num_classes=7).classifier.out_features == 7

    with pytest.raises(SettingsError, match="no normalisation goes into the network of a library"):
        export(run, stored, "torchvision", tmp_path / "other", is_normalising=True)
    kept = library.write_tensors

    def spoiled(path, tensors):
        name = next(name for name in tensors if name.endswith("weight"))
        kept(path, {**tensors, name: -tensors[name]})

    monkeypatch.setattr(library, "write_tensors", spoiled)
    with pytest.raises(ModelError, match="torchvision's network answers otherwise than the run"):
        export(run, stored, "torchvision", tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("made", [("bipyramid", "model.width=4", "model.depth=1")], indirect=True)
def test_a_network_of_ours_is_refused(made, tmp_path):
    run, stored = made
    for to in ("torchvision", "timm"):
        with pytest.raises(ModelError, match=f"{to} has no network bipyramid"):
            export(run, stored, to, tmp_path / "out")


def test_the_order_of_layers_is_that_of_torchvision():
    from types import SimpleNamespace

    from striate.model import zoo

    for name in ("squeezenet1_1", "googlenet"):
        network = zoo.build(name, classes=5, channels=3, size=64, seed=0)
        builder = tv.load("torchvision.models").get_model_builder(name)
        options = {"num_classes": 5, **library._torchvision_options(network, builder)}

        def load(builder=builder, options=options) -> nn.Module:
            return builder(weights=None, **options)

        found = library._renamed(SimpleNamespace(run="run"), network, load, name)
        reference = load()
        reference.load_state_dict(found)
        images = torch.randn(1, 3, 64, 64)
        with torch.inference_mode():
            mine, other = network.eval()(images), library._Main(reference.eval())(images)
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-3)
