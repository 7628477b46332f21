"""Trained weights together with what else a recipe can ask for: mixing, averages, wrong labels, other heads."""

import numpy as np
import pytest
import torch
from torch import nn

from striate.base import device as devices
from striate.base.errors import SettingsError
from striate.base.progress import Progress
from striate.base.tensors import read_tensors, write_tensors
from striate.model import zoo
from striate.run.execute import train
from striate.run.network import start_network
from striate.run.prepare import prepare
from striate.run.recipe import named
from striate.transfer.features import cut, take
from striate.transfer.training import fit_linear_probe


@pytest.fixture
def base(tiny, recipe, quiet, tmp_path):
    """A run to start from."""
    return train(tiny, "bipyramid", recipe.changed(["train.epochs=2"]), out=tmp_path / "base", progress=quiet)


@pytest.fixture
def squeezed(tmp_path):
    """A weights file of a network that ends in a convolution and a mean."""
    network = zoo.build("squeezenet1_1", classes=7, size=32, width=0.25)
    write_tensors(tmp_path / "squeezed.safetensors", network.state_dict())
    changes = ["train.precision=float32", "data.size=32", "model.width=0.25", "train.batch_size=32"]
    return [*changes, f"transfer.weights={tmp_path / 'squeezed.safetensors'}"]


def settings(name, base, *changes):
    fast = ["train.precision=float32", f"transfer.weights={base.path}"]
    return named(name).changed([*fast, *([] if name == "features" else ["train.epochs=2"]), *changes])


def ready(tiny, recipe, quiet):
    prepared = prepare(tiny, recipe, target=None, device=devices.pick("cpu"), progress=quiet)
    return prepared, start_network(prepared.start.blueprint, prepared, 0)


def statistics(run):
    return {name: tensor for name, tensor in read_tensors(run.weights).items() if "running" in name}


@pytest.mark.parametrize("mixing", ["mixup", "cutmix"])
def test_a_mixed_view_has_shares_and_the_plain_one_the_same_labels_as_shares(tiny, base, quiet, mixing):
    prepared, network = ready(tiny, settings("features", base, f"augment=['flip','{mixing}']"), quiet)
    found = take(cut(network), prepared, "train", views=2, progress=quiet)
    num, labels = len(found.index), torch.from_numpy(tiny.targets["label"].values[found.index])
    assert found.truth.shape == (2 * num, 3)
    assert torch.equal(found.truth[:num], nn.functional.one_hot(labels, 3).float())
    torch.testing.assert_close(found.truth.sum(1), torch.ones(2 * num))
    mixed = found.truth[num:].max(1).values < 0.999
    assert mixed.any()
    again = take(cut(network), prepared, "train", views=2, progress=quiet)
    assert torch.equal(found.truth, again.truth)


def test_who_is_mixed_with_whom_is_part_of_the_key(tiny, base, quiet):
    found = []
    for size in (7, 80):  # parts of an evaluation are 64 images or the batch, whichever is more
        changes = ["augment=['mixup']", f"train.batch_size={size}"]
        prepared, network = ready(
            tiny.with_splits({**tiny.splits, "train": np.arange(78)}), settings("features", base, *changes), quiet
        )
        found.append(take(cut(network), prepared, "train", views=2, progress=quiet).truth)
    assert not torch.equal(*found)


@pytest.mark.parametrize(("name", "target"), [("features", "label"), ("finetune", "label"), ("features", "tags")])
def test_mixing_with_a_solved_head(tiny, recipe, quiet, tmp_path, name, target):
    base = train(
        tiny, "bipyramid", recipe.changed(["train.epochs=2"]), target=target, out=tmp_path / "b", progress=quiet
    )
    mixed = settings(name, base, "augment=['flip','mixup']")
    run = train(tiny, "bipyramid", mixed, target=target, out=tmp_path / "run", progress=quiet)
    assert run.info()["status"] == "finished"
    assert 0 <= run.history()[0]["train"][run.info()["task"]["monitor"]] <= 1


