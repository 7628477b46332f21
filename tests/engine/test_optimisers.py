"""Optimisers against torch's and timm's own classes, Muon against the singular value decomposition."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from striate.base import torchvision
from striate.base.errors import SettingsError
from striate.engine.muon import is_filter, orthogonalise
from striate.engine.optim import OPTIMISERS, build, groups

LR, DECAY = 0.01, 0.1
TORCH = {
    "sgd": lambda them: torch.optim.SGD(them, lr=LR, momentum=0.9, nesterov=True, fused=True),
    "adam": lambda them: torch.optim.Adam(them, lr=LR, betas=(0.9, 0.999), fused=True),
    "adamw": lambda them: torch.optim.AdamW(them, lr=LR, betas=(0.9, 0.999), fused=True),
    "rmsprop": lambda them: torch.optim.RMSprop(them, lr=LR, momentum=0.9, foreach=True),
}


class Counted(TorchDispatchMode):
    """The names of the operators that torch is asked for."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        self.names.append(str(operator))
        return operator(*args, **(kwargs or {}))


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.Flatten(), nn.Linear(32, 3)
    ).to(memory_format=torch.channels_last)


def train(model, optimiser, steps=5):
    for step in range(steps):
        x = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        model(x).square().mean().backward()
        optimiser.step()
    return list(model.parameters())


def as_torch_groups(model):
    return [{"params": group["params"], "weight_decay": group["weight_decay"]} for group in groups(model, DECAY)]


