"""Adversarial images against torch's autograd by hand, a closed form, and the limits that they must keep."""

import numpy as np
import pytest
import torch
from torch import nn

from striate.base.errors import SettingsError
from striate.data.sample import Batch
from striate.inside.adversarial import (
    Attack,
    AttackedBatches,
    PixelSpace,
    attacked,
    flips,
    lowering,
    raising,
)
from striate.task.classify import Classify
from striate.task.tag import Tag

SPACE = PixelSpace((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
CLASSES = Classify("label", ("a", "b", "c", "d"))


@pytest.fixture
def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(8 * 36, 4)
    return nn.Sequential(*layers).train()


@pytest.fixture
def pixels():
    return torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def batch_of(pixels, truth):
    targets = {"label": torch.tensor(truth)}
    return Batch(SPACE.normalised(pixels), targets, np.arange(len(pixels)))


def by_hand(network, pixels, truth):
    """The gradient of the cross-entropy by the pixels, with nothing of the package."""
    network.eval()
    x = pixels.clone().requires_grad_()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (SPACE.mean, SPACE.std))
    nn.functional.cross_entropy(network((x - mean) / std), torch.tensor(truth), reduction="sum").backward()
    network.zero_grad()
    network.train()
    return x.grad


def test_fgsm_is_a_step_along_the_sign_of_the_gradient(network, pixels):
    truth = [0, 1, 2, 3, 0]
    found = attacked(network, pixels, raising(CLASSES, batch_of(pixels, truth)), SPACE, Attack(4 / 255))
    expected = (pixels + 4 / 255 * by_hand(network, pixels, truth).sign()).clamp(0, 1)
    assert torch.allclose(found, expected, atol=1e-6)
    assert (found - pixels).abs().max() <= 4 / 255 + 1e-7


def test_a_step_of_pgd_follows_the_gradient_at_its_random_start_and_is_brought_back(network, pixels):
    truth, eps = [0, 1, 2, 3, 0], 8 / 255
    losses = raising(CLASSES, batch_of(pixels, truth))
    start = attacked(network, pixels, losses, SPACE, Attack(eps, "pgd", steps=1, step=0.0, seed=3))
    assert (start - pixels).abs().max() > eps / 2
    found = attacked(network, pixels, losses, SPACE, Attack(eps, "pgd", steps=1, step=eps, seed=3))
    ahead = start + eps * by_hand(network, start, truth).sign()
    expected = (pixels + (ahead - pixels).clamp(-eps, eps)).clamp(0, 1)
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("method", ["fgsm", "pgd"])
@pytest.mark.parametrize("eps", [0.0, 1 / 255, 16 / 255, 1.0])
def test_no_number_moves_further_than_eps_or_out_of_range(network, pixels, method, eps):
    found = attacked(network, pixels, raising(CLASSES, batch_of(pixels, [0] * 5)), SPACE, Attack(eps, method, 3))
    assert (found - pixels).abs().max() <= eps + 1e-7
    assert found.min() >= 0
    assert found.max() <= 1


def test_on_a_linear_network_fgsm_takes_eps_times_the_sum_of_the_weights_from_the_margin(pixels):
    linear = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    two, eps = Classify("label", ("a", "b")), 0.01
    middle = 0.5 + (pixels - 0.5) / 2  # nothing is cut at 0 or 1
    changed = attacked(linear, middle, raising(two, batch_of(middle, [0] * 5)), SPACE, Attack(eps))
    weights = (linear[1].weight[0] - linear[1].weight[1]).view(3, 8, 8) / torch.tensor(SPACE.std).view(3, 1, 1)
    with torch.no_grad():
        margin = [linear(SPACE.normalised(x)) @ torch.tensor([1.0, -1.0]) for x in (middle, changed)]
        assert torch.allclose(margin[0] - margin[1], eps * weights.abs().sum().expand(5), rtol=1e-4)


def test_pgd_is_at_least_as_strong_as_fgsm_and_a_target_is_reached(network, pixels):
    truth, eps = [0, 1, 2, 3, 0], 0.1
    batch = batch_of(pixels, truth)

    def loss_after(attack):
        changed = attacked(network, pixels, raising(CLASSES, batch), SPACE, attack)
        network.eval()
        with torch.no_grad():
            return CLASSES.losses(network(SPACE.normalised(changed)), batch).mean()

    clean, one_step, many = (loss_after(a) for a in (Attack(0.0), Attack(eps), Attack(eps, "pgd", 20)))
    assert clean < one_step <= many * 1.001
    wanted = batch_of(pixels, [3] * 5)
    changed = attacked(network, pixels, lowering(CLASSES, wanted), SPACE, Attack(0.3, "pgd", 40))
    assert (network(SPACE.normalised(changed)).argmax(1) == 3).all()


def test_the_random_start_belongs_to_the_image_not_to_its_batch(network, pixels):
    attack = Attack(8 / 255, "pgd", 2, seed=5)
    whole = attacked(network, pixels, raising(CLASSES, batch_of(pixels, [0] * 5)), SPACE, attack, [4, 7, 1, 0, 2])
    alone = attacked(network, pixels[1:2], raising(CLASSES, batch_of(pixels[1:2], [0])), SPACE, attack, [7])
    assert torch.allclose(whole[1:2], alone, atol=1e-6)


def test_the_network_is_given_back(network, pixels):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    attacked(network, pixels, raising(CLASSES, batch_of(pixels, [0] * 5)), SPACE, Attack(0.1, "pgd", 2))
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(one.grad is None and one.requires_grad for one in network.parameters())


class OneBatch:
    def __init__(self, batch):
        self.batch = batch

    def batches(self, epoch, start=0):
        yield self.batch


def test_a_reader_in_inference_mode_gets_attacked_batches(network, pixels):
    batch, counts = batch_of(pixels, [0, 1, 2, 3, 0]), []
    source = AttackedBatches(OneBatch(batch), network, CLASSES, SPACE, Attack(0.05), counts.append)
    with torch.inference_mode():
        (found,) = source.batches(0)
    expected = attacked(network, pixels, raising(CLASSES, batch), SPACE, Attack(0.05))
    assert torch.allclose(found.images, SPACE.normalised(expected), atol=1e-5)
    assert counts == [5]
    assert found.targets is batch.targets


def test_tags_are_attacked_by_their_own_loss(pixels):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    tags, truth = Tag("label", ("x", "y", "z")), torch.tensor([[1.0, 0, 1]] * 5)
    batch = Batch(SPACE.normalised(pixels), {"label": truth}, np.arange(5))
    changed = attacked(network, pixels, raising(tags, batch), SPACE, Attack(0.05))
    scores = [network(SPACE.normalised(x)) for x in (pixels, changed)]
    bce = [nn.functional.binary_cross_entropy_with_logits(one, truth) for one in scores]
    assert bce[1] > bce[0]


def test_the_smallest_eps_that_flips_is_that_of_the_grid(network, pixels):
    own = int(network.eval()(SPACE.normalised(pixels[:1])).argmax())
    found = flips(network, pixels[:1], raising(CLASSES, batch_of(pixels[:1], [own])), CLASSES, SPACE)
    gradient = by_hand(network, pixels[:1], [own]).sign()
    network.eval()
    with torch.no_grad():
        answers = [
            int(network(SPACE.normalised((pixels[:1] + eps * gradient).clamp(0, 1))).argmax()) for eps in found.eps
        ]
    assert found.values.tolist() == answers
    assert found.smallest == next((e for e, a in zip(found.eps, answers, strict=True) if a != own), None)
    assert found.smallest is not None
    assert found.probabilities.shape == (17, 4)


@pytest.mark.parametrize("values", [{"eps": -0.1}, {"eps": 2}, {"eps": 0.1, "method": "magic"}, {"eps": 0, "steps": 0}])
def test_an_attack_that_cannot_be_is_refused(values):
    with pytest.raises(SettingsError):
        Attack(**values)


@pytest.mark.parametrize("grid", [[0.1, 0.2], [0, 0.2, 0.2]])
def test_a_grid_that_does_not_rise_from_0_is_refused(network, pixels, grid):
    with pytest.raises(SettingsError, match="rises from 0"):
        flips(network, pixels[:1], raising(CLASSES, batch_of(pixels[:1], [0])), CLASSES, SPACE, grid)
