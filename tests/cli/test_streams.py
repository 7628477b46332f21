"""What goes where: results to stdout, the rest to stderr; JSON alone, plain lines without a terminal, closed pipes."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from typer.main import get_command

from striate.base.tensors import write_tensors
from striate.cli.app import app, run
from striate.cli.demo import DEMOS, Demo
from striate.model import zoo

START = "from striate.cli import main; main()"
FAST = ["--set", "train.epochs=1", "--set", "model.width=4", "--threads", "1"]


def one_document(text: str) -> dict:
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_every_command_gives_one_json_document(finished, tmp_path, capsys, monkeypatch):
    small = Demo("toy:shapes?n=80&size=16", {}, ("train.epochs=1",))
    monkeypatch.setitem(DEMOS, "classify", small)
    shutil.copytree(finished, tmp_path / "run")
    toy, here = "toy:shapes?n=80&size=16", str(tmp_path / "run")
    (picture,) = sorted((tmp_path / "run" / "pictures").glob("*-0000.jpg"))[:1]
    weights = tmp_path / "lenet5.safetensors"
    write_tensors(weights, zoo.build("lenet5", classes=10, size=32).state_dict())
    commands = {
        "check": [toy, "--out", str(tmp_path / "sheet")],
        "train": [toy, *FAST, "--out", str(tmp_path / "new")],
        "rate": [toy, "--steps", "40", "--threads", "1", "--out", str(tmp_path / "rate.png")],
        "resume": [here],
        "report": [here],
        "evaluate": [here],
        "predict": [here, str(picture)],
        "runs": [str(tmp_path)],
        "compare": [here, str(tmp_path / "new")],
        "embed": [here],
        "activations": [here],
        "explore": [here, "--export", str(tmp_path / "page.html")],
        "time": [here, "--batch", "1", "--engine", "eager"],
        "export": [here, "--to", "torch", "--out", str(tmp_path / "export")],
        "search": [
            *(toy, "--candidates", "3", "--epochs", "1", "--seeds", "1", "--set", "train.epochs=1"),
            *("--set", "model.width=8", "--threads", "1", "--out", str(tmp_path / "search")),
        ],
        "study": [toy, "--seeds", "1", "--set", "train.epochs=1", "--threads", "1", "--out", str(tmp_path / "study")],
        "explain": ["filters", str(picture), "--out", str(tmp_path / "filters.png")],
        "models": ["bipyramid"],
        "analyze": ["bipyramid"],
        "import-weights": [str(weights), "--model", "lenet5", "--out", str(tmp_path / "imported.safetensors")],
        "recipes": [],
        "clean": [str(tmp_path)],
        "doctor": [],
        "demo": ["--seeds", "1", "--threads", "1", "--out", str(tmp_path / "demo")],
    }
    assert commands.keys() == get_command(app).commands.keys() - {"serve"}  # which answers until it is stopped
    for name, words in commands.items():
        assert run([name, *words, "--json"]) == 0, name
        document = one_document(capsys.readouterr().out)
        assert document["schema"] == 1
        assert document["command"] == name


def test_an_error_leaves_stdout_empty(capsys):
    assert run(["check", "nowhere", "--json"]) == 3
    assert capsys.readouterr().out == ""


def test_quiet_is_quiet_and_lines_are_plain(tmp_path, capsys):
    words = ["train", "toy:shapes?n=80&size=16", *FAST]
    assert run([*words, "--out", str(tmp_path / "quiet"), "-q"]) == 0
    assert [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning: ")] == []
    assert run([*words, "--out", str(tmp_path / "loud")]) == 0
    said = capsys.readouterr()
    assert "epoch 1/1: train loss" in said.err
    assert not {"\r", "\x1b"} & set(said.err + said.out)
    assert "epoch" not in said.out.split("parameters")[0]


def test_a_file_name_is_shown_escaped(finished, tmp_path, capsys):
    name = "\x1b[31m[red]\u202e.jpg"
    source = next((finished / "pictures").glob("*.jpg"))
    shutil.copyfile(source, tmp_path / name)
    assert run(["predict", str(finished), str(tmp_path / name)]) == 0
    out = capsys.readouterr().out
    assert r"\x1b[31m[red]\u202e.jpg" in out
    assert run(["predict", str(finished), str(tmp_path / name), "--json"]) == 0
    assert one_document(capsys.readouterr().out)["predictions"][0]["id"] == str(tmp_path / name)


@pytest.mark.parametrize("words", [["models"], ["models", "--json"], ["-h"], ["recipes"]])
def test_a_reader_that_has_gone_is_no_error(words):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", START, *words], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_terminal_that_knows_ascii_only(finished):
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    words = ["predict", str(finished), "b\u00e4r.png"]
    done = subprocess.run([sys.executable, "-c", START, *words], capture_output=True, env=environment, check=False)
    assert done.returncode == 3
    assert done.stderr.isascii()
    assert rb"b\xe4r.png" in done.stderr
