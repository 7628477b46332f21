"""Penalties, noise, SAM, auxiliary heads, averages, frozen rows: each against its formula, in float32 and bf16."""

import copy
import math
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from striate.base.errors import SettingsError
from striate.data.sample import Batch
from striate.data.target import Label, Mask, Number, Tags
from striate.engine.average import Average, EqualAverage, refresh_norms
from striate.engine.optim import build
from striate.engine.precision import autocast
from striate.engine.probe import look
from striate.engine.regularise import freeze, frozen_rows, frozen_statistics, penalise, weight_noise
from striate.engine.update import Update, aux_weight_of, auxiliary_heads
from striate.model.blueprint import Blueprint, Row
from striate.model.build import build as build_network
from striate.task import for_target

LR = 0.1


@cache
def one_batch(num=12, seed=0):
    rng = np.random.default_rng(seed)
    images = torch.from_numpy(rng.normal(size=(num, 3, 8, 8)).astype(np.float32))
    target = Label(rng.integers(0, 3, num), ("a", "b", "c"))
    return Batch(images, {"t": torch.from_numpy(target.values)}, np.arange(num)), for_target("t", target, target.values)


def network(seed=0, *more):
    plan = Blueprint(
        "tiny",
        (
            Row("conv", 6, options={"norm": "batch"}, name="one"),
            Row("conv", 8, stride=2, name="two"),
            *more,
            Row("global_pool", inputs=("two",), name="mean"),
            Row("linear", options={"activation": "none"}, name="outputs"),
        ),
        defaults={"activation": "relu"},
    )
    return build_network(plan, channels=3, outputs=3, size_hw=(8, 8), seed=seed)


def update_for(model, **options):
    optimiser = build(model, "sgd", lr=LR, momentum=0.0, weight_decay=0.0)
    return Update(model, one_batch()[1], optimiser, lambda step: LR, **options)


def cross_entropy(model, images, labels, precision="float32"):
    with autocast(images.device, precision):
        outputs = model(images)
    return F.cross_entropy(outputs.float(), labels)


def stepped_by_hand(model, loss):
    """The parameters after one step of plain gradient descent on `loss`."""
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return [p.detach() - LR * g for p, g in zip(model.parameters(), gradients, strict=True)]


def same(found, expected, **tolerance):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.detach(), b, **tolerance)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize(("l1", "l2"), [(0.01, 0.0), (0.0, 0.02), (0.01, 0.02)])
def test_penalties_are_in_the_loss_of_the_weights_that_decay(l1, l2, precision):
    batch, _ = one_batch()
    model, other = network(), network()
    weights = [p for p in other.parameters() if p.ndim > 1]
    loss = cross_entropy(other, batch.images, batch.targets["t"], precision)
    loss = loss + l1 * sum(w.abs().sum() for w in weights) + l2 * sum(w.square().sum() for w in weights)
    update_for(model, l1=l1, l2=l2, precision=precision)(batch, 0)
    same(model.parameters(), stepped_by_hand(other, loss))


def test_a_weight_without_gradient_has_no_penalty():
    weights = [torch.ones(2, 2, requires_grad=True), torch.ones(2, 2, requires_grad=True)]
    weights[0].grad = torch.zeros(2, 2)
    penalise(weights, 0.5, 0.25)
    assert weights[0].grad.tolist() == [[1, 1], [1, 1]]
    assert weights[1].grad is None


def test_noise_on_weights_has_its_deviation_and_goes_away_to_the_bit():
    weights = [torch.randn(400, 300, generator=torch.Generator().manual_seed(0), requires_grad=True)]
    before = weights[0].detach().clone()
    torch.manual_seed(1)
    with weight_noise(weights, 0.3):
        noise = weights[0].detach() - before
        assert weights[0].sum().requires_grad
    assert float(noise.std()) == pytest.approx(0.3 * float(before.square().mean().sqrt()), rel=0.02)
    assert abs(float(noise.mean())) < 0.005
    assert torch.equal(weights[0].detach(), before)


