"""The files that docs/extending.md shows work as they stand, through the public commands."""

import csv
import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import striate as st
from striate.base import plugin
from striate.base.errors import SettingsError
from striate.base.rundir import RunDir
from striate.cli.app import run
from striate.data.augment import Flip
from striate.data.augment.own import OWN
from striate.model.zoo import ZOO
from striate.nn.blocks import BLOCKS
from striate.run.recipe import Recipe
from striate.task import TASKS

ROOT = Path(__file__).parents[1]
EXTENDING = ROOT / "examples" / "extending"
SMALL = ["--size", "16", "--set", "train.epochs=1", "--threads", "1", "--quiet"]


@pytest.fixture(autouse=True)
def tables():
    """The tables as they were."""
    before = [(table, dict(table)) for table in (BLOCKS, ZOO, TASKS, OWN, plugin.LOADED)]
    yield
    for table, rows in before:
        table.clear()
        table.update(rows)


def test_the_page_shows_every_file():
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    for file in EXTENDING.glob("*.py"):
        assert f"examples/extending/{file.name}" in page


def test_a_network_and_its_block(tmp_path):
    words = ["train", "toy:shapes?n=80&size=16", "--plugin", str(EXTENDING / "network.py"), "--model", "gated", *SMALL]
    assert run([*words, "--set", "model.width=4", "--out", str(tmp_path / "run")]) == 0
    info = RunDir(tmp_path / "run").info()
    widths = 4 * np.array([1, 2, 4])
    channels = np.array([3, *widths[:-1]])
    expected = (2 * (9 * channels * widths + widths)).sum() + 16 * 5 + 5
    assert info["model"]["parameters"] == expected


def test_a_network_of_a_file_stands_in_the_list_of_networks(capsys):
    assert run(["models", "gated", "--plugin", str(EXTENDING / "network.py"), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["models"]
    widths = 16 * np.array([1, 2, 4])
    channels = np.array([row["channels"], *widths[:-1]])
    body = (2 * (9 * channels * widths + widths)).sum()
    assert row["parameters"] == body + (widths[-1] + 1) * row["outputs"]
    assert (row["name"], row["year"], row["stated"], row["options"]) == ("gated", 2026, [], {"width": 16, "depth": 3})
    assert run(["models", "gat*", "--plugin", str(EXTENDING / "network.py")]) == 0
    assert "gated convolutions" in capsys.readouterr().out


def test_an_augmentation():
    space = runpy.run_path(str(EXTENDING / "augmentation.py"))
    pipeline, size = space["pipeline"], 8
    draws = pipeline.draw(4, 0, 0)
    plan = pipeline.matrices(draws, (size, size), (size, size), np.full((4, 3), 100.0))
    assert plan.colour[:, 0, 0] == pytest.approx(0.5 + draws[:, 0])
    assert (plan.colour[:, 1:] == np.eye(3, 4)[1:]).all()


def test_an_augmentation_is_named_in_a_recipe_and_kept_in_the_run(tmp_path):
    words = ["train", "toy:shapes?n=60&size=16", "--plugin", str(EXTENDING / "augmentation.py"), "--model", "mlp"]
    assert run([*words, "--augment", "tint", *SMALL, "--out", str(tmp_path / "run")]) == 0
    info = RunDir(tmp_path / "run").info()
    assert info["augment"] == [{"kind": "tint", "amount": 0.3}] == info["recipe"]["augment"]
    tint = OWN["tint"](amount=0.5)
    recipe = st.recipe("baseline").with_values([("augment", [tint, "flip"])])
    assert recipe.augment == (tint, Flip()) and Recipe.parse(recipe.model_dump(mode="json")) == recipe
    with pytest.raises(SettingsError, match="amount"):
        recipe.with_values([("augment", [{"kind": "tint", "amount": 2}])])
    with pytest.raises(SettingsError, match="did you mean 'tint'"):
        recipe.changed(["augment=tin"])


def test_a_loss_and_a_metric(tmp_path):
    out = tmp_path / "run"
    words = ["train", "toy:shapes?n=120&size=16", "--plugin", str(EXTENDING / "loss.py"), "--task", "careful"]
    assert run([*words, "--model", "mlp", *SMALL, "--lr", "0.02", "--out", str(out)]) == 0
    rows = [
        row
        for row in csv.DictReader((out / "predictions.csv").read_text(encoding="utf-8").splitlines())
        if row["split"] == "test"
    ]
    sure = [max(float(value) for name, value in row.items() if name.startswith("p:")) > 0.9 for row in rows]
    wrong = [row["truth"] != row["prediction"] for row in rows]
    scores = RunDir(out).scores()["test"]
    assert scores["sure_and_wrong"] == pytest.approx(np.mean(np.array(sure) & np.array(wrong)))
    assert "sure_and_wrong" in scores["intervals"] and scores["accuracy"] == pytest.approx(1 - np.mean(wrong))
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "wrong with 90 % confidence" in page and "Confusion" in page
    logits, truth = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    task, batch = TASKS["careful"]("label", ("a", "b", "c")), SimpleNamespace(targets={"label": truth})
    loss, p = task.loss(logits, batch), torch.softmax(logits, 1)[torch.arange(5), truth]
    assert float(loss["cross_entropy"]) == pytest.approx(float(-p.log().mean()), rel=1e-5)
    assert float(loss["poly"]) == pytest.approx(float((1 - p).mean()), rel=1e-5)


def test_a_data_format(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    lines = [f"{label} " + " ".join(map(str, rng.integers(0, 10, 64))) for label in ["one", "two"] * 30]
    file = tmp_path / "digits.txt"
    file.write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["data_format.py", str(file)])
    runpy.run_path(str(EXTENDING / "data_format.py"), run_name="__main__")
    assert "accuracy" in capsys.readouterr().out


def test_a_task(tmp_path):
    with_task = ["--plugin", str(EXTENDING / "task.py")]
    data, study = "toy:shapes?n=120&size=16", tmp_path / "study"
    assert run(["study", data, *with_task, "--task", "order", "--seeds", "2", *SMALL, "--out", str(study)]) == 0
    verdict = json.loads((study / "verdict.json").read_text())
    assert (verdict["metric"], verdict["mode"]) == ("steps_off", "min")
    for folder in sorted((study / "runs").iterdir()):
        rows = list(csv.DictReader((folder / "predictions.csv").read_text(encoding="utf-8").splitlines()))
        off = [
            abs(float(row["truth:level"]) - float(row["prediction:level"])) for row in rows if row["split"] == "test"
        ]
        assert RunDir(folder).scores()["test"]["steps_off"] == pytest.approx(np.mean(off))
    assert "mean number of levels off" in (study / "report.html").read_text(encoding="utf-8")
    one = str(study / "runs" / "mlp-seed0")
    assert run(["evaluate", one, *with_task]) == 0
    assert run(["evaluate", one, *with_task, "--views", "2"]) == 3
    assert run(["evaluate", one, "toy:shapes?n=90&size=16&seed=5", *with_task]) == 0  # by the target's classes
    assert RunDir(Path(one)).info()["task"]["metric_words"]["name"] == "mean number of levels off"
