"""Every setting of training: a run that was stopped and resumed has the bits of one that was not."""

import os
import signal

import numpy as np
import pytest
import torch

from striate.base.errors import Interrupted, SettingsError
from striate.base.progress import Progress
from striate.base.tensors import read_tensors
from striate.engine.update import Update
from striate.model.blueprint import Blueprint, Row
from striate.run.execute import resume, train
from striate.run.network import build_network
from striate.run.prepare import prepare
from striate.run.recipe import named
from striate.run.settings import TrainSettings

EACH = {
    "penalties and noise": ["train.l1=1e-4", "train.l2=1e-4", "train.weight_noise=0.1", "train.label_noise=0.2"],
    "sam": ["train.sam=0.05", "train.clip=1.0", "train.precision=bf16"],
    "swa": ["train.swa=0.5", "train.ema=0", "train.swa_lr=0.005", "train.sam=0.02"],
    "swa, annealed": ["train.swa=0.75", "train.ema=0", "train.record_gradients=true"],
    "muon": ["train.optimiser=muon", "train.norm_bias_scale=4", "train.clip=1.0", "train.precision=bf16"],
    "rmsprop": ["train.optimiser=rmsprop", "train.lr=1e-3"],
    "lion": ["train.optimiser=lion", "train.lr=1e-3", "train.depth_decay=0.5"],
    "sgd": ["train.optimiser=sgd", "train.freeze_norm=true"],
    "weight normalisation": ["model.norm=weight", "train.weight_decay=0.01"],
    "two stages": ["train.frozen=norm1", "train.frozen_epochs=2", "train.then_lr=2e-3", "train.then_frozen=conv1"],
    "swa in the second stage": ["train.frozen=norm1", "train.frozen_epochs=2", "train.swa=0.5", "train.ema=0"],
    "three stages": ['train.stages=[{epochs=1, frozen="norm1"}, {epochs=1, frozen="conv1", lr=2e-3}, {lr=1e-3}]'],
    "frozen": ["train.frozen=norm1", "train.record_gradients=true"],
}


def weights(run):
    return read_tensors(run.weights)


def equal(a, b):
    first, second = weights(a), weights(b)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def history(run):
    return [
        {key: value for key, value in row.items() if key not in {"time_s", "images_per_s"}} for row in run.history()
    ]


def stopped_and_resumed(tiny, model, recipe, quiet, folder, monkeypatch, steps):
    call = Update.__call__

    def stop_in(step):
        def stopping(self, batch, at):
            if at == step:
                os.kill(os.getpid(), signal.SIGINT)
            return call(self, batch, at)

        return stopping

    for step in steps:
        with monkeypatch.context() as patch:
            patch.setattr(Update, "__call__", stop_in(step))
            with pytest.raises(Interrupted):
                if folder.exists():
                    resume(folder, dataset=tiny, progress=quiet)
                else:
                    train(tiny, model, recipe, out=folder, progress=quiet)
    return resume(folder, dataset=tiny, progress=quiet)


@pytest.mark.parametrize("name", EACH)
def test_resume_equals_never_having_stopped(tiny, recipe, quiet, tmp_path, monkeypatch, name):
    recipe = recipe.changed(EACH[name])
    whole = train(tiny, "bipyramid", recipe, out=tmp_path / "whole", progress=quiet)
    resumed = stopped_and_resumed(tiny, "bipyramid", recipe, quiet, tmp_path / "parts", monkeypatch, (5, 7, 11, 14))
    assert equal(whole, resumed)
    assert history(whole) == history(resumed)
    plain = train(tiny, "bipyramid", recipe, seed=1, out=tmp_path / "other", progress=quiet)
    assert not equal(whole, plain)


SIDED = Blueprint(
    "sided",
    (
        Row("conv", 8, options={"norm": "batch"}, name="one"),
        Row("conv", 8, stride=2, name="two"),
        Row("global_pool", inputs=("one",), name="side_mean"),
        Row("linear", options={"activation": "none"}, name="side"),
        Row("global_pool", inputs=("two",), name="mean"),
        Row("linear", options={"activation": "none"}, name="outputs"),
    ),
    defaults={"activation": "relu"},
)


def test_auxiliary_heads_train_by_default_and_resume(tiny, recipe, quiet, tmp_path, monkeypatch):
    whole = train(tiny, SIDED, recipe, out=tmp_path / "whole", progress=quiet)
    resumed = stopped_and_resumed(tiny, SIDED, recipe, quiet, tmp_path / "parts", monkeypatch, (6,))
    assert equal(whole, resumed)
    without = train(tiny, SIDED, recipe.changed(["train.aux_weight=0"]), out=tmp_path / "without", progress=quiet)
    start = train(
        tiny, SIDED, recipe.changed(["train.aux_weight=0", "train.epochs=1"]), out=tmp_path / "one", progress=quiet
    )
    side = next(name for name in weights(whole) if name.startswith("rows.side."))
    assert torch.equal(weights(without)[side], weights(start)[side])
    assert not torch.equal(weights(whole)[side], weights(without)[side])