def test_a_step_with_noise_takes_the_gradient_at_the_noisy_weights():
    batch, _ = one_batch()
    model, other = network(), network()
    torch.manual_seed(3)
    before = [p.detach().clone() for p in other.parameters()]
    with torch.no_grad():
        for weight in (p for p in other.parameters() if p.ndim > 1):
            weight.add_(torch.randn_like(weight) * (0.2 * weight.square().mean().sqrt()))
    gradients = torch.autograd.grad(cross_entropy(other, batch.images, batch.targets["t"]), list(other.parameters()))
    torch.manual_seed(3)
    update_for(model, weight_noise=0.2)(batch, 0)
    same(model.parameters(), [p - LR * g for p, g in zip(before, gradients, strict=True)])


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_sam_is_its_two_passes_and_counts_the_batch_once(precision, clip):
    batch, _ = one_batch()
    labels = batch.targets["t"]
    model, other = network(), network()
    once = network()
    cross_entropy(once, batch.images, labels, precision)
    expected_statistics = {name: b.clone() for name, b in once.named_buffers()}
    before = [p.detach().clone() for p in other.parameters()]
    first = torch.autograd.grad(cross_entropy(other, batch.images, labels, precision), list(other.parameters()))
    norm = math.sqrt(sum(float(g.square().sum()) for g in first))
    with torch.no_grad():
        for p, g in zip(other.parameters(), first, strict=True):
            p.add_(0.05 * g / norm)
    second = torch.autograd.grad(cross_entropy(other, batch.images, labels, precision), list(other.parameters()))
    if clip:
        length = math.sqrt(sum(float(g.square().sum()) for g in second))
        assert length > clip
        second = [g * clip / length for g in second]
    update_for(model, sam=0.05, clip=clip, precision=precision)(batch, 0)
    tolerance = {"rtol": 1e-4, "atol": 1e-6} if precision == "float32" else {"rtol": 1e-2, "atol": 1e-4}
    same(model.parameters(), [p - LR * g for p, g in zip(before, second, strict=True)], **tolerance)
    for name, buffer in model.named_buffers():
        torch.testing.assert_close(buffer, expected_statistics[name])


def test_statistics_kept_leaves_them_even_when_they_are_frozen():
    model = network().train()
    model.rows["one"].eval()
    images = one_batch()[0].images
    expected, before = model(images), copy.deepcopy(dict(model.named_buffers()))
    with frozen_statistics(model):
        assert torch.equal(model(images), expected)
    assert all(torch.equal(b, before[name]) for name, b in model.named_buffers())


SIDES = (
    Row("global_pool", inputs=("one",), name="side_mean"),
    Row("linear", options={"activation": "none"}, name="side"),
)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_auxiliary_losses_join_with_their_weight_and_the_tally_does_not_see_them(precision):
    batch, task = one_batch()
    model, other, plain = network(0, *SIDES), network(0, *SIDES), network(0, *SIDES)
    assert auxiliary_heads(model) == ("side",)
    with autocast(batch.images.device, precision):
        outputs = other(batch.images, auxiliary=True)
    losses = {name: F.cross_entropy(one.float(), batch.targets["t"]) for name, one in outputs.items()}
    tally = update_for(model, aux_weight=0.3, precision=precision)(batch, 0)
    same(model.parameters(), stepped_by_hand(other, losses["outputs"] + 0.3 * losses["side"]))
    torch.testing.assert_close(tally, update_for(plain, precision=precision)(batch, 0))
    assert task.summarise(tally)["loss"] == pytest.approx(float(losses["outputs"].detach()), rel=1e-3)
    unchanged = network(0, *SIDES)
    assert torch.equal(
        plain.rows["side"].get_parameter("linear.weight"), unchanged.rows["side"].get_parameter("linear.weight")
    )


def test_published_weights_of_auxiliary_losses():
    from striate.model.zoo import build as zoo_build

    for name, published in (("googlenet", 0.3), ("inception_v3", 0.4)):
        model = zoo_build(name, classes=3, size=96, width=0.25)
        assert aux_weight_of(model) == published
        assert aux_weight_of(model, 0.1) == 0.1
        assert aux_weight_of(zoo_build(name, classes=3, size=96, width=0.25, aux=False), 0.1) == 0
    assert aux_weight_of(nn.Linear(2, 2), 0.5) == 0


