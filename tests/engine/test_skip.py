"""A step whose gradient is not finite moves nothing and is counted; too many in a row end the training."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from striate.base.errors import DivergedError
from striate.data.sample import Batch
from striate.data.target import Label
from striate.engine.average import Average
from striate.engine.optim import OPTIMISERS, build
from striate.engine.skip import MAX_IN_A_ROW, Skips, gradient_norm
from striate.engine.update import Update
from striate.task import for_target


class Odd(nn.Module):
    """Its gradient is not finite while `is_odd`, though its outputs are: the slope of a root at zero."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3))
        self.zero = nn.Parameter(torch.zeros(3))
        self.is_odd = False

    def forward(self, x):
        found = self.layers(x)
        return found + 0 * self.zero.sqrt() if self.is_odd else found + 0 * self.zero


def one_batch(seed):
    rng = np.random.default_rng(seed)
    images = torch.from_numpy(rng.normal(size=(9, 3, 8, 8)).astype(np.float32))
    target = Label(rng.integers(0, 3, 9), ("a", "b", "c"))
    return Batch(images, {"t": torch.from_numpy(target.values)}, np.arange(9)), for_target("t", target, target.values)


def update_for(model, name="sgd", **options):
    optimiser = build(model, name, lr=0.05, momentum=0.9, weight_decay=0.1)
    found = Update(model, one_batch(0)[1], optimiser, lambda step: 0.05, **options)
    found.train_mode()
    return found


def everything(update):
    states = [tensor for p in update.parameters for tensor in update.optimiser.state.get(p, {}).values()]
    return [tensor.detach().clone() for tensor in (*update.parameters, *states)]


OPTIONS = {
    "plain": {},
    "clip": {"clip": 0.1},
    "sam": {"sam": 0.05},
    "penalties": {"l1": 0.01, "l2": 0.01},
    "noise": {"weight_noise": 0.1},
    "bf16": {"precision": "bf16"},
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_broken_gradient_moves_neither_weights_nor_optimiser(name, options):
    model = Odd()
    update = update_for(model, name, **OPTIONS[options])
    update(one_batch(1)[0], 0)
    before, model.is_odd = everything(update), True
    tally = update(one_batch(2)[0], 1)
    assert torch.isfinite(tally).all()
    assert all(torch.equal(a, b) for a, b in zip(before, everything(update), strict=True))
    model.is_odd = False
    update(one_batch(3)[0], 2)
    assert (update.skips.num, update.skips.num_in_a_row) == (1, 0)
    assert all(torch.isfinite(tensor).all() for tensor in everything(update))
    assert not torch.equal(before[0], everything(update)[0])


@pytest.mark.parametrize("odd_at", [0, 2])
@pytest.mark.parametrize("name", sorted(OPTIMISERS))
def test_training_goes_on_as_if_the_step_had_not_been(name, odd_at):
    model, other = Odd(), Odd()
    update = update_for(model, name)
    for step in range(4):
        if step == odd_at:
            norms, model.is_odd = copy.deepcopy(model.layers[1].state_dict()), True
            update(one_batch(9)[0], step)
            model.layers[1].load_state_dict(norms)  # the look at the images counts for the statistics
            model.is_odd = False
        update(one_batch(step)[0], step)
    plain = update_for(other, name)
    for step in range(4):
        plain(one_batch(step)[0], step)
    assert all(torch.equal(a, b) for a, b in zip(everything(update), everything(plain), strict=True))
    assert update.skips.counts.tolist() == [1, 0]
    assert plain.skips.counts.tolist() == [0, 0]


def test_the_running_average_stays_finite():
    model = Odd()
    average = Average(model, 0.9)
    update, model.is_odd = update_for(model, average=average), True
    update(one_batch(1)[0], 0)
    assert all(torch.isfinite(tensor).all() for tensor in average.model.state_dict().values())


def test_too_many_in_a_row_are_a_divergence():
    model = Odd()
    update = update_for(model, name_of=lambda index: f"cat{index}.jpg")
    before = [p.detach().clone() for p in model.parameters()]
    model.is_odd = True
    for step in range(MAX_IN_A_ROW):
        update(one_batch(step)[0], step)
    with pytest.raises(DivergedError, match=r"gradient is not finite for 11 steps at step 10 .*cat0.jpg") as caught:
        update(one_batch(11)[0], MAX_IN_A_ROW)
    assert caught.value.exit_code == 6
    assert "--lr 0.005" in caught.value.fix
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_skips_count_all_and_those_in_a_row():
    skips, seen = Skips(), []
    for is_finite in (False, True, False, False, True):
        skips.add(torch.tensor(is_finite))
        seen.append((skips.num, skips.num_in_a_row))
    assert seen == [(1, 1), (1, 0), (2, 1), (3, 2), (3, 0)]


def test_the_norm_is_that_of_the_whole_gradient():
    parameters = [torch.zeros(3, 2, requires_grad=True), torch.zeros(5, requires_grad=True), torch.zeros(1)]
    assert float(gradient_norm(parameters)) == 0
    parameters[0].grad, parameters[1].grad = torch.full((3, 2), 2.0), torch.full((5,), -1.0)
    assert float(gradient_norm(parameters)) == pytest.approx(29**0.5)
    parameters[1].grad[3] = torch.nan
    assert not gradient_norm(parameters).isfinite()
