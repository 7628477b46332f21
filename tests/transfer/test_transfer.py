"""Starting from trained weights: features of a frozen body, a linear probe, fine-tuning."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from striate.base import device as devices
from striate.base.errors import ModelError, SettingsError
from striate.base.tensors import read_tensors, write_tensors
from striate.predict import Predictor
from striate.report import report_run
from striate.run.execute import train
from striate.run.network import start_network
from striate.run.prepare import prepare
from striate.run.recipe import named
from striate.task.classify import Classify
from striate.transfer.features import Features, cut, take
from striate.transfer.linear_probe import solve


@pytest.fixture
def base(tiny, recipe, quiet, tmp_path):
    """A run to start from."""
    return train(tiny, "bipyramid", recipe, out=tmp_path / "base", progress=quiet)


def settings(name, base, *changes):
    fast = ["train.precision=float32", f"transfer.weights={base.path}"]
    return named(name).changed([*fast, *([] if name == "features" else ["train.epochs=2"]), *changes])


@pytest.mark.parametrize("strength", [1e-1, 1e-2])
def test_a_solved_head_is_logistic_regression(strength):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 12, generator=generator) * torch.linspace(0.1, 5, 12) + 2
    x[:, 3] = 7.0  # says nothing, and must not blow up
    y = (x @ torch.randn(12, 3, generator=generator) + 3 * torch.randn(300, 3, generator=generator)).argmax(1)
    head = nn.Sequential(nn.Linear(12, 3))
    (found,) = solve(head, Classify("label", ("a", "b", "c")), Features(x, y, np.arange(300), "label"), (strength,))
    head.load_state_dict(found.state)
    scaled = (x - x.mean(0)) / x.std(0, correction=0).clamp_min(1e-6)
    other = LogisticRegression(C=1 / (strength * 300), tol=1e-9, max_iter=5000).fit(scaled.numpy(), y.numpy())
    ours = head(x).softmax(1).detach().numpy()
    np.testing.assert_allclose(ours, other.predict_proba(scaled.numpy()), atol=2e-3)


def test_features_in_the_cache_equal_live_ones(tiny, base, quiet):
    prepared = prepare(tiny, settings("features", base), target=None, device=devices.pick("cpu"), progress=quiet)
    network = start_network(prepared.start.blueprint, prepared, 0)
    body = cut(network)
    first = take(body, prepared, "train", views=3, progress=quiet)
    again = take(body, prepared, "train", views=3, progress=quiet)
    torch.testing.assert_close(first.values, again.values, rtol=0, atol=0)
    network.eval()
    with torch.no_grad():
        live = torch.cat(
            [network.features(b.images, at=body.cut)[body.cut] for b in prepared.loader("train").batches(0)]
        )
        loader = prepared.loader("train", pipeline=prepared.pipeline)
        second = torch.cat([network.features(b.images, at=body.cut)[body.cut] for b in loader.batches(1)])
    count = len(first.index)
    torch.testing.assert_close(first.values[:count], live, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(first.values[count : 2 * count], second, rtol=2e-3, atol=2e-3)
    assert not torch.equal(first.values[:count], first.values[count : 2 * count])


def test_other_weights_or_another_augmentation_are_other_features(tiny, base, quiet):
    prepared = prepare(tiny, settings("features", base), target=None, device=devices.pick("cpu"), progress=quiet)
    network = start_network(prepared.start.blueprint, prepared, 0)
    before = cut(network).key()
    with torch.no_grad():
        next(network.rows[network.blueprint.names[-1]].parameters()).add_(1)
    assert cut(network).key() == before  # the head does not count
    with torch.no_grad():
        next(network.parameters()).add_(1e-3)
    assert cut(network).key() != before
    assert cut(network, "bf16").key() != cut(network).key()


def test_a_features_run_trains_the_head_alone_and_predicts_like_its_table(tiny, base, quiet, tmp_path):
    run = train(tiny, "bipyramid", settings("features", base), out=tmp_path / "features", progress=quiet)
    before, after = read_tensors(base.weights), read_tensors(run.weights)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("rows.outputs.") for name in changed)
    history = run.history()
    best = max(history, key=lambda row: (row["val"]["accuracy"], -row["val"]["loss"]))
    assert run.info()["result"]["best_epoch"] == best["epoch"]
    assert run.info()["result"]["overfit_epoch"] is None
    page = report_run(run).read_text()
    assert "a linear probe (L-BFGS) on features of trained weights" in page
    assert "strengths of weight decay" in page
    assert run.info()["input"]["mean"] == base.info()["input"]["mean"]
    images = [tiny.images.read(int(index)) for index in tiny.splits["val"]]
    found = Predictor.load(run)(images)
    truth = [tiny.classes[label] for label in tiny.target().values[tiny.splits["val"]]]
    hits = np.mean([one.names[0] == name for one, name in zip(found, truth, strict=True)])
    assert hits == pytest.approx(run.scores()["val"]["accuracy"])


def test_a_hidden_layer_in_the_head(tiny, base, quiet, tmp_path):
    recipe = settings("features", base, "transfer.hidden=7")
    run = train(tiny, "bipyramid", recipe, out=tmp_path / "hidden", progress=quiet)
    state = read_tensors(run.weights)
    assert state["rows.head_hidden.linear.weight"].shape[0] == 7
    assert state["rows.outputs.linear.weight"].shape[1] == 7
    body = read_tensors(base.weights)
    assert all(torch.equal(state[name], body[name]) for name in body if "outputs" not in name)
    assert Predictor.load(run)([tiny.images.read(0)])


@pytest.mark.parametrize("name", ["frozen", "finetune"])
def test_what_moves(tiny, base, quiet, tmp_path, name):
    run = train(tiny, "bipyramid", settings(name, base), out=tmp_path / name, progress=quiet)
    before, after = read_tensors(base.weights), read_tensors(run.weights)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    moved_body = {name for name in changed if not name.startswith("rows.outputs.")}
    assert any(name.startswith("rows.outputs.") for name in changed)
    assert bool(moved_body) == (name == "finetune")
    assert not any("running" in name for name in changed)  # batch norm keeps its statistics in both


def test_weights_from_a_file_and_what_is_wrong_with_others(tiny, base, quiet, tmp_path):
    path = tmp_path / "weights.safetensors"
    write_tensors(path, read_tensors(base.weights))
    recipe = named("features").changed([f"transfer.weights={path}", "model.norm=batch", "model.width=8"])
    recipe = recipe.changed(["train.precision=float32", "data.size=16", "model.depth=2", "model.head=flatten"])
    run = train(tiny, "bipyramid", recipe, out=tmp_path / "file", progress=quiet)
    assert run.info()["input"]["mean"] == [0.485, 0.456, 0.406]
    with pytest.raises(ModelError, match="no such weights file"):
        train(tiny, "bipyramid", recipe.changed(["transfer.weights=gone.pth"]), out=tmp_path / "x", progress=quiet)
    with pytest.raises(ModelError, match="rows"):
        train(tiny, "lenet5", recipe.changed(["model.width=1", "data.size=32"]), out=tmp_path / "x", progress=quiet)
    with pytest.raises(SettingsError, match="does not end in a linear layer"):
        cut(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)))
    assert not (tmp_path / "x").exists()


def test_a_preset_beside_weights_that_have_their_own_is_refused(tiny, base, quiet, tmp_path):
    with pytest.raises(SettingsError, match="know how they want"):
        train(
            tiny, "bipyramid", settings("features", base, "transfer.preset=cifar"), out=tmp_path / "x", progress=quiet
        )


def test_what_does_not_fit_the_network_is_refused_before_a_folder(tiny, quiet, tmp_path):
    recipe = named("baseline").changed(["train.frozen=conv9", "train.precision=float32", "train.epochs=1"])
    with pytest.raises(SettingsError, match="conv9"):
        train(tiny, "bipyramid", recipe, out=tmp_path / "x", progress=quiet)
    assert not (tmp_path / "x").exists()


def test_the_verbs_stay_verbs_when_the_rooms_are_imported():
    import striate
    import striate.engine.loop as loop
    import striate.studies.plan as plan

    assert callable(loop.fit)
    assert callable(plan.ladder)
    assert callable(striate.train)
    assert callable(striate.study)
