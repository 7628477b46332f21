"""The table of networks equals new walks, and the publishers' metadata."""

import json
import subprocess
import sys

import pytest

from striate.base import torchvision as tv
from striate.base.errors import SettingsError
from striate.model import zoo
from striate.model.catalogue import counted, facts, matching, stated


@pytest.mark.parametrize("name", zoo.names())
def test_every_line_equals_a_new_walk(name: str) -> None:
    line = facts(name)
    at = (line.size_px, line.channels, line.outputs)
    assert (*at, line.parameters, line.macs, line.depth, line.size_mb) == counted(name), (
        "run `python -m striate.model.catalogue`"
    )


def test_scores_are_the_publisher_s() -> None:
    models = tv.load("torchvision.models")
    for name in set(zoo.names()) & set(models.list_models()):
        meta = models.get_model_weights(name).DEFAULT.meta["_metrics"]["ImageNet-1K"]
        assert (facts(name).top1, facts(name).top5) == (meta["acc@1"], meta["acc@5"]) == stated(name)[:2]
        assert facts(name).source == stated(name)[2]


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
    assert json.loads(json.dumps(facts("alexnet").to_json()))["top1"] == 56.522
