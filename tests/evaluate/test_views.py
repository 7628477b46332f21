"""Test-time augmentation against the same thing done by hand in numpy."""

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from torch import nn

from striate.base.errors import DataError, SettingsError
from striate.evaluate.views import MAX_VIEWS, Averaged, view
from striate.task.classify import Classify
from striate.task.regress import Regress
from striate.task.tag import Tag

# mirrored, rows down, columns right, in the order that is documented
BY_HAND = [(m, *step) for step in [(0, 0), (-1, -1), (1, 1), (-1, 1), (1, -1)] for m in (False, True)]


def seen_by_hand(images: np.ndarray, number: int) -> np.ndarray:
    """Move by looking up each pixel's source, reflected at the edge."""
    mirrored, down, right = BY_HAND[number]
    side = images.shape[3]
    step = max(1, round(side / 32))
    places = np.arange(side)
    rows, columns = (_reflected(places - step * by, side) for by in (down, right))
    moved = (images[:, :, :, ::-1] if mirrored else images)[:, :, rows][:, :, :, columns]
    return np.ascontiguousarray(moved)


def _reflected(places: np.ndarray, side: int) -> np.ndarray:
    return np.where(places < 0, -places, np.where(places >= side, 2 * (side - 1) - places, places))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(5, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))


@pytest.mark.parametrize("number", range(MAX_VIEWS))
def test_a_view_is_the_picture_mirrored_and_moved(images, number):
    assert np.array_equal(view(images, number).numpy(), seen_by_hand(images.numpy(), number))


def test_views_differ_from_each_other(images):
    views = [view(images, number) for number in range(MAX_VIEWS)]
    assert all(not torch.equal(a, b) for i, a in enumerate(views) for b in views[:i])


@pytest.mark.parametrize("num", [1, 2, 6, 10])
@pytest.mark.parametrize("kind", ["label", "tags"])
def test_probabilities_are_averaged(images, network, num, kind):
    task = Classify("y", ("a", "b", "c")) if kind == "label" else Tag("y", ("a", "b", "c"))
    with torch.inference_mode():
        outputs = [network(torch.from_numpy(seen_by_hand(images.numpy(), k))).double().numpy() for k in range(num)]
        found = task.decode(Averaged(network, task, num)(images)).probabilities
    each = [softmax(one, axis=1) if kind == "label" else expit(one) for one in outputs]
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-6)


def test_sure_outputs_do_not_overflow():
    task = Tag("y", ("a", "b"))
    outputs = Averaged(nn.Flatten(), task, 2)(torch.tensor([[[[200.0, -200.0]]]]))
    assert task.decode(outputs).probabilities.tolist() == [[0.5, 0.5]]
    assert torch.isfinite(outputs).all()


@pytest.mark.parametrize("num", [0, -1, MAX_VIEWS + 1])
def test_there_are_ten_views(network, num):
    with pytest.raises(SettingsError, match=f"{num} views"):
        Averaged(network, Classify("y", ("a", "b", "c")), num)


def test_numbers_have_no_views(network):
    with pytest.raises(DataError, match="mirrored"):
        Averaged(network, Regress("angle", ("angle",), "deg", (0.0,), (1.0,)), 2)
