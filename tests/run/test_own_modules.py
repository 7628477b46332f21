"""Users' own modules: what does not fit the task is refused before an epoch and before a folder, what does trains."""

import numpy as np
import pytest
import torch
from torch import nn

from striate.base.errors import ModelError, SettingsError
from striate.base.tensors import read_tensors
from striate.data.sources.arrays import from_arrays
from striate.model.blueprint import Blueprint, Row
from striate.predict import Predictor
from striate.run.execute import train
from striate.run.rate import find_rate
from striate.studies.execute import study
from striate.studies.plan import Variant


class Net(nn.Module):
    """A small network; `shape` makes something else of its outputs and the images."""

    def __init__(self, num_outputs=3, shape=lambda y, x: y, channels=3):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.head, self.shape = nn.Linear(8, num_outputs), shape

    def forward(self, x):
        return self.shape(self.head(self.norm(self.conv(x)).relu().mean((2, 3))), x)


class Aux(nn.Module):
    """Gives an auxiliary output too while it trains, as torchvision's Inception does."""

    def __init__(self):
        super().__init__()
        self.net = Net()

    def forward(self, x):
        return (self.net(x), self.net(x)) if self.training else self.net(x)


def frozen(network):
    return network.requires_grad_(False)


def broken(network):
    with torch.no_grad():
        network.norm.running_mean[2] = torch.nan
    return network


FIXED = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(3600, 3))
MISFITS = {  # target, module, what the message says
    "too many": ("label", Net(5), "2x5"),
    "too few": ("label", Net(2), "wanted is 2x3 (3 classes)"),
    "channels": ("label", Net(channels=1), "fails on 2x3x16x16"),
    "tuple": ("label", Net(shape=lambda y, x: (y, x)), "a tuple (2x3, 2x3x16x16)"),
    "aux": ("label", Aux(), "a tuple (60x3, 60x3)"),
    "dict": ("label", Net(shape=lambda y, x: {"logits": y}), "a dict (logits 2x3)"),
    "object": ("label", Net(shape=lambda y, x: None), "NoneType"),
    "map": ("label", Net(shape=lambda y, x: y[:, :, None, None]), "2x3x1x1"),
    "flat": ("label", Net(shape=lambda y, x: y.reshape(-1)), "makes 6 of"),
    "mean of the batch": ("label", Net(shape=lambda y, x: y.mean(0, keepdim=True)), "makes 1x3"),
    "fixed batch": ("label", Net(shape=lambda y, x: y.view(60, -1)), "fails on"),
    "classes": ("label", Net(shape=lambda y, x: y.argmax(1)), "2 int64"),
    "rounded": ("label", Net(shape=lambda y, x: y.long()), "2x3 int64"),
    "detached": ("label", Net(shape=lambda y, x: y.detach()), "no weight that trains"),
    "frozen": ("label", frozen(Net()), "no weight that trains"),
    "not finite": ("label", broken(Net()), "norm.running_mean"),
    "double": ("label", Net().double(), "network.float()"),
    "fixed size": ("label", FIXED, "mat1 and mat2"),
    "bug": ("label", Net(shape=lambda y, x: y.nowhere), "has no attribute 'nowhere'"),
    "number as (N,)": ("place", Net(1, lambda y, x: y[:, 0]), "wanted is 2x1 (1 number)"),
    "two numbers for one": ("place", Net(2), "2x2"),
    "tags": ("tags", Net(3), "wanted is 2x2 (2 tags)"),
}
SHORT = ["train.epochs=1", "train.patience=0", "train.batch_size=64"]


@pytest.mark.parametrize("name", MISFITS)
def test_a_module_that_does_not_fit_is_refused_before_a_folder(tiny, recipe, quiet, tmp_path, name):
    target, module, says = MISFITS[name]
    with pytest.raises(ModelError) as caught:
        train(tiny, module, recipe.changed(SHORT), target=target, out=tmp_path / "run", progress=quiet)
    assert says in str(caught.value), caught.value
    assert len(f"error: {caught.value}") <= 240
    assert not (tmp_path / "run").exists()


def test_the_look_leaves_module_and_random_state_as_they_were(tiny, recipe, quiet, tmp_path):
    torch.manual_seed(3)
    seen = []
    module = Net(shape=lambda y, x: seen.append(module.norm.running_mean.clone()) or y).eval()
    state, before = torch.get_rng_state(), {name: one.clone() for name, one in module.state_dict().items()}
    with pytest.raises(ModelError):
        train(tiny, module, recipe.changed(SHORT), target="tags", out=tmp_path / "run", progress=quiet)
    assert seen and torch.equal(torch.get_rng_state(), state) and not module.training
    assert all(torch.equal(one, before[name]) for name, one in module.state_dict().items())


