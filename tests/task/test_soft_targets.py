"""Mixed targets: losses against torch's with probabilities, hard ones as a special case, accuracy by the largest."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from task_batches import batch_of

from striate.data.target import Label, Tags
from striate.task import for_target

RNG = np.random.default_rng(3)
LABELS = Label(RNG.choice(4, 40, p=[0.4, 0.3, 0.2, 0.1]), ("a", "b", "c", "d"))
OUTPUTS = torch.from_numpy(RNG.normal(size=(40, 4)).astype(np.float32))
SHARES = torch.from_numpy(RNG.dirichlet([0.5] * 4, 40).astype(np.float32))
HARD = torch.from_numpy(LABELS.values)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_shares_is_torchs_cross_entropy_with_probabilities(smoothing):
    task = for_target("t", LABELS, LABELS.values, label_smoothing=smoothing)
    expected = F.cross_entropy(OUTPUTS, SHARES, label_smoothing=smoothing)
    assert task.loss(OUTPUTS, batch_of("t", SHARES))["cross_entropy"].item() == pytest.approx(expected.item(), rel=1e-6)
    np.testing.assert_allclose(
        task.losses(OUTPUTS, batch_of("t", SHARES)), F.cross_entropy(OUTPUTS, SHARES, reduction="none")
    )
    by_hand = -((SHARES * (1 - smoothing) + smoothing / 4).double() * OUTPUTS.double().log_softmax(1)).sum(1).mean()
    assert expected.item() == pytest.approx(by_hand.item(), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("is_balanced", [False, True])
def test_shares_of_one_class_are_labels(smoothing, is_balanced):
    task = for_target("t", LABELS, LABELS.values, label_smoothing=smoothing, is_balanced=is_balanced)
    one_hot = F.one_hot(HARD, 4).float()
    hard, soft = (task.loss(OUTPUTS, batch_of("t", truth))["cross_entropy"].item() for truth in (HARD, one_hot))
    assert soft == pytest.approx(hard, rel=1e-5)
    np.testing.assert_allclose(
        task.tally(OUTPUTS, batch_of("t", one_hot)), task.tally(OUTPUTS, batch_of("t", HARD)), rtol=1e-5
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_mixed_image_weighs_as_its_classes_do_by_their_shares(smoothing):
    task = for_target("t", LABELS, LABELS.values, label_smoothing=smoothing, is_balanced=True)
    weights = SHARES.double() @ torch.tensor(task.class_weights, dtype=torch.float64)
    losses = -((SHARES * (1 - smoothing) + smoothing / 4) * OUTPUTS.double().log_softmax(1)).sum(1)
    expected = ((losses * weights).sum() / weights.sum()).item()
    assert task.loss(OUTPUTS, batch_of("t", SHARES))["cross_entropy"].item() == pytest.approx(expected, rel=1e-5)


def test_class_weights_without_smoothing_are_those_of_torch():
    task = for_target("t", LABELS, LABELS.values, is_balanced=True)
    expected = F.cross_entropy(OUTPUTS, HARD, torch.tensor(task.class_weights)).item()
    assert task.loss(OUTPUTS, batch_of("t", HARD))["cross_entropy"].item() == pytest.approx(expected, rel=1e-5)


def test_a_prediction_is_right_when_it_names_the_largest_share():
    task = for_target("t", LABELS, LABELS.values)
    scores = task.summarise(task.tally(OUTPUTS, batch_of("t", SHARES)))
    assert scores["accuracy"] == pytest.approx((OUTPUTS.argmax(1) == SHARES.argmax(1)).float().mean().item())
    assert scores["loss"] == pytest.approx(F.cross_entropy(OUTPUTS, SHARES).item(), rel=1e-5)


def test_mixed_tags_have_a_loss_by_their_shares_and_count_from_a_half_on():
    tags = Tags(RNG.integers(0, 2, (40, 4)).astype(np.uint8), ("a", "b", "c", "d"))
    task, shares = for_target("t", tags, tags.values), torch.rand(40, 4, generator=torch.Generator().manual_seed(0))
    p = OUTPUTS.double().sigmoid()
    expected = -(shares * p.log() + (1 - shares) * (1 - p).log()).mean().item()
    assert task.loss(OUTPUTS, batch_of("t", shares))["binary_cross_entropy"].item() == pytest.approx(expected, rel=1e-5)
    scores = task.summarise(task.tally(OUTPUTS, batch_of("t", shares)))
    assert scores["loss"] == pytest.approx(expected, rel=1e-5)
    assert scores["exact_match"] == pytest.approx(((OUTPUTS > 0) == (shares >= 0.5)).all(1).float().mean().item())


def test_gradients_of_shares_are_the_mean_of_those_of_the_labels():
    outputs = OUTPUTS.clone().requires_grad_()
    task, other = for_target("t", LABELS, LABELS.values), HARD.roll(1)
    mixed = 0.3 * F.one_hot(HARD, 4).float() + 0.7 * F.one_hot(other, 4).float()
    found = [
        torch.autograd.grad(task.loss(outputs, batch_of("t", truth))["cross_entropy"], outputs)[0]
        for truth in (mixed, HARD, other)
    ]
    torch.testing.assert_close(found[0], 0.3 * found[1] + 0.7 * found[2])
