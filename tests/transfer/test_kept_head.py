"""The last layer of a run that others start from: kept for the same classes, new for others, and said."""

from dataclasses import replace

import pytest
import torch

from striate.base import device as devices
from striate.base.progress import Progress
from striate.base.tensors import read_tensors, write_tensors
from striate.run.execute import train
from striate.run.network import begin_network, model_of
from striate.run.prepare import prepare

HEAD = "rows.outputs.linear.weight"


@pytest.fixture
def base(tiny, recipe, quiet, tmp_path):
    return train(tiny, "bipyramid", recipe.changed(["train.epochs=1"]), out=tmp_path / "base", progress=quiet)


def begun(dataset, recipe, source, target="label", *changes):
    """The network that a training from the source begins with, and what is said of its weights."""
    settings = recipe.changed([f"transfer.weights={source}", "data.size=16", *changes])
    place = devices.pick("cpu")
    prepared = prepare(dataset, settings, target=target, device=place, progress=Progress("quiet"), model="bipyramid")
    return begin_network(model_of("bipyramid", prepared), prepared, 7)


def renamed(dataset, *names):
    target = replace(dataset.targets["label"], names=names)
    return replace(dataset, targets={**dataset.targets, "label": target})


def test_the_same_classes_keep_the_head(tiny, recipe, base):
    for source in (base.path, base.weights):
        network, loaded = begun(tiny, recipe, source)
        assert torch.equal(network.state_dict()[HEAD], read_tensors(base.weights)[HEAD])
        assert loaded.summary.endswith("the head is kept: the same classes") and not loaded.missing


@pytest.mark.parametrize("names", [("cat", "dog", "fox"), ("middle", "top", "bottom"), ("Top", "middle", "bottom")])
def test_other_classes_of_the_same_number_get_a_new_head(tiny, recipe, base, names):
    for source in (base.path, base.weights):
        network, loaded = begun(renamed(tiny, *names), recipe, source)
        ours, theirs = network.state_dict(), read_tensors(base.weights)
        differing = {name for name in ours if not torch.equal(ours[name], theirs[name])}
        assert HEAD in differing and all(name.startswith("rows.outputs.") for name in differing)
        expected = f"the head is new: the run's classes are top, middle, bottom, those here {', '.join(names)}"
        assert loaded.summary.endswith(expected) and HEAD in loaded.missing and loaded.heads is None


def test_tags_are_not_classes(tiny, recipe, quiet, tmp_path):
    short = recipe.changed(["train.epochs=1"])
    base = train(tiny, "bipyramid", short, target="tags", out=tmp_path / "base", progress=quiet)
    values = tiny.targets["label"].values % 2
    pair = replace(
        tiny, targets={**tiny.targets, "label": replace(tiny.targets["label"], values=values, names=("high", "low"))}
    )
    assert "the run's tags are high, low" in begun(pair, recipe, base.path)[1].summary
    assert "kept: the same tags" in begun(pair, recipe, base.path, "tags")[1].summary


def test_of_a_plain_file_it_is_said_what_is_not_known(tiny, recipe, base, tmp_path):
    write_tensors(tmp_path / "plain.safetensors", read_tensors(base.weights))
    network, loaded = begun(renamed(tiny, "cat", "dog", "fox"), recipe, tmp_path / "plain.safetensors")
    assert torch.equal(network.state_dict()[HEAD], read_tensors(base.weights)[HEAD])
    assert loaded.summary.endswith("the head is kept: as many outputs as here, for what the file does not say")


def test_a_hidden_layer_means_a_new_head_and_travels_with_its_run(tiny, recipe, base, quiet, tmp_path):
    network, loaded = begun(tiny, recipe, base.path, "label", "transfer.hidden=5")
    assert loaded.summary.endswith("the head is new: a hidden layer feeds it") and HEAD in loaded.missing
    hidden = recipe.changed([f"transfer.weights={base.path}", "transfer.hidden=5", "train.epochs=1"])
    second = train(tiny, "bipyramid", hidden, out=tmp_path / "hidden", progress=quiet)
    network, loaded = begun(tiny, recipe, second.path, "label", "transfer.hidden=5")
    theirs = read_tensors(second.weights)
    assert all(torch.equal(value, theirs[name]) for name, value in network.state_dict().items())
    assert "the same classes" in loaded.summary
