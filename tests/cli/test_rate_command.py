"""striate rate: a suggestion, the command that uses it, an image."""

import json
import re
import shlex

import pytest

from striate.cli.app import run

TOY = "toy:shapes?n=160&size=16"
FAST = ["--steps", "50", "--threads", "1", "--set", "train.batch_size=32", "--set", "model.width=8", "-q"]


@pytest.mark.parametrize(("name", "start"), [("rate.png", b"\x89PNG"), ("deep/rate.svg", b"<?xml")])
def test_it_draws_and_says_how_to_use_the_rate(tmp_path, capsys, name, start):
    assert run(["rate", TOY, *FAST, "--out", str(tmp_path / name), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (tmp_path / name).read_bytes().startswith(start)
    words = shlex.split(found["train"])
    assert words[:3] == ["striate", "train", TOY]
    assert words[-2:] == ["--lr", f"{found['suggestion']:g}"]
    assert run([*words[1:], "--set", "train.epochs=1", "-q", "--threads", "1", "--out", str(tmp_path / "run")]) == 0
    told = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]["train"]
    assert told["lr"] == found["suggestion"]
    assert told["batch_size"] == 32


def test_text_for_a_person_and_a_picture_below_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["rate", TOY, *FAST]) == 0
    said = capsys.readouterr().out
    assert re.search(r"suggested rate [\d.e-]+: a tenth of", said)
    assert (tmp_path / "runs" / "rate-bipyramid.png").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [(["--low", "1", "--high", "0.1"], "--low < --high"), (["--out", "rate.pdf"], "image is .png or .svg")],
)
def test_mistakes_are_named_before_anything_is_trained(words, says, last_line):
    assert run(["rate", TOY, *words]) == 2
    assert says in last_line()
