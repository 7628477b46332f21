"""The range test: exponential rates, a rule for the suggestion, an early end, and everything put back."""

import numpy as np
import pytest
import torch
from torch import nn

from striate.base.errors import SettingsError
from striate.base.progress import Progress
from striate.data import open_dataset
from striate.data.sample import Batch
from striate.data.target import Label
from striate.engine.optim import build
from striate.engine.rate import judge, range_test, smooth
from striate.engine.update import Update
from striate.run.rate import find_rate
from striate.run.recipe import named
from striate.task import for_target


class Endless:
    """The same few batches in every epoch."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        labels = rng.integers(0, 3, 64)
        images = (rng.normal(size=(64, 3, 4, 4)) + labels[:, None, None, None]).astype(np.float32)
        self.task = for_target("t", Label(labels, ("a", "b", "c")), labels)
        self.all = [
            Batch(torch.from_numpy(images[part]), {"t": torch.from_numpy(labels[part])}, part)
            for part in np.split(np.arange(64), 4)
        ]

    def __len__(self) -> int:
        return len(self.all)

    def batches(self, epoch, start=0):
        return iter(self.all[start:])


def make(loader, name="sgd"):
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Dropout(0.1), nn.Linear(48, 3)).eval()
    rates = []
    optimiser = build(model, name, lr=1.0, momentum=0.9, weight_decay=0.0)
    update = Update(model, loader.task, optimiser, lambda step: 0.5)
    call = optimiser.set_rate
    optimiser.set_rate = lambda lr: (rates.append(lr), call(lr))
    return update, rates


def test_rates_grow_by_a_constant_factor_and_the_model_comes_back():
    loader = Endless()
    update, rates = make(loader)
    before = {name: tensor.clone() for name, tensor in update.model.state_dict().items()}
    found = range_test(update, loader, low=1e-5, high=10.0, num_steps=60)
    np.testing.assert_allclose(rates, np.geomspace(1e-5, 10.0, 60)[: len(rates)], rtol=1e-6)
    assert found.rates == tuple(rates[: len(found.rates)])
    assert all(torch.equal(now, before[name]) for name, now in update.model.state_dict().items())
    assert not update.model.training
    assert update.rate_at(3) == 0.5
    assert all(p.grad is None for p in update.model.parameters())
    assert found.suggestion == pytest.approx(found.lowest / 10, rel=0.05)
    assert found.steepest <= found.lowest


def test_it_ends_when_the_loss_bursts_or_is_not_finite():
    loader = Endless()
    update, rates = make(loader)
    found = range_test(update, loader, low=1e-4, high=1e8, num_steps=200)
    assert found.ended == "diverged"
    assert len(found.rates) < 200
    assert np.isfinite(found.losses).all()


def test_the_suggestion_is_right_on_a_curve_with_a_known_minimum():
    rates = np.geomspace(1e-6, 10, 141)
    place = np.log10(rates)
    losses = np.where(place < -1, 2 - 1.5 / (1 + np.exp(-6 * (place + 2.5))), 0.5 + 3 * (place + 1) ** 2)
    noise = np.random.default_rng(0).normal(0, 0.02, 141)
    found = judge(rates.tolist(), (losses + noise).tolist(), "finished")
    assert np.log10(found.lowest) == pytest.approx(-1.1, abs=0.25)
    assert np.log10(found.steepest) == pytest.approx(-2.5, abs=0.2)


def test_smoothing_is_a_weighted_mean_of_neighbours():
    losses = np.random.default_rng(1).normal(size=50)
    found = smooth(losses.tolist())
    weights = [np.exp(-((k - 20) ** 2) / 18) for k in range(50)]
    assert found[20] == pytest.approx(np.average(losses, weights=weights))
    np.testing.assert_allclose(smooth([2.0] * 9), 2.0)


@pytest.mark.parametrize("losses", [[1.0] * 30, list(np.linspace(1, 2, 30)), []])
def test_a_loss_that_never_falls_has_no_suggestion(losses):
    with pytest.raises(SettingsError, match="fell at no rate"):
        judge(np.geomspace(1e-6, 1, 30).tolist(), losses, "finished")


def test_the_suggestion_trains_a_network_and_the_random_state_comes_back():
    data = open_dataset("toy:shapes?n=160&size=16")
    torch.manual_seed(5)
    state = torch.get_rng_state()
    recipe = named("baseline").changed(["model.norm=batch", "train.precision=float32", "train.batch_size=32"])
    found = find_rate(data, "bipyramid", recipe, num_steps=60, progress=Progress("quiet"))
    again = find_rate(data, "bipyramid", recipe, num_steps=60, progress=Progress("quiet"))
    assert found == again
    assert torch.equal(torch.get_rng_state(), state)
    assert 1e-5 < found.suggestion < 1
