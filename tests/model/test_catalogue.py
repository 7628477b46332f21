"""The table of networks equals new walks, and the publishers' metadata."""

import json
import subprocess
import sys

import pytest
import torch

from striate.base import torchvision as tv
from striate.base.errors import SettingsError
from striate.model import zoo
from striate.model.catalogue import facts, matching, stated
from striate.model.draw import draw
from striate.model.issues import examine
from striate.model.walk import walk


def test_scores_are_the_publisher_s() -> None:
    models = tv.load("torchvision.models")
    for name in set(zoo.names()) & set(models.list_models()):
        weights = models.get_model_weights(name).DEFAULT
        assert facts(name).weights == stated(name)[3]
        if "ImageNet-1K" not in weights.meta["_metrics"]:
            assert zoo.blueprint(name).encoder and not facts(name).stated
            continue
        meta, size = weights.meta["_metrics"]["ImageNet-1K"], weights.transforms().crop_size[0]
        first = facts(name).stated[0]
        assert (first.top1, first.top5, first.size_px) == (meta["acc@1"], meta["acc@5"], size) == stated(name)[:3]
        assert facts(name).weights == first.source == stated(name)[3]


def test_what_courses_show_stands_beside_it() -> None:
    published = {"xception": (79.0, 94.5), "nasnetalarge": (82.5, 96.0), "mobilenetv1_100": (70.4, 89.5)}
    published |= {"inception_resnet_v2": (80.3, 95.3), "resnetv2_50": (76.0, 93.0)}
    for name, figures in published.items():
        assert [(one.top1, one.top5) for one in facts(name).stated] == [figures]
        assert facts(name).stated[0].source == "Keras Applications"
    assert [one.source.split()[0] for one in facts("resnet50").stated] == ["torchvision", "Keras"]
    assert [one.size_px for one in facts("efficientnet_b2").stated] == [288, 260]


def test_parameters_are_those_that_prediction_runs() -> None:
    """torchvision's GoogLeNet and timm's Inception v3 without their auxiliary outputs."""
    models = tv.load("torchvision.models")
    with torch.device("meta"):
        plain = models.googlenet(weights=None, aux_logits=False, init_weights=False)
        timm = tv.load("timm").create_model("inception_v3", aux_logits=False)
    assert facts("googlenet").parameters == sum(value.numel() for value in plain.parameters()) == 6_624_904
    assert facts("inception_v3").parameters == sum(value.numel() for value in timm.parameters()) == 23_834_568
    assert facts("inception_v3").parameters_trained == 27_161_264
    assert all(facts(name).parameters == facts(name).parameters_trained for name in ("resnet50", "vgg16"))


@pytest.mark.parametrize("name", ["lenet5", "lenet5_dense", "neocognitron", "resnet20", "alexnet"])
def test_every_way_to_look_takes_the_same_input_and_head(name: str) -> None:
    plan, line = zoo.blueprint(name), facts(name)
    assert walk(plan).parameters == examine(plan)[0].parameters == line.parameters_trained
    given = {"size_hw": (line.size_px,) * 2, "channels": line.channels, "outputs": line.outputs}
    assert draw(plan) == draw(plan, **given)
    assert zoo.build(name, classes=line.outputs, channels=line.channels, seed=0).size_hw == (line.size_px,) * 2


def test_known_figures() -> None:
    assert facts("lenet5_dense").parameters == 61_706
    assert facts("vgg16").parameters == 138_357_544
    assert facts("resnet50").depth == 50 and round(facts("resnet50").macs / 1e9, 3) == 4.089


def test_networks_are_found_by_name_pattern_and_text() -> None:
    assert matching("resnet18") == ["resnet18"]
    assert matching("VGG1?") == ["vgg11", "vgg13", "vgg16", "vgg19"]
    assert "nasnetalarge" in matching("searched")
    with pytest.raises(SettingsError, match="resnet18"):
        matching("resnet81")


def test_the_table_needs_no_torch() -> None:
    code = "import sys, striate.model.catalogue as c; c.facts('resnet18'); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_line_is_plain_json() -> None:
    assert json.loads(json.dumps(facts("alexnet").to_json()))["stated"][0]["top1"] == 56.522