def test_a_network_with_a_part_taken_out_keeps_the_weight_of_its_auxiliary_losses():
    from striate.model.ablate import ablate
    from striate.model.zoo import blueprint

    plan = ablate(blueprint("inception_v3", width=0.25), ("norm",))
    assert aux_weight_of(build_network(plan, channels=3, outputs=3, size_hw=(96, 96))) == 0.4


def test_the_mean_of_networks_is_their_mean_and_its_statistics_are_those_of_torch():
    batches = [one_batch(12, seed)[0] for seed in range(3)]
    models = [network(seed).train() for seed in range(3)]
    mean = EqualAverage(models[0], first_epoch=0)
    for model in models:
        mean.update(model, lambda: batches)
    for name, parameter in mean.model.named_parameters():
        expected = torch.stack([model.get_parameter(name).detach() for model in models]).mean(0)
        torch.testing.assert_close(parameter, expected)
    reference = copy.deepcopy(mean.model)
    torch.optim.swa_utils.update_bn([batch.images for batch in batches], reference)
    for name, buffer in mean.model.named_buffers():
        torch.testing.assert_close(buffer, reference.get_buffer(name))
    assert not any(module.training for module in mean.model.modules())
    assert all(m.momentum == 0.1 for m in mean.model.modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize("has_fixed_norms", [False, True])
def test_the_mean_keeps_the_statistics_that_training_keeps(has_fixed_norms):
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    eval_modules = freeze(model, "" if has_fixed_norms else "0", has_fixed_norms=has_fixed_norms)
    mean = EqualAverage(model, 0, eval_modules)
    before = {name: buffer.clone() for name, buffer in mean.model.named_buffers()}
    mean.update(model, lambda: [one_batch(12, seed)[0] for seed in range(3)])
    changed = {name.split(".")[0] for name, now in mean.model.named_buffers() if not torch.equal(now, before[name])}
    assert changed == (set() if has_fixed_norms else {"2"})


def test_measuring_statistics_anew_draws_no_dropout():
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm2d(3)).eval()
    batch, _ = one_batch()
    state = torch.get_rng_state()
    refresh_norms(model, [batch])
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(model[1].running_mean, batch.images.mean((0, 2, 3)))
    refresh_norms(model, [batch], "bf16")
    torch.testing.assert_close(model[1].running_mean, batch.images.mean((0, 2, 3)), atol=1e-2, rtol=1e-2)


def test_the_running_average_takes_the_networks_own_statistics():
    model = network().train()
    average = Average(model, 0.9)
    model(one_batch()[0].images)
    average.update(model, 100)
    for name, buffer in average.model.named_buffers():
        assert torch.equal(buffer, model.get_buffer(name))


def test_frozen_rows_neither_train_nor_count_batches():
    batch, _ = one_batch()
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    eval_modules = freeze(model, "one")
    update = update_for(model, eval_modules=eval_modules)
    update.train_mode()
    update(batch, 0)
    changed = {name.split(".")[1] for name, now in model.state_dict().items() if not torch.equal(now, before[name])}
    assert changed == {"two", "outputs"}
    assert not model.rows["one"].training
    assert model.rows["two"].training


def test_body_is_all_before_the_head_and_a_wrong_row_is_named():
    model = network()
    assert frozen_rows(model, "body") == [model.rows["one"], model.rows["two"]]
    with pytest.raises(SettingsError, match="did you mean 'two'"):
        frozen_rows(model, "twoo")
    with pytest.raises(SettingsError, match="every parameter is frozen"):
        freeze(model, "outputs")
        update_for(model)


def test_fixed_norms_train_their_scale_and_keep_their_statistics():
    batch, _ = one_batch()
    model = network()
    statistics = {name: b.clone() for name, b in model.named_buffers()}
    update = update_for(model, eval_modules=freeze(model, has_fixed_norms=True))
    update.train_mode()
    norm = next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    scale = norm.weight.detach().clone()
    update(batch, 0)
    assert all(torch.equal(b, statistics[name]) for name, b in model.named_buffers())
    assert not torch.equal(norm.weight.detach(), scale)


