"""Training longer from a run: as if it had had the epochs from the start, as far as the schedule allows."""

import json
import math
import shlex
import shutil

import pytest
import torch

from striate.base.errors import Interrupted, ModelError, SettingsError
from striate.base.rundir import RunDir
from striate.base.tensors import read_tensors
from striate.cli.app import run as command
from striate.data import open_dataset
from striate.engine.update import Update
from striate.run.execute import resume, train
from striate.run.recipe import named


@pytest.fixture
def kept(tiny, recipe, quiet, tmp_path):
    """Train a run that keeps its checkpoints."""

    def trained(name, *changes, **options):
        options = {"keep_checkpoints": True, "progress": quiet, **options}
        return train(tiny, "bipyramid", recipe.changed(changes), out=tmp_path / name, **options)

    return trained


def rates(run):
    return [row["lr"] for row in run.history()]


def test_without_a_schedule_it_is_the_longer_training_bit_for_bit(kept, tiny, quiet):
    short, whole = (kept(f"{num}", f"train.epochs={num}", "train.schedule=constant") for num in (2, 4))
    longer = resume(short.path, dataset=tiny, epochs=4, progress=quiet)
    first, second = read_tensors(longer.weights), read_tensors(whole.weights)
    assert all(torch.equal(first[name], second[name]) for name in first | second)
    for row, other in zip(longer.history(), whole.history(), strict=True):
        assert row["train"] == other["train"] and row["val"] == other["val"]
    info = longer.info()
    assert info["status"] == "finished" and info["result"]["epochs"] == info["num_epochs"] == 4
    assert info["recipe"]["train"]["epochs"] == info["resolved"]["train"]["epochs"] == 4
    assert info["notes"] == ["trained longer: 4 epochs instead of 2, with their learning rate from epoch 3 on"]
    assert longer.is_sealed and longer.scores() == whole.scores()


def test_the_learning_rate_is_that_of_the_longer_training_from_there_on(kept, tiny, quiet):
    run = kept("run", "train.epochs=2", "train.schedule=cosine", "train.warmup=0", "train.lr=0.02")
    steps = run.history()[0]["step"]
    longer = resume(run.path, dataset=tiny, epochs=5, progress=quiet)
    expected = [0.01 * (1 + math.cos(math.pi * (epoch * steps - 1) / (num * steps)))
                for epoch, num in ((1, 2), (2, 2), (3, 5), (4, 5), (5, 5))]  # fmt: skip
    assert rates(longer) == pytest.approx(expected)


@pytest.mark.parametrize("changes", [["train.swa=0.5", "train.ema=0"], ["train.frozen=body", "train.frozen_epochs=1"]])
def test_averages_and_stages_go_on(kept, tiny, quiet, changes):
    if "train.frozen=body" in changes:
        base = kept("base", "train.epochs=1")
        changes = [*changes, f"transfer.weights={base.path}"]
    run = kept("run", "train.epochs=2", *changes)
    assert len(resume(run.path, dataset=tiny, epochs=4, progress=quiet).history()) == 4


def test_patience_counts_anew(kept, tiny, quiet):
    run = kept("run", "train.epochs=9", "train.patience=1", "train.lr=1e-9", "train.ema=0")
    done = len(run.history())
    assert run.info()["result"]["stopped"] == "early" and done < 9
    assert len(resume(run.path, dataset=tiny, epochs=20, progress=quiet).history()) > done


def test_stopped_again_it_goes_on_and_may_become_longer_still(kept, tiny, quiet, monkeypatch):
    run, call = kept("run", "train.epochs=2", "train.schedule=constant"), Update.__call__

    def failing(self, batch, at):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Update, "__call__", failing)  # before any checkpoint of the longer training
        with pytest.raises((Interrupted, KeyboardInterrupt)):
            resume(run.path, dataset=tiny, epochs=3, progress=quiet)
    assert Update.__call__ is call and RunDir(run.path).info()["status"] == "interrupted"
    assert len(resume(run.path, dataset=tiny, progress=quiet).history()) == 3
    assert len(resume(run.path, dataset=tiny, epochs=4, progress=quiet).history()) == 4


