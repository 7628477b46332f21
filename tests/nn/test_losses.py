"""Losses against their formulas in numpy, torchvision's focal loss, and what every loss must keep to."""

import numpy as np
import pytest
import torch

from striate.base import torchvision as tv
from striate.nn.losses import LOSSES, LossOptions, at_boundary, boundary, cross_entropy, dice, focal, lovasz, nearness

K = 4
SHARED = pytest.mark.parametrize("name", LOSSES)


def maps(seed: int = 0, size_hw: tuple[int, int] = (6, 7)) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits (3, K, H, W) float64 and their truth, of which a fifth is unknown; class 3 is nowhere true."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, K - 1, (3, *size_hw))
    truth[rng.random(truth.shape) < 0.2] = 255
    return torch.from_numpy(rng.normal(size=(3, K, *size_hw))), torch.from_numpy(truth)


def known(logits: torch.Tensor, truth: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities (P, K) and classes (P,) of the known pixels."""
    rows = logits.numpy().transpose(0, 2, 3, 1).reshape(-1, K)
    shares = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
    is_known = truth.numpy().ravel() != 255
    return shares[is_known], truth.numpy().ravel()[is_known]


def options(weights: list[float] | None = None, **more: float) -> LossOptions:
    made = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    return LossOptions(made, ignore=255, **more)


WEIGHTS = [0.5, 2.0, 1.0, 3.0]


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_focal_loss_is_its_formula_and_without_gamma_cross_entropy(weights, gamma, smoothing):
    logits, truth = maps()
    shares, classes = known(logits, truth)
    soft = (1 - smoothing) * np.eye(K)[classes] + smoothing / K
    each = (soft * (1 - shares) ** gamma * -np.log(shares)).sum(1)
    weight = np.ones(len(classes)) if weights is None else np.array(weights)[classes]
    expected = (each * weight).sum() / weight.sum()
    told = options(weights, gamma=gamma, smoothing=smoothing)
    assert float(focal(logits, truth, told)) == pytest.approx(expected)
    if gamma == 0:
        assert float(cross_entropy(logits, truth, told)) == pytest.approx(expected)


def test_focal_loss_of_two_classes_is_torchvisions():
    rng = np.random.default_rng(0)
    scores, truth = torch.from_numpy(rng.normal(size=50)), torch.from_numpy(rng.integers(0, 2, 50))
    logits = torch.stack([torch.zeros(50, dtype=torch.float64), scores], 1)
    expected = tv.load("torchvision.ops").sigmoid_focal_loss(
        scores, truth.double(), alpha=-1, gamma=2, reduction="mean"
    )
    assert float(focal(logits, truth)) == pytest.approx(float(expected))


def test_shares_of_mixed_images_are_weighed_by_their_parts():
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(5, K)))
    truth = torch.tensor([0, 1, 2, 3, 1])
    shares = torch.eye(K, dtype=torch.float64)[truth]
    for loss in (cross_entropy, focal):
        for told in (LossOptions(), LossOptions(torch.tensor(WEIGHTS, dtype=torch.float64), smoothing=0.1)):
            assert float(loss(logits, shares, told)) == pytest.approx(float(loss(logits, truth, told)))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_dice_loss_is_its_formula_over_the_classes_that_are_there(weights):
    logits, truth = maps()
    shares, classes = known(logits, truth)
    parts = [1 - 2 * shares[classes == k, k].sum() / (shares[:, k].sum() + (classes == k).sum()) for k in range(K - 1)]
    expected = np.average(parts, weights=None if weights is None else weights[: K - 1])
    assert float(dice(logits, truth, options(weights))) == pytest.approx(expected)


def lovasz_extension(errors: np.ndarray, is_true: np.ndarray) -> float:
    """Return the Lovász extension of 1 - IoU, by its definition: sets of the largest errors, one pixel more each."""

    def loss(wrong: set[int]) -> float:
        area = set(np.flatnonzero(is_true))
        return len(wrong) / len(area | wrong) if wrong else 0.0

    order = np.argsort(-errors, kind="stable").tolist()
    return sum(
        errors[pixel] * (loss(set(order[: rank + 1])) - loss(set(order[:rank]))) for rank, pixel in enumerate(order)
    )


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_lovasz_softmax_is_the_extension_of_the_iou_loss(weights):
    logits, truth = maps(1)
    shares, classes = known(logits, truth)
    parts = [lovasz_extension(np.abs((classes == k) - shares[:, k]), classes == k) for k in range(K - 1)]
    expected = np.average(parts, weights=None if weights is None else weights[: K - 1])
    assert float(lovasz(logits, truth, options(weights))) == pytest.approx(expected)


def test_lovasz_and_dice_of_a_network_that_is_sure_are_1_minus_iou_and_dice():
    _, truth = maps(2)
    given = torch.from_numpy(np.random.default_rng(3).integers(0, K, truth.shape))
    logits = 100 * torch.eye(K, dtype=torch.float64)[given].permute(0, 3, 1, 2)
    true, predicted = (one[truth != 255].numpy() for one in (truth, given))
    pairs = [((true == k) & (predicted == k), (true == k) | (predicted == k)) for k in range(K - 1)]
    iou = np.mean([both.sum() / either.sum() for both, either in pairs])
    f1 = np.mean([2 * both.sum() / (both.sum() + either.sum()) for both, either in pairs])
    assert float(lovasz(logits, truth, options())) == pytest.approx(1 - iou)
    assert float(dice(logits, truth, options())) == pytest.approx(1 - f1)


def near_by_hand(mask: np.ndarray) -> np.ndarray:
    """Return how near (0 to 1) each pixel of a mask is to a boundary, pixel by pixel."""
    height, width = mask.shape
    places = [
        (y, x)
        for y, x in np.ndindex(mask.shape)
        for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0))
        if 0 <= y + down < height and 0 <= x + right < width
        and 255 not in (mask[y, x], mask[y + down, x + right]) and mask[y, x] != mask[y + down, x + right]
    ]  # fmt: skip
    found = np.zeros(mask.shape)
    for y, x in np.ndindex(mask.shape):
        steps = min((max(abs(y - row), abs(x - column)) for row, column in places), default=99)
        found[y, x] = np.exp(-(steps**2) / 8) if steps < 6 else 0
    return found


def test_boundary_weights_fall_with_the_distance():
    rng = np.random.default_rng(0)
    truth = np.repeat(np.repeat(rng.integers(0, 3, (4, 2, 2)), 8, 1), 9, 2)
    truth[:, 3:5, 2:6] = 255
    truth[0] = 1
    near = np.stack([near_by_hand(mask) for mask in truth])
    assert nearness(torch.from_numpy(truth), 255).numpy() == pytest.approx(near, rel=1e-6)
    assert np.array_equal(at_boundary(torch.from_numpy(truth), 255).numpy(), near == 1)
    logits = torch.from_numpy(rng.normal(size=(4, K, *truth.shape[1:])))
    weight = (1 + 5 * near)[truth != 255]
    shares, classes = known(logits, torch.from_numpy(truth))
    expected = (-np.log(shares[np.arange(len(classes)), classes]) * weight).sum() / weight.sum()
    assert float(boundary(logits, torch.from_numpy(truth), options())) == pytest.approx(expected)


@SHARED
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_gradients_are_those_of_the_loss(name, weights):
    logits, truth = maps(4, (3, 4))
    told = options(weights, smoothing=0.1)
    assert torch.autograd.gradcheck(lambda one: LOSSES[name](one, truth, told), logits.requires_grad_())


@SHARED
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_where_nothing_is_known_loss_and_gradient_are_0(name, weights):
    logits, truth = maps()
    logits.requires_grad_()
    loss = LOSSES[name](logits, torch.full_like(truth, 255), options(weights))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()


@SHARED
def test_what_is_ignored_has_no_part_in_the_loss(name):
    logits, truth = maps()
    other = logits.clone()
    other.movedim(1, -1)[truth == 255] = 1e4
    assert float(LOSSES[name](other, truth, options())) == float(LOSSES[name](logits, truth, options()))


@SHARED
def test_a_network_that_is_right_and_sure_loses_nothing_and_one_that_is_wrong_keeps_a_slope(name):
    _, truth = maps()
    right = torch.eye(K)[truth.where(truth != 255, 0)].permute(0, 3, 1, 2) * 200
    wrong = (-right).requires_grad_()
    loss = LOSSES[name](wrong, truth, LossOptions(ignore=255))
    loss.backward()
    assert float(LOSSES[name](right, truth, LossOptions(ignore=255))) < 1e-6 < float(loss.detach())
    assert torch.isfinite(wrong.grad).all()


def test_one_pixel():
    truth = torch.tensor([[[2]]])
    logits = torch.tensor([0.0, 0.0, 1.0, 0.0]).reshape(1, 4, 1, 1)
    share = np.e / (np.e + 3)
    told = LossOptions(ignore=255)
    values = {name: float(LOSSES[name](logits, truth, told)) for name in LOSSES}
    assert values == pytest.approx(
        {
            "cross-entropy": -np.log(share),
            "focal": -((1 - share) ** 2) * np.log(share),
            "boundary": -np.log(share),
            "dice": 1 - 2 * share / (share + 1),
            "lovasz": 1 - share,
        }
    )