def test_wrong_labels_are_a_share_depend_on_the_id_alone_and_spare_other_splits():
    values = np.arange(3000) % 5
    target = Label(values, tuple("abcde"))
    ids = tuple(f"{i}.png" for i in range(3000))
    train = np.arange(2000)
    wrong = target.with_noise(ids, train, 0.3, 7).values
    is_hit = wrong != values
    assert is_hit[:2000].mean() == pytest.approx(0.3, abs=0.03)
    assert not is_hit[2000:].any()
    shifts = np.bincount((wrong - values)[:2000][is_hit[:2000]] % 5, minlength=5)
    assert shifts[0] == 0
    assert shifts[1:].min() > 100, "each other class is as likely"
    order = np.random.default_rng(0).permutation(3000)
    moved = Label(values[order], target.names).with_noise(
        tuple(ids[i] for i in order), np.flatnonzero(order < 2000), 0.3, 7
    )
    assert np.array_equal(moved.values, wrong[order])
    assert not np.array_equal(target.with_noise(ids, train, 0.3, 8).values, wrong)
    tags = Tags(np.zeros((2000, 3), np.uint8), tuple("abc"))
    assert tags.with_noise(ids, train, 0.1, 0).values.mean() == pytest.approx(0.1, abs=0.02)
    with pytest.raises(SettingsError, match="label noise needs classes"):
        Mask.of(np.zeros((9, 1, 1))).with_noise(ids, np.arange(9), 0.1, 0)


def test_noise_on_numbers_is_a_share_of_their_own_deviation_and_of_the_training_images_only():
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(3000, 2)) * [2, 50] + [5, -300]).astype(np.float32)
    ids, train = tuple(map(str, range(3000))), np.arange(2500)
    target = Number(values, ("a", "b"))
    noise = target.with_noise(ids, train, 0.2, 7).values - values
    assert noise.dtype == np.float32
    assert not noise[2500:].any()
    np.testing.assert_allclose(noise[:2500].std(axis=0), [0.4, 10], rtol=0.06)
    assert np.abs(np.corrcoef(noise[:2500].T)[0, 1]) < 0.06, "each number has noise of its own"
    np.testing.assert_array_equal(target.with_noise(ids, train, 0.2, 7).values - values, noise)


def test_the_look_at_rows_agrees_with_autograd_and_changes_nothing():
    batch, _ = one_batch()
    model = network().train()
    with torch.no_grad():
        conv = next(m for m in model.rows["two"].modules() if isinstance(m, nn.Conv2d))
        conv.weight[:3] = 0
        conv.bias[:3] = -1  # three of eight units can never be positive
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    found = look(model, update_for(model).loss, batch)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(now, before[name]) for name, now in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert all(p.grad is None for p in model.parameters())
    twin = copy.deepcopy(model)
    cross_entropy(twin, batch.images, batch.targets["t"]).backward()
    for name in ("one", "two", "outputs"):
        norm = math.sqrt(sum(float(p.grad.square().sum()) for p in twin.rows[name].parameters()))
        assert found[name]["gradient_norm"] == pytest.approx(norm, rel=1e-4)
    maps = copy.deepcopy(model).features(batch.images, at="two")["two"].detach()
    assert found["two"]["activation_std"] == pytest.approx(float(maps.std(correction=0)), rel=1e-4)
    assert found["two"]["dead_frac"] == float((maps.amax((0, 2, 3)) <= 0).float().mean()) >= 3 / 8
    assert "dead_frac" not in found["outputs"]


def test_the_look_works_on_a_single_image_and_on_any_module():
    batch, _ = one_batch()
    alone = Batch(batch.images[:1], {"t": batch.targets["t"][:1]}, batch.index[:1])
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192), nn.Linear(192, 4), nn.ReLU(), nn.Linear(4, 3))
    found = look(model.train(), update_for(model).loss, alone)
    assert found["2"]["gradient_norm"] >= 0
    assert 0 <= found["3"]["dead_frac"] <= 1