def test_what_cannot_be_longer_is_said_and_stays_as_it_is(kept, tiny, quiet, tmp_path):
    run = kept("run", "train.epochs=2")
    before = (run.path / "run.json").read_bytes()
    for epochs in (1, 2):
        with pytest.raises(SettingsError, match="has 2 epochs already"):
            resume(run.path, dataset=tiny, epochs=epochs, progress=quiet)
    study = tmp_path / "study"
    (study / "runs").mkdir(parents=True)
    (study / "study.json").write_text("{}")
    shutil.copytree(run.path, study / "runs" / "a-seed0")
    with pytest.raises(SettingsError, match="compared with"):
        resume(study / "runs" / "a-seed0", dataset=tiny, epochs=3, progress=quiet)
    shutil.rmtree(run.checkpoints)
    with pytest.raises(ModelError, match="no checkpoint"):
        resume(run.path, dataset=tiny, epochs=3, progress=quiet)
    assert (run.path / "run.json").read_bytes() == before and run.is_sealed
    features = named("features").changed([f"transfer.weights={run.path}", "train.precision=float32"])
    solved = train(tiny, "bipyramid", features, out=tmp_path / "features", progress=quiet)
    with pytest.raises(SettingsError, match="no epochs"):
        resume(solved.path, dataset=tiny, epochs=3, progress=quiet)


def test_the_command_of_the_error_works_as_it_is_typed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["--limit", "train=60,val=30,test=30", "--size", "16", "--recipe", "baseline", "-m", "mlp", "-q"]
    own = [
        "--set",
        "train.lr=0.02",
        "--set",
        "model.dropout=0.25",
        "--set",
        'augment=[{kind="flip"},{kind="zoom",min=0.7}]',
    ]
    assert command(["train", "toy:shapes?n=200", *small, "--set", "train.epochs=1", *own, "--out", "short"]) == 0
    assert command(["resume", "short", "--epochs", "2", "-q"]) == 4
    lines = capsys.readouterr().err.strip().split("\n")
    fix = lines[-1].partition("fix: ")[2]
    typed = fix if fix.startswith("striate") else lines[-2].strip()
    assert len(lines[-1]) <= 240 and "--weights short" in typed and typed.endswith("--epochs 1")
    assert command([*shlex.split(typed)[1:], "--out", "long", "-q"]) == 0
    info = json.loads((tmp_path / "long" / "run.json").read_text())
    assert info["start"]["text"].endswith("the head is kept: the same classes")
    assert info["model"]["name"] == "mlp" and info["input"]["size_px"] == 16
    before, after = (json.loads((tmp_path / name / "run.json").read_text())["recipe"] for name in ("short", "long"))
    assert after["augment"] == before["augment"] and len(before["augment"]) == 2
    assert (after["train"]["lr"], after["model"]["dropout"]) == (0.02, 0.25)
    assert info["dataset"]["fingerprint"] == RunDir(tmp_path / "short").info()["dataset"]["fingerprint"]


def test_a_split_that_cannot_be_typed_is_not_exchanged_for_another(tmp_path, monkeypatch, capsys, quiet):
    monkeypatch.chdir(tmp_path)
    data = open_dataset("toy:shapes?n=200", limit={"train": 40, "val": 20, "test": 20}, folds=3, fold=1)
    short = named("baseline").changed(["train.epochs=1", "data.size=16", "train.precision=float32"])
    run = train(data, "mlp", short, out=tmp_path / "run", progress=quiet)
    assert command(["resume", "run", "--epochs", "2"]) == 4
    fix = capsys.readouterr().err.strip().partition("fix: ")[2]
    assert fix == "striate resume run --fork --epochs 2"
    assert command([*shlex.split(fix)[1:], "--out", "fork", "-q"]) == 0
    assert RunDir(tmp_path / "fork").splits() == run.splits()
    assert RunDir(tmp_path / "fork").info()["num_epochs"] == 2


def test_only_runs_have_epochs(tmp_path, capsys):
    (tmp_path / "study.json").write_text("{}")
    assert command(["resume", str(tmp_path), "--epochs", "9"]) == 2
    assert "a study keeps its number of epochs" in capsys.readouterr().err
