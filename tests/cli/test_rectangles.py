"""A run on height x width through the commands: trained, evaluated with views, predicted, shown, resumed."""

import json

import pytest
from PIL import Image

from striate.cli.app import run

TOY = "toy:shapes?n=120&size=48"
SMALL = ["--set", "train.epochs=1", "--set", "model.width=4", "-q"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "rectangle"
    assert run(["train", TOY, "--size", "24x40", *SMALL, "--out", str(out)]) == 0
    return out


def test_the_run_says_its_size_and_the_report_too(trained):
    info = json.loads((trained / "run.json").read_text())
    assert info["input"]["size_hw"] == [24, 40] and "size_px" not in info["input"]
    assert info["resolved"]["data"]["size"] == "24x40"
    assert "24 × 40 px" in (trained / "report.html").read_text()


def test_it_is_evaluated_with_views_and_predicts_images_of_any_size(trained, tmp_path, capsys):
    before = json.loads((trained / "scores.json").read_text())["test"]
    assert run(["evaluate", str(trained), "--json", "-q"]) == 0
    again = json.loads(capsys.readouterr().out)["scores"]
    assert again["accuracy"] == pytest.approx(before["accuracy"], abs=0.05)
    assert run(["evaluate", str(trained), "--views", "6", "--json", "-q"]) == 0
    capsys.readouterr()
    Image.new("RGB", (90, 31), (200, 90, 40)).save(tmp_path / "wide.png")
    assert run(["predict", str(trained), str(tmp_path / "wide.png"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["predictions"][0]["probabilities"]
    assert sum(found.values()) == pytest.approx(1, abs=1e-4)


def test_its_network_is_analyzed_at_its_size_and_at_another(trained, capsys):
    for words, size in (([str(trained)], [24, 40]), (["resnet18", "--size", "180x240"], [180, 240])):
        assert run(["analyze", *words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["size_hw"] == size


@pytest.mark.parametrize("model", ["lenet5", "mlp", "airbench"])
def test_networks_with_a_flat_head_get_the_right_size(model, tmp_path):
    words = ["train", "toy:shapes?n=40&size=48", "--size", "48x32", "--model", model, "--set", "train.epochs=1"]
    assert run([*words, "-q", "--out", str(tmp_path / model)]) == 0


@pytest.mark.parametrize("text", ["4x40", "axb", "24x", "24x40x3", "9999"])
def test_what_is_no_size_is_refused_in_one_line(text, capsys):
    assert run(["train", "toy:shapes", "--size", text]) == 2
    message = capsys.readouterr().err
    assert "--size" in message and message.count("\n") == 1


def test_the_setting_takes_both_forms(tmp_path):
    from striate.run.recipe import Recipe
    from striate.run.settings import DataSettings

    assert Recipe().changed(["data.size=180x240"]).data.size == "180x240"
    assert Recipe().changed(["data.size=[180, 240]"]).data.size == "180x240"
    assert DataSettings(size="64x64") == DataSettings(size=64)
