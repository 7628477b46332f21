"""A run of an ablated network says so, and its folder alone gives the same network again."""

import json

from striate.base.rundir import RunDir
from striate.cli.app import run
from striate.model.blueprint import Blueprint
from striate.model.build import assemble
from striate.predict import Predictor


def test_a_run_without_skips_is_named_so_and_comes_back(tmp_path, capsys) -> None:
    out = tmp_path / "run"
    words = ["toy:shapes?n=80&size=16", "--model", "resnet20", "--without", "skip", "--recipe", "baseline"]
    fast = [
        "--set",
        "train.epochs=1",
        "--set",
        "model.width=4",
        "--set",
        "train.precision=float32",
        "--threads",
        "1",
        "-q",
        "--out",
        str(out),
    ]
    assert run(["train", *words, *fast]) == 0
    model = RunDir(out).info()["model"]
    assert model["name"] == model["blueprint"]["name"] == "resnet20 without skip"
    plan = Blueprint.from_json(model["blueprint"])
    again = assemble(plan, channels=3, outputs=3, size_hw=(16, 16))
    assert "Residual" not in {type(part).__name__ for part in again.modules()}
    assert {type(part).__name__ for part in Predictor.load(RunDir(out)).network.modules()} == {
        type(part).__name__ for part in again.modules()
    }
    assert run(["resume", str(out), "--fork", "--threads", "1", "-q", "--out", str(tmp_path / "again")]) == 0
    assert RunDir(tmp_path / "again").info()["model"]["name"] == "resnet20 without skip"
    scores = [json.loads((tmp_path / one / "scores.json").read_text()) for one in ("run", "again")]
    assert scores[0]["val"]["loss"] == scores[1]["val"]["loss"]


def test_a_part_that_the_network_does_not_have_is_refused_before_training(tmp_path, capsys) -> None:
    words = ["toy:shapes?n=80&size=16", "--model", "resnet20", "--without", "se", "--out", str(tmp_path / "run")]
    assert run(["train", *words]) == 2
    assert "resnet20 has no se" in capsys.readouterr().err and not (tmp_path / "run").exists()