def test_recording_changes_nothing_but_the_history(tiny, recipe, quiet, tmp_path):
    plain = train(tiny, "bipyramid", recipe, out=tmp_path / "plain", progress=quiet)
    told = train(
        tiny, "bipyramid", recipe.changed(["train.record_gradients=true"]), out=tmp_path / "told", progress=quiet
    )
    assert equal(plain, told)
    rows = [row["rows"] for row in told.history()]
    assert [sorted(one) for one in rows] == [sorted(rows[0])] * 4
    assert rows[0]["conv1"]["gradient_norm"] > 0
    assert "rows" not in plain.history()[0]


def test_the_mean_is_taken_over_the_last_epochs_and_validated(tiny, recipe, quiet, tmp_path):
    recipe = recipe.changed(["train.ema=0", "train.swa=0.5", "train.patience=4"])
    alone = recipe.changed(["train.swa=0"])
    mean, plain = (
        train(tiny, "bipyramid", one, out=tmp_path / name, progress=quiet)
        for one, name in ((recipe, "mean"), (alone, "plain"))
    )
    ours, theirs = history(mean), history(plain)
    assert [row["train"] for row in ours] == [row["train"] for row in theirs], "the network itself trains as before"
    assert [row["val"] for row in ours[:2]] == [row["val"] for row in theirs[:2]]
    assert ours[3]["val"] != theirs[3]["val"]


def test_wrong_labels_are_learnt_from_but_never_scored_on(tiny, recipe, quiet, tmp_path):
    run = train(tiny, "bipyramid", recipe.changed(["train.label_noise=0.9"]), out=tmp_path / "run", progress=quiet)
    right = tiny.targets["label"].values[tiny.splits["train"]]
    assert np.bincount(right).tolist() == np.sum(run.scores()["train"]["confusion"], 1).tolist()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["train.ema=0.9", "train.swa=0.2"], "both ema and swa"),
        (["train.swa_lr=0.1"], "swa_lr is the rate"),
        (["train.optimiser=muno"], "muon"),
        (["train.sma=0.1"], "sam|swa"),
        (["train.depth_decay=0"], "depth_decay"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(change, says):
    with pytest.raises(SettingsError, match=says):
        named("baseline").changed(change)


def test_an_operation_by_its_name_alone_is_a_list_of_one():
    (op,) = named("baseline").changed(["augment=trivialaugment"]).augment
    assert op.kind == "trivialaugment"
    assert [one.kind for one in named("baseline").changed(["augment=light"]).augment] == ["flip", "shift"]
    assert named("baseline").changed(["augment=auto"]).augment is None
    assert named("baseline").changed(["augment=none"]).augment == ()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("strongg", "unknown augmentation 'strongg' -- fix: did you mean 'strong'"),
        ("flipp", "did you mean 'flip'"),
        ("xyz", "choose one of none, light, medium, strong, objects, flip"),
        ("['flip','cutmx']", "unknown operation 'cutmx' -- fix: did you mean 'cutmix'"),
        ("[3]", "augment.0"),
        ("3", "valid tuple"),
    ],
)
def test_an_augmentation_that_is_not_there_names_the_nearest(value, says):
    with pytest.raises(SettingsError, match=says):
        named("baseline").changed([f"augment={value}"])


@pytest.mark.parametrize("balance", ["weights", "sampling"])
def test_numbers_are_not_balanced(tiny, recipe, quiet, tmp_path, balance):
    recipe = recipe.changed([f"data.balance={balance}"])
    with pytest.raises(SettingsError, match="numbers have no classes to balance") as caught:
        train(tiny, "bipyramid", recipe, target="place", out=tmp_path / "run", progress=quiet)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "run").exists()
    tags = prepare(tiny, recipe, target="tags", device=torch.device("cpu"), progress=quiet)
    assert tags.recipe.data.balance == balance


def test_every_setting_is_described():
    text = TrainSettings.__doc__ or ""
    obvious = {"batch_size", "optimiser", "lr", "schedule", "warmup", "label_smoothing", "precision"}
    assert [name for name in TrainSettings.model_fields if name not in obvious and f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    ("model", "change", "row", "value"),
    [
        ("bipyramid", "model.spatial_dropout=0.25", "spatial_dropout1", {"rate": 0.25, "spatial": True}),
        ("resnet20", "model.drop_path=0.3", "stage3", {"drop_path": (0.225, 0.2625, 0.3)}),
    ],
)
def test_an_option_of_the_recipe_reaches_the_rows(tiny, quiet, model, change, row, value):
    recipe = named("baseline").changed([change])
    prepared = prepare(tiny, recipe, target=None, device=torch.device("cpu"), progress=quiet)
    rows = {one.name: one for one in build_network(model, prepared, 0).blueprint.rows}
    found = rows[row].each if rows[row].each else rows[row].options
    for name, wanted in value.items():
        assert found[name] == pytest.approx(wanted)


def test_an_option_that_the_network_does_not_have_is_left_out_and_said(tiny, capsys):
    recipe = named("baseline").changed(["model.drop_path=0.3"])
    loud = Progress("plain")
    prepared = prepare(tiny, recipe, target=None, device=torch.device("cpu"), progress=loud)
    build_network("bipyramid", prepared, 0, loud)
    assert "bipyramid has no option drop_path: left out" in "".join(capsys.readouterr())
