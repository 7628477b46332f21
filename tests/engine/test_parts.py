"""Schedules, early stopping, decay groups, averages, clipping: each does what its formula says."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from striate.base.errors import DivergedError, SettingsError
from striate.data.sample import Batch
from striate.data.target import Label
from striate.engine.average import Average
from striate.engine.optim import OPTIMISERS, build, groups
from striate.engine.precision import PRECISIONS, choose_precision
from striate.engine.schedule import SHAPES, rate_at
from striate.engine.stop import Stop
from striate.engine.update import Update
from striate.task import for_target


def test_cosine_equals_torch():
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=50)
    ours = rate_at(0.3, "cosine", 50)
    for step in range(50):
        assert ours(step) == pytest.approx(reference.get_last_lr()[0], abs=1e-9)
        optimiser.step()
        reference.step()


@pytest.mark.parametrize("schedule", sorted(SHAPES))
def test_rates_stay_between_zero_and_the_peak(schedule):
    rate = rate_at(0.2, schedule, 40, warmup_frac=0.1)
    rates = [rate(step) for step in range(60)]
    assert min(rates) >= 0
    assert max(rates) == pytest.approx(0.2)
    assert rates[0] == pytest.approx(0.2 / 4 if schedule != "onecycle" else 0.2 * (0.04 + 0.96 / 4))


def test_step_schedule_divides_by_ten_twice():
    rate = rate_at(1.0, "step", 100)
    assert [round(rate(step), 4) for step in (0, 49, 50, 74, 75, 99)] == [1, 1, 0.1, 0.1, 0.01, 0.01]


def test_unknown_schedule_names_the_nearest():
    with pytest.raises(SettingsError, match="did you mean 'cosine'"):
        rate_at(0.1, "cosin", 10)


def test_stop_waits_for_patience_and_never_prefers_nan():
    stop = Stop("max", patience=2)
    assert stop.is_better(0.5, 1.0, 1)
    assert not stop.is_better(math.nan, 1.1, 2), "an undefined score: the loss decides"
    assert not stop.is_over(2)
    assert stop.is_better(0.5, 0.9, 2), "equal score, smaller loss"
    assert not stop.is_better(0.4, 0.1, 3)
    assert not stop.is_over(3)
    assert stop.is_over(4)
    again = Stop("max", 2)
    again.restore(stop.state())
    assert again == stop


def test_only_matrices_and_filters_decay():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    decayed, free = groups(model, 0.1)
    assert [tuple(p.shape) for p in decayed["params"]] == [(4, 3, 3, 3), (2, 4)]
    assert len(free["params"]) == 4
    assert free["weight_decay"] == 0


@pytest.mark.parametrize("options", [{}, {"depth_decay": 0.5}, {"norm_bias_scale": 4.0}], ids=str)
@pytest.mark.parametrize("name", sorted(OPTIMISERS))
def test_a_step_without_gradient_shrinks_weights_only(name, options):
    layers = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, groups=4), nn.GroupNorm(2, 4))
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    for parameter in model.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
        parameter.grad = torch.zeros_like(parameter)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    build(model, name, lr=0.1, momentum=0.9, weight_decay=0.1, **options).step()
    for old, new in zip(before, model.parameters(), strict=True):
        assert bool((new < old).all()) if old.ndim > 1 else torch.equal(new, old)


@pytest.mark.parametrize("name", sorted(OPTIMISERS))
def test_every_optimiser_lowers_a_bowl(name):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 1))
    optimiser = build(model, name, lr=0.02, momentum=0.9, weight_decay=0.0)
    x, y = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)), torch.ones(64, 1)
    first = None
    for _ in range(60):
        loss = (model(x) - y).square().mean()
        first = first or loss.item()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1 * first


def one_batch(num=8):
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.normal(size=(num, 3, 8, 8)).astype(np.float32))
    target = Label(rng.integers(0, 3, num), ("a", "b", "c"))
    return Batch(images, {"t": torch.from_numpy(target.values)}, np.arange(num)), for_target("t", target, target.values)


def update_for(model, task, **options):
    optimiser = build(model, "sgd", lr=0.1, momentum=0.0, weight_decay=0.0)
    return Update(model, task, optimiser, lambda step: 0.1, **options)


def test_clipping_bounds_the_step():
    batch, task = one_batch()
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    before = [p.detach().clone() for p in model.parameters()]
    update_for(model, task, clip=1e-3)(batch, 0)
    moved = math.sqrt(
        sum(float((a - b.detach()).square().sum()) for a, b in zip(before, model.parameters(), strict=True))
    )
    assert moved == pytest.approx(0.1 * 1e-3, rel=1e-2)


def test_average_is_its_recursion():
    model = nn.Linear(3, 2)
    average = Average(model, 0.9)
    expected = model.weight.detach().clone()
    for step in range(20):
        with torch.no_grad():
            model.weight.add_(0.1 * step)
        average.update(model, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    torch.testing.assert_close(average.model.weight.detach(), expected)


def test_a_loss_that_is_not_finite_names_step_batch_and_rate_and_leaves_the_weights():
    batch, task = one_batch()
    batch.images[2] = math.inf
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    before = [p.detach().clone() for p in model.parameters()]
    update = update_for(model, task, name_of=lambda index: f"cat{index}.jpg")
    with pytest.raises(DivergedError, match=r"loss is nan at step 7 \(rate 0.1, batch cat0.jpg") as caught:
        update(batch, 7)
    assert caught.value.exit_code == 6
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_the_trial_of_a_network_that_is_not_trained_only_looks(monkeypatch):
    class Looking(nn.Linear):
        def forward(self, x):
            assert not torch.is_grad_enabled()
            assert not self.training
            return super().forward(x)

    assert choose_precision(Looking(4, 2), torch.zeros(3, 4), is_training=False)["trial"] is None  # without bf16
    monkeypatch.setattr("striate.engine.precision.has_bf16", lambda device: True)
    found = choose_precision(Looking(4, 2), torch.zeros(3, 4), is_training=False)
    assert found["name"] in PRECISIONS
    assert found["trial"].keys() == {f"{name}_ms" for name in PRECISIONS}
    with pytest.raises(AssertionError):
        Looking(4, 2)(torch.zeros(3, 4))