def test_lazy_layers_take_their_shapes_and_the_weights_of_the_seed(tiny, recipe, quiet, tmp_path):
    def lazy():
        return nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))

    runs = [train(tiny, lazy(), recipe.changed(SHORT), out=tmp_path / name, progress=quiet) for name in ("a", "b")]
    assert runs[0].weights.read_bytes() == runs[1].weights.read_bytes()
    image = np.zeros((16, 16, 3), np.uint8)
    found = [Predictor.load(run, lazy())([image])[0].probabilities for run in runs]
    assert found[0] == found[1]


def test_the_rate_finder_and_prediction_refuse_too(tiny, recipe, quiet, tmp_path):
    with pytest.raises(ModelError, match="2x5"):
        find_rate(tiny, Net(5), recipe.changed(SHORT), progress=quiet)
    run = train(tiny, Net(), recipe.changed(SHORT), out=tmp_path / "run", progress=quiet)
    with pytest.raises(ModelError, match="a dict"):
        Predictor.load(run, Net(shape=lambda y, x: {"logits": y}))([np.zeros((16, 16, 3), np.uint8)])


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([Row("conv", 8), Row("global_pool"), Row("linear", 7)], "gives 7 an image, the task takes 3"),
        ([Row("conv", 8), Row("conv", 3)], "gives 3x16x16"),
    ],
)
def test_a_blueprint_that_ends_in_something_else_is_refused_before_a_folder(tiny, recipe, quiet, tmp_path, rows, says):
    with pytest.raises(SettingsError, match=says):
        train(tiny, Blueprint("own", tuple(rows)), recipe.changed(SHORT), out=tmp_path / "run", progress=quiet)
    assert not (tmp_path / "run").exists()


def test_a_study_refuses_modules_and_blueprints_that_do_not_fit(recipe, quiet, tmp_path):
    data = from_arrays(np.zeros((9, 8, 8, 3), np.uint8) + np.arange(9, dtype=np.uint8)[:, None, None, None] * 9,
                       np.arange(9) % 3)  # fmt: skip
    parts = np.split(np.arange(9), 3)
    data = data.with_splits(dict(zip(("train", "val", "test"), parts, strict=True)))
    settings = recipe.changed(SHORT)
    with pytest.raises(SettingsError, match="new network for every seed"):
        study([data], [Variant("own", Net(), settings, "x")], out=tmp_path / "study", progress=quiet)
    plan = tmp_path / "own.toml"
    plan.write_text('[[rows]]\nblock = "global_pool"\n[[rows]]\nblock = "linear"\nwidth = 7\n')
    with pytest.raises(SettingsError, match="the task takes 3"):
        study([data], [Variant("own", str(plan), settings, "x")], out=tmp_path / "study", progress=quiet)
    assert not (tmp_path / "study").exists()


class Twins(nn.Module):
    """Two heads that share their weight."""

    def __init__(self):
        super().__init__()
        self.conv, self.head, self.twin = nn.Conv2d(3, 4, 3), nn.Linear(4, 3), nn.Linear(4, 3)
        self.twin.weight = self.head.weight

    def forward(self, x):
        x = self.conv(x).relu().mean((2, 3))
        return self.head(x) + self.twin(x)


WRAPS = {
    "compiled": lambda one: torch.compile(one, backend="eager"),
    "parallel": nn.DataParallel,
    "plain": lambda one: one,
}


@pytest.mark.parametrize("wrap", WRAPS)
def test_runs_of_wrapped_modules_are_read_by_the_plain_one(tiny, recipe, quiet, tmp_path, wrap):
    def fresh():
        torch.manual_seed(0)
        return Twins()

    settings = recipe.changed([*SHORT, "train.epochs=2"])
    run = train(tiny, WRAPS[wrap](fresh()), settings, out=tmp_path / wrap, progress=quiet)
    plain = train(tiny, fresh(), settings, out=tmp_path / "reference", progress=quiet)
    assert sorted(read_tensors(run.weights)) == ["conv.bias", "conv.weight", "head.bias", "head.weight", "twin.bias"]
    image = np.full((16, 16, 3), 90, np.uint8)
    found = [Predictor.load(one, fresh())([image])[0].probabilities for one in (run, plain)]
    assert found[0] == pytest.approx(found[1], abs=1e-6)
