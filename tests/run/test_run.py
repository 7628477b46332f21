"""What a run promises: the same bits for the same seed, resuming as if never stopped, nothing lost."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from striate.base.errors import DivergedError, Interrupted, ModelError, ResourceError, SettingsError
from striate.base.lock import locked
from striate.base.rundir import RunDir
from striate.base.tensors import read_tensors
from striate.engine.update import Update
from striate.evaluate.predictions import read
from striate.model import zoo
from striate.predict import Predictor
from striate.run.execute import resume, train
from striate.run.recipe import Recipe


def weights_equal(a: RunDir, b: RunDir) -> bool:
    first, second = read_tensors(a.weights), read_tensors(b.weights)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def without_time(history):
    return [{key: value for key, value in row.items() if key not in {"time_s", "images_per_s"}} for row in history]


def stop_at(monkeypatch, step, how=signal.SIGINT):
    """Send a signal to this process during the given step."""
    call = Update.__call__

    def stopping(self, batch, at):
        if at == step:
            os.kill(os.getpid(), how)
        return call(self, batch, at)

    monkeypatch.setattr(Update, "__call__", stopping)


def test_a_run_folder_holds_everything(tiny, recipe, quiet, tmp_path):
    run = train(tiny, "bipyramid", recipe, out=tmp_path / "run", progress=quiet)
    info, scores = run.info(), run.scores()
    assert info["status"] == "finished"
    assert len(run.history()) == info["result"]["epochs"] == 4
    assert run.splits() == {name: [tiny.ids[i] for i in found] for name, found in tiny.splits.items()}
    tables = read(run.predictions, run.info()["task"])
    assert list(tables) == ["val", "test"]
    for split, table in tables.items():
        assert sorted(table.ids) == sorted(run.splits()[split])
        right = (np.asarray(table.truth) == np.asarray(table.values)).mean()
        assert scores[split]["accuracy"] == pytest.approx(right)
        assert np.sum(scores[split]["confusion"]) == len(table.ids)
    assert scores["test"]["accuracy"] > 0.6, "bands are easy to tell apart"
    assert json.loads((run.pictures / "index.json").read_text())
    assert not [path for path in run.path.rglob("*") if path.suffix in {".pkl", ".pt", ".tmp"}]


def test_automatic_settings_are_recorded_as_they_were_used(tiny, quiet, tmp_path):
    automatic = Recipe().changed(["augment=auto", "train.epochs=4", "model.dropout=0.2"])
    run = train(tiny, "bipyramid", automatic, out=tmp_path / "run", progress=quiet)
    info, history = run.info(), run.history()
    used, asked = info["resolved"], info["recipe"]
    assert used["train"]["lr"] == pytest.approx(max(row["lr"] for row in history), rel=0.5)  # the peak of the schedule
    assert used["train"]["batch_size"] == info["batch_size"] and used["train"]["precision"] == info["precision"]["name"]
    assert used["train"]["patience"] == 2  # half of the epochs
    assert used["data"]["size"] == info["input"]["size_px"] and used["augment"] == info["augment"] != []
    assert used["model"]["dropout"] == 0.2 and used["model"]["norm"] == zoo.options("bipyramid")["norm"]
    tables = [group for group in used.values() if isinstance(group, dict)]
    assert not [key for group in tables for key, value in group.items() if value is None]
    given = {key: value for key, value in asked["train"].items() if value is not None and key != "precision"}
    assert {key: used["train"][key] for key in given} == given


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tiny, recipe, quiet, tmp_path):
    one, two, other = (
        train(tiny, "bipyramid", recipe, seed=s, out=tmp_path / n, progress=quiet)
        for s, n in ((3, "a"), (3, "b"), (4, "c"))
    )
    assert weights_equal(one, two)
    assert without_time(one.history()) == without_time(two.history())
    assert not weights_equal(one, other)


def test_the_callers_random_state_is_given_back(tiny, recipe, quiet, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(tiny, "bipyramid", recipe, out=tmp_path / "run", progress=quiet)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("step", [0, 2, 3, 7, 14])
def test_resume_equals_never_having_stopped(tiny, recipe, quiet, tmp_path, monkeypatch, step):
    whole = train(tiny, "bipyramid", recipe, out=tmp_path / "whole", progress=quiet)
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(Interrupted) as caught:
            train(tiny, "bipyramid", recipe, out=tmp_path / "parts", progress=quiet)
    assert caught.value.exit_code == 130
    assert "striate resume" in caught.value.fix
    assert RunDir(tmp_path / "parts").info()["status"] == "interrupted"
    resumed = resume(tmp_path / "parts", dataset=tiny, progress=quiet)
    assert weights_equal(whole, resumed)
    assert without_time(whole.history()) == without_time(resumed.history())
    assert whole.scores() == resumed.scores()
    again = resume(tmp_path / "parts", dataset=tiny, progress=quiet)
    assert weights_equal(whole, again), "resuming a finished run changes nothing"


def test_sigterm_exits_143(tiny, recipe, quiet, tmp_path, monkeypatch):
    stop_at(monkeypatch, 5, signal.SIGTERM)
    with pytest.raises(Interrupted) as caught:
        train(tiny, "bipyramid", recipe, out=tmp_path / "run", progress=quiet)
    assert caught.value.exit_code == 143


def test_resume_after_early_stop_and_twice(tiny, recipe, quiet, tmp_path, monkeypatch):
    recipe = recipe.changed(["train.epochs=12", "train.patience=2", "train.lr=0.2"])
    whole = train(tiny, "bipyramid", recipe, out=tmp_path / "whole", progress=quiet)
    for step in (4, 9):
        with monkeypatch.context() as patch:
            stop_at(patch, step)
            with pytest.raises(Interrupted):
                if step == 4:
                    train(tiny, "bipyramid", recipe, out=tmp_path / "parts", progress=quiet)
                else:
                    resume(tmp_path / "parts", dataset=tiny, progress=quiet)
    resumed = resume(tmp_path / "parts", dataset=tiny, progress=quiet)
    assert weights_equal(whole, resumed)
    assert whole.info()["result"]["stopped"] == resumed.info()["result"]["stopped"]


def test_a_moved_folder_resumes_and_predicts(tiny, recipe, quiet, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 6)
        with pytest.raises(Interrupted):
            train(tiny, "bipyramid", recipe, out=tmp_path / "here", progress=quiet)
    (tmp_path / "here").rename(tmp_path / "there")
    run = resume(tmp_path / "there", dataset=tiny, progress=quiet)
    table = read(run.predictions, run.info()["task"])["test"]
    pictures = [tiny.images.read(tiny.ids.index(one)) for one in table.ids]
    found = Predictor.load(run)(pictures)
    shares = np.array([[one.probabilities[name] for name in ("top", "middle", "bottom")] for one in found])
    np.testing.assert_allclose(shares, table.probabilities, atol=2e-6)


def test_changed_data_or_recipe_is_refused_with_a_table(tiny, recipe, quiet, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 6)
        with pytest.raises(Interrupted):
            train(tiny, "bipyramid", recipe, out=tmp_path / "run", progress=quiet)
    labels = tiny.targets["label"].values.copy()
    labels[:2] = labels[1::-1]
    changed = replace(tiny, targets={"label": replace(tiny.targets["label"], values=labels)})
    with pytest.raises(ModelError, match="dataset changed since the run began"):
        resume(tmp_path / "run", dataset=changed, progress=quiet)
    path = tmp_path / "run" / "run.json"
    path.write_text(path.read_text().replace('"lr": 0.01', '"lr": 0.02'))
    with pytest.raises(ModelError, match="train.lr changed") as caught:
        resume(tmp_path / "run", dataset=tiny, progress=quiet)
    assert any("0.01" in line and "0.02" in line for line in caught.value.details)


def test_two_processes_cannot_share_a_run_folder(tiny, recipe, quiet, tmp_path):
    run = train(tiny, "bipyramid", recipe, out=tmp_path / "run", progress=quiet)
    with locked(run.path), pytest.raises(ResourceError, match=f"in use by pid {os.getpid()}"):
        resume(run.path, dataset=tiny, progress=quiet)


def test_an_existing_folder_is_not_overwritten_but_moved_on_request(tiny, recipe, quiet, tmp_path):
    folder = tmp_path / "run"
    train(tiny, "bipyramid", recipe, out=folder, progress=quiet)
    with pytest.raises(SettingsError, match="not empty"):
        train(tiny, "bipyramid", recipe, out=folder, progress=quiet)
    train(tiny, "bipyramid", recipe, out=folder, overwrite=True, progress=quiet)
    assert (tmp_path / "run.old1" / "run.json").exists()


def test_divergence_keeps_the_last_finite_checkpoint(tiny, recipe, quiet, tmp_path):
    from striate.engine import checkpoint

    with pytest.raises(DivergedError) as caught:
        train(
            tiny, "bipyramid", recipe.changed(["train.lr=1e9", "model.norm=none"]), out=tmp_path / "run", progress=quiet
        )
    assert caught.value.exit_code == 6
    state = checkpoint.load(tmp_path / "run" / "checkpoints")
    assert all(torch.isfinite(tensor).all() for tensor in state.tensors["weights"].values())
    assert RunDir(tmp_path / "run").info()["status"] == "diverged"


@pytest.mark.parametrize("target", ["place", "tags"])
def test_numbers_and_tags_run_through_the_same_engine(tiny, recipe, quiet, tmp_path, target):
    run = train(tiny, "bipyramid", recipe, target=target, out=tmp_path / "run", progress=quiet)
    scores, info = run.scores()["test"], run.info()
    assert scores[info["task"]["monitor"]] is not None
    assert list(read(run.predictions, info["task"])) == ["val", "test"]
    assert Predictor.load(run)([tiny.images.read(0)])


def test_any_module_trains_and_says_so_where_it_cannot_go_on(tiny, recipe, quiet, tmp_path):
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 3))
    run = train(tiny, module, recipe, out=tmp_path / "run", progress=quiet)
    assert run.info()["model"]["parameters"] == 768 * 3 + 3
    with pytest.raises(ModelError, match="module of the user's own"):
        Predictor.load(run)
    assert Predictor.load(run, torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 3)))([tiny.images.read(0)])


def test_balance_weighs_or_samples(tiny, recipe, quiet, tmp_path):
    few = tiny.splits["train"][tiny.targets["label"].values[tiny.splits["train"]] > 0]
    rare = tiny.splits["train"][tiny.targets["label"].values[tiny.splits["train"]] == 0][:4]
    skewed = tiny.with_splits({**tiny.splits, "train": np.sort(np.concatenate([few, rare]))})
    for name in ("weights", "sampling"):
        run = train(skewed, "bipyramid", recipe.changed([f"data.balance={name}"]), out=tmp_path / name, progress=quiet)
        assert run.info()["recipe"]["data"]["balance"] == name
    assert RunDir(tmp_path / "weights").info()["task"]["class_weights"][0] > 2
