"""striate search: one document, a network that train takes, mistakes in one line."""

import json

import pytest
from PIL import Image

from striate.cli.app import run

TOY = "toy:shapes?n=60&size=16"
QUICK = ["--candidates", "3", "--epochs", "1", "--seeds", "1", "--threads", "1", "--device", "cpu"]
SMALL = ["--set", "train.epochs=1", "--set", "model.width=8"]


def test_a_search_from_the_command_line(tmp_path, capsys):
    out = tmp_path / "search"
    assert run(["search", TOY, *QUICK, *SMALL, "--out", str(out), "--json"]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert document["command"] == "search"
    assert document["result"]["candidates"] == 3
    assert "candidate 2: " in said.err
    assert "0 to go" in said.err
    with Image.open(document["picture"]) as picture:
        assert picture.size == (1360, 840)
    assert (out / "study" / "report.html").is_file()
    assert run(["search", str(out), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["result"] == document["result"]
    assert "nothing to do" in said.err
    words = ["train", TOY, "--model", document["best"], "--set", "train.epochs=1", "--threads", "1"]
    assert run([*words, "--out", str(tmp_path / "run"), "--json"]) == 0
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert info["model"]["macs"] == document["result"]["best"]["macs"]


@pytest.mark.parametrize(
    "words",
    [
        ["--budget", "soon"],
        ["--max-macs", "many"],
        ["--max-macs", "1M", "--max-parameters", "1M"],
        ["--seed-model", "bipyramit"],
        ["--candidates", "1"],
        ["--max-macs", "10", "--candidates", "2"],
        ["--weights", "imagenet"],
    ],
)
def test_a_mistake_is_one_line(words, tmp_path, capsys):
    assert run(["search", TOY, *words, "--threads", "1", "--out", str(tmp_path / "s")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.strip().split("\n")[-1].startswith("error: ")