@pytest.mark.parametrize("name", sorted(TORCH))
def test_steps_are_those_of_torch_to_the_bit(name):
    ours, theirs = network(), network()
    mine = train(ours, build(ours, name, lr=LR, momentum=0.9, weight_decay=DECAY))
    for a, b in zip(mine, train(theirs, TORCH[name](as_torch_groups(theirs))), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", sorted(OPTIMISERS))
def test_a_step_makes_no_new_state(name):
    """Zeros that nobody takes are work at every step, for a GPU a third of all it is asked for."""
    model = network()
    optimiser = build(model, name, lr=LR, momentum=0.9, weight_decay=DECAY)
    train(model, optimiser, steps=1)
    with Counted() as counted:
        optimiser.step(torch.tensor(True))
    assert counted.names and not any("zeros" in one for one in counted.names)


def test_plain_gradient_descent_too():
    ours, theirs = network(), network()
    mine = train(ours, build(ours, "sgd", lr=LR, momentum=0.0, weight_decay=0.0))
    for a, b in zip(mine, train(theirs, torch.optim.SGD(theirs.parameters(), lr=LR, fused=True)), strict=True):
        assert torch.equal(a, b)


def test_lion_is_that_of_timm():
    lion = torchvision.load("timm.optim").Lion
    ours, theirs = network(), network()
    mine = train(ours, build(ours, "lion", lr=LR, momentum=0.9, weight_decay=DECAY))
    other = train(theirs, lion(as_torch_groups(theirs), lr=LR, betas=(0.9, 0.99)))
    for a, b in zip(mine, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


def test_muon_on_matrices_is_that_of_torch_up_to_its_bf16():
    torch.manual_seed(0)
    ours, theirs = (nn.Sequential(nn.Linear(24, 16, bias=False), nn.Linear(16, 2, bias=False)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    start = ours[0].weight.detach().clone()
    optimiser = build(ours, "muon", lr=LR, momentum=0.9, weight_decay=DECAY)
    assert [group["rule"] for group in optimiser.param_groups] == ["muon", "adamw"]
    reference = torch.optim.Muon(
        [theirs[0].weight], lr=LR, momentum=0.9, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"
    )
    for step in range(3):
        grad = torch.randn(16, 24, generator=torch.Generator().manual_seed(step))
        ours[0].weight.grad, theirs[0].weight.grad = grad.clone(), grad.clone()
        optimiser.step()
        reference.step()
    moved = (theirs[0].weight - start).norm()
    assert (ours[0].weight - theirs[0].weight).norm() < 0.02 * moved


@pytest.mark.parametrize("shape", [(3, 16, 40), (2, 40, 16), (1, 8, 8)])
def test_orthogonal_means_the_same_singular_vectors_and_values_near_one(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found = orthogonalise(x)
    u, values, v = torch.linalg.svd(x, full_matrices=False)
    inside = u.mT @ found @ v.mT  # diagonal when the singular vectors agree
    diagonal = inside.diagonal(dim1=1, dim2=2)
    assert (inside - torch.diag_embed(diagonal)).abs().max() < 1e-3
    clear = values > 0.1 * values.amax(1, keepdim=True)
    assert diagonal[clear].min() > 0.6
    assert diagonal.max() < 1.25


def test_a_filter_bank_moves_as_its_matrix_and_the_rest_follows_adamw():
    ours, theirs = network(), network()
    optimiser = build(ours, "muon", lr=LR, momentum=0.9, weight_decay=DECAY)
    adamw = build(theirs, "adamw", lr=LR, momentum=0.9, weight_decay=DECAY)
    before = ours[3].weight.detach().clone()
    train(ours, optimiser, 1)
    train(theirs, adamw, 1)
    u, _, v = torch.linalg.svd((0.1 + 0.9 * 0.1) * ours[3].weight.grad.flatten(1), full_matrices=False)
    step = (before * (1 - LR * DECAY) - ours[3].weight.detach()).flatten(1) / (LR * 0.2 * 54**0.5)
    values = (u.mT @ step @ v.mT).diagonal()
    assert 0.6 < values.min() < values.max() < 1.25
    for index in (1, 5):
        for a, b in zip(ours[index].parameters(), theirs[index].parameters(), strict=True):
            assert torch.equal(a, b)


def test_muon_leaves_depthwise_filters_vectors_and_the_head_alone_and_wants_a_filter():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten(), nn.Linear(8, 2))
    muon, *others = groups(model, 0.1, rule="muon")
    assert [tuple(p.shape) for p in muon["params"]] == [(8, 3, 3, 3)]
    assert {group["rule"] for group in others} == {"adamw"}
    assert not is_filter(model[1].weight)
    with pytest.raises(SettingsError, match="no filters for muon"):
        groups(nn.Linear(4, 2), 0.1, rule="muon")


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop", "adamw", "lion", "muon"])
def test_decay_is_in_the_gradient_or_beside_the_step(name):
    """Without any gradient from the loss, decoupled decay shrinks by 1 - lr x decay; L2 goes through the rule."""
    model = nn.Sequential(nn.Linear(6, 4, bias=False), nn.Linear(4, 2, bias=False))
    before = [weight.detach().clone() for weight in model.parameters()]
    optimiser = build(model, name, lr=LR, momentum=0.0, weight_decay=DECAY)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimiser.step()
    factors = [(now.detach() / old) for now, old in zip(model.parameters(), before, strict=True)]
    is_shrunk = all(torch.allclose(factor, torch.full_like(factor, 1 - LR * DECAY), atol=1e-6) for factor in factors)
    assert is_shrunk == (name in {"sgd", "adamw", "lion", "muon"}), "plain SGD is where both are the same"
    if name == "sgd":  # and with momentum it is the gradient that grows: the second step is longer
        again = build(model, name, lr=LR, momentum=0.9, weight_decay=DECAY)
        expected = [weight.detach().clone() for weight in model.parameters()]
        buffers = [torch.zeros_like(weight) for weight in expected]
        for _ in range(3):
            for weight in model.parameters():
                weight.grad = torch.zeros_like(weight)
            again.step()
            for weight, buffer in zip(expected, buffers, strict=True):
                gradient = DECAY * weight
                buffer.mul_(0.9).add_(gradient)
                weight.sub_(LR * (gradient + 0.9 * buffer))
        for a, b in zip(model.parameters(), expected, strict=True):
            torch.testing.assert_close(a.detach(), b)


def test_the_rate_falls_with_depth_row_by_row():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    optimiser = build(model, "sgd", lr=1.0, momentum=0.0, weight_decay=0.1, depth_decay=0.5)
    optimiser.set_rate(0.8)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    for row, rate in ((0, 0.2), (2, 0.4), (4, 0.8)):
        assert [rates[id(p)] for p in model[row].parameters()] == [rate, rate]
    before = [p.detach().clone() for p in model.parameters()]
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimiser.param_groups = [{**group, "weight_decay": 0.0} for group in optimiser.param_groups]
    optimiser.step()
    moved = [float((a - b.detach()).abs().mean()) for a, b in zip(before, model.parameters(), strict=True)]
    assert moved == pytest.approx([0.2, 0.2, 0.4, 0.4, 0.8, 0.8], rel=1e-4)


@pytest.mark.parametrize("name", ["sgd", "muon"])
def test_biases_of_normalisations_have_a_rate_of_their_own(name):
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.GroupNorm(2, 6), nn.Flatten(), nn.Linear(96, 3))
    settings = {"lr": 1.0, "momentum": 0.9, "weight_decay": 0.1}
    plain, scaled = build(model, name, **settings), build(model, name, **settings, norm_bias_scale=8)
    for optimiser, factor in ((plain, 1), (scaled, 8)):
        optimiser.set_rate(0.5)
        rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
        decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
        assert len(rates) == len(list(model.parameters()))
        for key, parameter in model.named_parameters():
            is_norm_bias = key in {"1.bias", "2.bias"}
            assert rates[id(parameter)] == (0.5 * factor if is_norm_bias else 0.5)
            assert decay[id(parameter)] == (0.1 if parameter.ndim > 1 else 0)


def test_a_parameter_without_gradient_stays_and_joins_later():
    for name in OPTIMISERS:
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
        optimiser = build(model, name, lr=LR, momentum=0.9, weight_decay=DECAY)
        late = model[1].weight.detach().clone()
        for step in range(2):
            for p in model.parameters():
                p.grad = None if step == 0 and p is model[1].weight else torch.ones_like(p)
            optimiser.step()
            assert torch.equal(model[1].weight.detach(), late) == (step == 0), name


def test_the_first_step_needs_no_compiler():
    code = (
        "import sys, torch; from striate.engine.optim import build; m = torch.nn.Linear(2, 2)\n"
        "for name in ('sgd', 'adam', 'adamw', 'rmsprop', 'lion'):\n"
        "    o = build(m, name, lr=.1, momentum=.9, weight_decay=.1); m(torch.ones(1, 2)).sum().backward()\n"
        "    torch.nn.utils.clip_grad_norm_(o.parameters, 1.0, foreach=True); o.step(); o.zero_grad()\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