@pytest.mark.parametrize("name", ["finetune", "frozen"])
def test_an_average_over_epochs_keeps_the_statistics_that_training_keeps(tiny, base, quiet, tmp_path, name):
    run = train(tiny, "bipyramid", settings(name, base, "train.swa=1"), out=tmp_path / "run", progress=quiet)
    before, after = statistics(base), statistics(run)
    assert before
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_network_without_a_linear_last_layer_is_finetuned_with_a_fresh_head(tiny, squeezed, tmp_path, capsys):
    recipe = named("finetune").changed([*squeezed, "train.epochs=1"])
    run = train(tiny, "squeezenet1_1", recipe, out=tmp_path / "run", progress=Progress("lines"))
    (note,) = run.info()["notes"]
    assert note == "squeezenet1_1 does not end in a linear layer: its head starts fresh, it is not solved"
    assert note in capsys.readouterr().err
    assert run.info()["status"] == "finished"
    before, after = read_tensors(tmp_path / "squeezed.safetensors"), read_tensors(run.weights)
    assert not torch.equal(next(iter(before.values())), after[next(iter(before))])


def test_features_of_it_are_refused_before_a_folder(tiny, squeezed, quiet, tmp_path):
    with pytest.raises(SettingsError, match="does not end in a linear layer"):
        train(tiny, "squeezenet1_1", named("features").changed(squeezed), out=tmp_path / "run", progress=quiet)
    assert not (tmp_path / "run").exists()


def test_it_takes_no_hidden_layer_before_its_head(tiny, squeezed, quiet, tmp_path):
    recipe = named("finetune").changed([*squeezed, "transfer.hidden=8"])
    with pytest.raises(SettingsError, match="does not end in a linear layer: transfer.hidden"):
        train(tiny, "squeezenet1_1", recipe, out=tmp_path / "run", progress=quiet)


@pytest.mark.parametrize("name", ["features", "frozen", "finetune"])
def test_a_recipe_for_trained_weights_is_refused_on_random_ones(tiny, quiet, tmp_path, name):
    for model in ("resnet20", zoo.blueprint("resnet20")):
        with pytest.raises(SettingsError, match="weights of resnet20 would be random") as caught:
            train(tiny, model, name, out=tmp_path / "run", progress=quiet)
        assert caught.value.exit_code == 2
        assert "--weights imagenet" in caught.value.fix
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["frozen", "finetune"])
def test_a_module_of_the_users_own_may_have_any_weights(tiny, quiet, tmp_path, name):
    body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Flatten())
    module = nn.Sequential(body, nn.Linear(196, 3))
    before = body[0].weight.detach().clone()
    recipe = named(name).changed(["train.epochs=1", "train.precision=float32"])
    run = train(tiny, module, recipe, out=tmp_path / "run", progress=quiet)
    assert torch.equal(before, body[0].weight) == (name == "frozen")
    assert bool(run.info()["notes"]) == (name == "finetune")


def test_features_learn_the_wrong_labels_and_are_scored_on_the_right_ones(tiny, base, quiet, tmp_path):
    right, wrong, other = (
        train(
            tiny,
            "bipyramid",
            settings("features", base, f"train.label_noise={share}"),
            seed=seed,
            out=tmp_path / name,
            progress=quiet,
        )
        for name, share, seed in (("right", 0, 0), ("wrong", 0.9, 0), ("other", 0.9, 1))
    )
    assert right.scores()["train"]["accuracy"] > 0.9 > 0.5 > wrong.scores()["train"]["accuracy"]
    assert wrong.scores() != other.scores(), "each seed has wrong labels of its own"
    truth = np.bincount(tiny.targets["label"].values[tiny.splits["train"]]).tolist()
    assert np.sum(wrong.scores()["train"]["confusion"], 1).tolist() == truth


def test_the_head_that_finetuning_begins_with_is_solved_on_the_wrong_labels(tiny, base, quiet):
    found = []
    for share in (0, 0.9):
        prepared, network = ready(tiny, settings("finetune", base, f"train.label_noise={share}"), quiet)
        fit_linear_probe(prepared, network, seed=0, precision="float32", progress=quiet)
        found.append(network.rows[network.blueprint.names[-1]].get_parameter("linear.weight").detach())
    assert not torch.allclose(*found)
