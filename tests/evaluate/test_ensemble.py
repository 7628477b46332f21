"""Ensembles against means taken by hand, and scikit-learn's scores of them."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from striate.evaluate.ensemble import combined
from striate.evaluate.layout import Labels, Numbers, Tags
from striate.evaluate.predictions import Predictions

IDS = tuple(f"{i}.png" for i in range(200))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def label_tables(rng: np.random.Generator, num: int = 3) -> list[Predictions]:
    truth = rng.integers(0, 3, len(IDS))
    tables = []
    for _ in range(num):
        p = rng.dirichlet(np.ones(3), len(IDS))
        p[np.arange(len(IDS)), truth] += 0.2
        p /= p.sum(1, keepdims=True)
        losses = -np.log(p[np.arange(len(IDS)), truth])
        tables.append(Predictions(truth, p.argmax(1), losses, p, layout=Labels(("a", "b", "c")), ids=IDS))
    return tables


def test_classes_by_the_mean_probability(rng):
    tables = label_tables(rng)
    whole = combined(tables)
    mean = sum(table.probabilities for table in tables) / 3
    np.testing.assert_allclose(whole.probabilities, mean, rtol=1e-12)
    assert whole.correct.mean() == accuracy_score(whole.truth, mean.argmax(1))
    assert whole.losses.mean() == pytest.approx(log_loss(whole.truth, mean))
    assert whole.losses.mean() <= np.mean([table.losses.mean() for table in tables])  # Jensen


def test_one_network_is_its_own_ensemble(rng):
    table = label_tables(rng, 1)[0]
    whole = combined([table])
    assert np.array_equal(whole.values, table.values)
    np.testing.assert_allclose(whole.losses, table.losses)


def test_the_order_of_the_runs_does_not_matter(rng):
    tables = label_tables(rng)
    np.testing.assert_allclose(combined(tables).probabilities, combined(tables[::-1]).probabilities, rtol=1e-12)


def test_tags_by_the_mean_probability(rng):
    truth = rng.integers(0, 2, (len(IDS), 2))
    probabilities = rng.random((3, len(IDS), 2))
    tables = [
        Predictions(truth, (p > 0.5).astype(int), np.zeros(len(IDS)), p, layout=Tags(("a", "b")), ids=IDS)
        for p in probabilities
    ]
    whole = combined(tables)
    mean = probabilities.mean(0)
    assert np.array_equal(whole.values, (mean > 0.5).astype(int))
    expected = np.mean([log_loss(truth[:, k], mean[:, k]) for k in range(2)])
    assert whole.losses.mean() == pytest.approx(expected)


def test_numbers_by_their_mean_and_losses_on_the_scale_of_the_task(rng):
    truth, said = rng.normal(size=(len(IDS), 2)), rng.normal(size=(3, len(IDS), 2))
    tables = [Predictions(truth, one, np.zeros(len(IDS)), layout=Numbers(("x", "y")), ids=IDS) for one in said]
    whole = combined(tables, std=(2.0, 4.0))
    mean = said.mean(0)
    np.testing.assert_allclose(whole.values, mean)
    np.testing.assert_allclose(whole.errors, np.abs(mean - truth).mean(1))
    np.testing.assert_allclose(whole.losses, (((mean - truth) / [2, 4]) ** 2).mean(1))


def test_angles_by_their_mean_direction():
    truth = np.array([[0.0], [90.0]])
    tables = [
        Predictions(truth, np.array(said), np.zeros(2), layout=Numbers(("angle",), "deg"), ids=("a", "b"))
        for said in ([[350.0], [80.0]], [[20.0], [100.0]])
    ]
    whole = combined(tables)
    np.testing.assert_allclose(whole.values, [[5.0], [90.0]], atol=1e-9)
    np.testing.assert_allclose(whole.errors, [5.0, 0.0], atol=1e-9)
    circle = np.deg2rad(5.0)
    np.testing.assert_allclose(whole.losses, [(np.sin(circle) ** 2 + (1 - np.cos(circle)) ** 2) / 2, 0], atol=1e-12)


def test_it_says_what_is_averaged():
    layouts = Labels(("a",)), Tags(("a",)), Numbers(("x",)), Numbers(("x",), "deg")
    assert [layout.combination for layout in layouts] == [
        "mean probability",
        "mean probability",
        "mean value",
        "mean direction",
    ]
