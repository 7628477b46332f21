"""striate analyze and striate models."""

import json
from xml.etree import ElementTree

import pytest

from striate.cli.analyze import LAYERS
from striate.cli.app import run
from striate.cli.arithmetic import KINDS


def test_a_network_is_seen_at_its_own_size(capsys):
    assert run(["analyze", "resnet18", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["parameters"], document["size_hw"]) == (11_689_512, [224, 224])
    assert [issue["kind"] for issue in document["issues"]] == ["field"]


def test_what_is_odd_stands_below_the_table(capsys):
    assert run(["analyze", "resnet18", "--size", "32", "--outputs", "10"]) == 0
    out = capsys.readouterr().out
    assert "warning: stage4: a window of 3x3 on a map of 1x1: 8 of its 9 weights only ever meet padding" in out


def test_a_drawing_is_written_once(tmp_path, capsys, last_line):
    path = tmp_path / "lenet5.svg"
    assert run(["analyze", "lenet5", "--draw", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["drawing"] == str(path)
    assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert run(["analyze", "lenet5", "--draw", str(path)]) == 2
    assert "--overwrite" in last_line()
    assert run(["analyze", "lenet5", "--draw", str(path), "--overwrite"]) == 0
    assert run(["analyze", "lenet5", "--draw", str(tmp_path / "x.png")]) == 2


def test_two_networks(capsys):
    assert run(["analyze", "resnet18", "resnet34"]) == 0
    assert "B = resnet34 on 224x224x3" in capsys.readouterr().out
    assert run(["analyze", "resnet18", "resnet34", "--json"]) == 0
    assert [walk["depth"] for walk in json.loads(capsys.readouterr().out)["walks"]] == [18, 34]


def test_one_layer(capsys):
    assert set(LAYERS) == set(KINDS)
    assert run(["analyze", "conv", "--input", "5x5", "--kernel", "3", "--stride", "2", "--padding", "1"]) == 0
    assert "3 x 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["conv", "--draw", "x.svg"], "--draw"),
        (["resnet18", "--kernel", "3"], "--kernel"),
        (["resnet18", "resnet34", "--draw", "x.svg"], "--draw"),
        (["resnet18", "resnet81"], "did you mean 'resnet18'"),
    ],
)
def test_options_that_do_not_belong(words, says, last_line):
    assert run(["analyze", *words]) == 2
    assert says in last_line()


def test_the_table_of_networks(capsys):
    assert run(["models", "resnet*"]) == 0
    out = capsys.readouterr().out
    assert "resnet18" in out and "69.8" in out and "1.814 G" in out and "vgg" not in out
    assert run(["models", "resnet18"]) == 0
    out = capsys.readouterr().out
    assert "arXiv:1512.03385" in out and "torchvision IMAGENET1K_V1" in out
    assert run(["models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["models"]
    assert all(row["parameters"] and row["macs"] and row["depth"] and row["size_mb"] for row in rows)


def test_times(capsys, monkeypatch, last_line):
    monkeypatch.setattr("striate.model.timing.ROUNDS", 1)
    words = ["models", "mlp", "--time", "--size", "8", "--threads", "1", "-q"]
    assert run([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["protocol"]["threads"] == 1
    (one,) = document["timings"]
    assert {step["batch"] for step in one["timings"]} == {1, 32} and one["timings"][0]["ratio"] is None
    assert run(words) == 0
    assert "inference of 32" in capsys.readouterr().out
    assert run(["models", "--time"]) == 2
    assert "name one" in last_line()


def test_a_part_taken_out_is_seen_in_the_table(capsys):
    assert run(["analyze", "resnet20", "--without", "norm", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["name"] == "resnet20 without norm"
    assert run(["analyze", "resnet20", "resnet20 without norm", "--json"]) == 0
    whole, bare = json.loads(capsys.readouterr().out)["walks"]
    # 19 normalisations of 16, 32 and 64 channels (7, 6 and 6 of them) lose two vectors and convolutions gain a bias
    assert whole["parameters"] - bare["parameters"] == 7 * 16 + 6 * 32 + 6 * 64
    assert bare["parameters"] == plain["parameters"]
    assert run(["analyze", "lenet5", "--without", "skip"]) == 2
    assert "lenet5 has no skip" in capsys.readouterr().err
