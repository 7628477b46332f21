"""Rows that are frozen for some epochs, then train: what moves when, at which rate, and what is refused."""

import math

import pytest
import torch

from striate.base.errors import SettingsError
from striate.base.tensors import read_tensors
from striate.run.execute import train
from striate.run.recipe import TrainSettings
from striate.transfer.stages import stages

TWO = ("train.frozen=body", "train.frozen_epochs=2", "train.ema=0", "augment=none")


def moved(before, after):
    first, second = read_tensors(before.weights), read_tensors(after.weights)
    return {name for name in first if not torch.equal(first[name], second[name])}


def numbers(run, count):
    return [{key: row[key] for key in ("lr", "train", "val", "step")} for row in run.history()[:count]]


@pytest.fixture
def base(tiny, recipe, quiet, tmp_path):
    """A network to start from, of one epoch."""
    return train(tiny, "bipyramid", recipe.changed(["train.epochs=1"]), out=tmp_path / "base", progress=quiet)


@pytest.fixture
def trained(tiny, recipe, base, quiet, tmp_path):
    """Train from the base's weights with some changes."""

    def run(name, *changes):
        changed = recipe.changed([f"transfer.weights={base.path}", *changes])
        return train(tiny, "bipyramid", changed, out=tmp_path / name, progress=quiet)

    return run


def test_the_first_stage_is_a_run_with_a_frozen_body_and_the_second_moves_it(trained, base):
    both, frozen = trained("both", *TWO), trained("frozen", "train.epochs=2", *TWO[:1], *TWO[2:])
    assert numbers(both, 2) == numbers(frozen, 2)
    assert {name.split(".")[1] for name in moved(base, frozen)} == {"outputs"}
    last = both.history()[-1]
    assert last["epoch"] == 4
    assert last["train"] != both.history()[1]["train"]


def test_both_stages_run_through_the_whole_schedule(trained):
    run = trained("run", *TWO, "train.schedule=linear", "train.then_lr=0.002")
    per_epoch = run.history()[0]["step"]
    for row in run.history():
        peak, done = (0.01, 0) if row["epoch"] <= 2 else (0.002, 2 * per_epoch)
        expected = peak * (1 - (row["step"] - 1 - done) / (2 * per_epoch))
        assert math.isclose(row["lr"], expected, rel_tol=1e-9)


def test_rows_can_stay_frozen_in_the_second_stage(trained, base):
    run = trained("run", *TWO, "train.then_frozen=norm1", "train.lr=1e-12", "train.then_lr=0.01")
    rows = {name.split(".")[1] for name in moved(base, run)}
    assert "conv1" not in rows
    assert "norm1" not in rows
    assert "conv2" in rows


def test_rows_that_are_frozen_later_train_before(trained):
    """Whatever a look at the settings has frozen, the first stage trains what it says."""
    early = ("train.frozen_epochs=2", "train.then_frozen=norm2", "train.ema=0", "augment=none")
    both = trained("both", "train.frozen=norm1", *early)
    alone = trained("alone", "train.frozen=norm1", "train.epochs=2", *early[2:])
    assert numbers(both, 2) == numbers(alone, 2)


def test_patience_counts_from_the_second_stage_on(trained):
    changes = ("train.epochs=6", "train.frozen_epochs=4", "train.lr=1e-12", "train.patience=2")
    run = trained("run", *TWO[:1], *changes, *TWO[2:])
    assert [row["epoch"] for row in run.history()] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["train.frozen_epochs=4"], "frozen for 4 epochs of 4: none is left"),
        (["train.ema=0", "train.swa=0.75"], "frozen rows in it"),
        (["train.then_frozen=conv9"], "no row 'conv9': train.then_frozen"),
    ],
)
def test_stages_that_cannot_be_are_refused_before_a_folder(tiny, recipe, base, quiet, tmp_path, changes, says):
    changed = recipe.changed([f"transfer.weights={base.path}", *TWO[:2], *changes])
    with pytest.raises(SettingsError) as caught:
        train(tiny, "bipyramid", changed, out=tmp_path / "x", progress=quiet)
    assert says in str(caught.value)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"frozen_epochs": 2}, "without frozen rows"),
        ({"then_lr": 0.1}, "after frozen_epochs"),
        ({"frozen": "body", "then_frozen": "a"}, "after frozen_epochs"),
    ],
)
def test_settings_of_stages_need_each_other(changes, says):
    with pytest.raises(SettingsError, match=says):
        TrainSettings.parse(changes)


def test_without_them_there_is_one_stage():
    (one,) = stages(TrainSettings(frozen="stem", optimiser="sgd"), num_epochs=7)
    assert (one.start, one.end, one.frozen) == (0, 7, "stem")
