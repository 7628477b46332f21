"""Rows that are frozen for some epochs, then train: what moves when, at which rate, and what is refused."""

import json
import math

import pytest
import torch

from striate.base.errors import SettingsError
from striate.base.tensors import read_tensors
from striate.run.execute import train
from striate.run.recipe import Recipe, named
from striate.run.settings import TrainSettings
from striate.transfer.stages import stages

TWO = ("train.frozen=body", "train.frozen_epochs=2", "train.ema=0", "augment=none")  # in the older keys


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
        (["train.frozen_epochs=4"], "the stages before the last take 4 epochs of 4: none is left"),
        (["train.ema=0", "train.swa=0.75"], "networks of two stages in it"),
        (["train.then_frozen=conv9"], "no row 'conv9': train.stages.1.frozen"),
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
    (one,) = stages(TrainSettings.parse({"stages": [{"frozen": "stem"}], "optimiser": "sgd"}), num_epochs=7)
    assert (one.start, one.end, one.frozen) == (0, 7, "stem")


OLD_AND_NEW = [
    ({"frozen": "", "frozen_epochs": 0, "then_frozen": "", "then_lr": 0.0}, []),
    ({"frozen": "stem"}, [{"frozen": "stem"}]),
    ({"frozen": "body", "frozen_epochs": 4}, [{"epochs": 4, "frozen": "body"}, {"frozen": ""}]),
    (
        {"frozen": "body", "frozen_epochs": 4, "then_frozen": "stem", "then_lr": 0.1},
        [{"epochs": 4, "frozen": "body"}, {"frozen": "stem", "lr": 0.1}],
    ),
]


@pytest.mark.parametrize(("old", "new"), OLD_AND_NEW)
def test_older_keys_are_read_as_stages_and_written_as_these(old, new, tmp_path):
    expected = TrainSettings.parse({"stages": new})
    assert TrainSettings.parse(old) == expected
    assert expected.model_dump(mode="json")["stages"] == new
    text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in old.items())
    (tmp_path / "old.toml").write_text(f"[train]\n{text}\n")
    assert named(str(tmp_path / "old.toml")).train.stages == expected.stages
    changes = [f"train.{key}={json.dumps(value)}" for key, value in old.items()]
    assert named("baseline").changed(changes).train.stages == expected.stages
    run_json = named("baseline").model_dump(mode="json")
    del run_json["train"]["stages"]
    run_json["train"] |= old
    assert Recipe.parse(run_json).train.stages == expected.stages


def test_stages_are_tables_of_a_file_and_a_list_of_set(tmp_path):
    text = '[[train.stages]]\nepochs = 4\nfrozen = "body"\n[[train.stages]]\nepochs = 2\nfrozen = "stem"\n'
    (tmp_path / "new.toml").write_text(f"{text}[[train.stages]]\nlr = 2e-4\n")
    found = named(str(tmp_path / "new.toml"))
    listed = 'train.stages=[{epochs=4, frozen="body"}, {epochs=2, frozen="stem"}, {lr=2e-4}]'
    assert found.train == named("baseline").changed([listed]).train
    rows = [(one.start, one.end, one.frozen, one.lr) for one in stages(found.train, 9)]
    assert rows == [(0, 4, "body", 0.003), (4, 6, "stem", 0.003), (6, 9, "", 2e-4)]
    assert Recipe.parse(found.model_dump(mode="json")) == found


def test_older_keys_change_what_a_named_recipe_lists():
    found = named("frozen").changed(["train.frozen_epochs=4", "train.then_lr=2e-4"]).train
    assert found.model_dump(mode="json")["stages"] == [{"epochs": 4, "frozen": "body"}, {"frozen": "", "lr": 2e-4}]
    assert named("frozen").changed(["train.frozen="]).train.stages == ()
    assert named("frozen").changed(["train.stages=[]"]).train.stages == ()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"frozen": "body"}, {}], "before the last one has no epochs"),
        ([{"epochs": 4, "frozen": "body"}, {"epochs": 4}], "the last stage lasts until train.epochs"),
        ([{"epochs": 0}, {}], "train.stages.0.epochs"),
        ([{"epochs": 4, "frosen": "body"}, {}], "did you mean frozen"),
        (3, "train"),
    ],
)
def test_lists_of_stages_that_cannot_be_are_refused(rows, says):
    with pytest.raises(SettingsError) as caught:
        Recipe.parse({"train": {"stages": rows}})
    assert says in str(caught.value)


def test_older_keys_beside_three_stages_are_refused():
    rows = [{"epochs": 1}, {"epochs": 1}, {}]
    with pytest.raises(SettingsError, match="write train.stages"):
        TrainSettings.parse({"stages": rows, "frozen": "body"})


def test_three_stages_train_what_they_say(trained, base):
    listed = 'train.stages=[{epochs=1, frozen="body"}, {epochs=2, frozen="norm1", lr=2e-12}, {lr=0.01}]'
    run = trained("run", listed, "train.lr=1e-12", "train.ema=0", "augment=none", "train.schedule=constant")
    assert [row["lr"] for row in run.history()] == [1e-12, 2e-12, 2e-12, 0.01]
    assert "conv1" in {name.split(".")[1] for name in moved(base, run)}
