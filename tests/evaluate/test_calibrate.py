"""Temperature scaling against scipy's minimiser and scikit-learn's losses."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from striate.base.errors import DataError
from striate.evaluate.calibrate import fit_temperature, reliability
from striate.task.classify import Classify
from striate.task.tag import Tag
from striate.task.temperature import Sigmoid, Softmax

NAMES = ("a", "b", "c")

WAYS = {"label": Softmax(), "tags": Sigmoid()}


def drawn(kind: str, true_temperature: float, seed: int = 0, num: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `true_temperature` times too sure, and truth drawn from the right probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (num, 3))
    if kind == "tags":
        truth = (rng.random((num, 3)) < expit(logits)).astype(np.int64)
    else:
        truth = np.array([rng.choice(3, p=row) for row in softmax(logits, axis=1)])
    return (logits * true_temperature).astype(np.float32), truth


def sklearn_loss(kind: str, logits: np.ndarray, truth: np.ndarray, temperature: float) -> float:
    scaled = logits.astype(np.float64) / temperature
    if kind == "label":
        return log_loss(truth, softmax(scaled, axis=1), labels=[0, 1, 2])
    return float(np.mean([log_loss(truth[:, k], expit(scaled[:, k]), labels=[0, 1]) for k in range(3)]))


@pytest.mark.parametrize("kind", ["label", "tags"])
@pytest.mark.parametrize("true_temperature", [0.3, 1.0, 4.0])
def test_the_temperature_is_scipys_minimum(kind, true_temperature):
    logits, truth = drawn(kind, true_temperature)
    found = fit_temperature(WAYS[kind], logits, truth)
    best = minimize_scalar(
        lambda t: sklearn_loss(kind, logits, truth, np.exp(t)),
        bounds=(-4, 4),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert found == pytest.approx(np.exp(best.x), rel=1e-4)
    assert found == pytest.approx(true_temperature, rel=0.2)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.2, 5))
def test_no_other_temperature_has_a_smaller_loss(seed, true_temperature):
    logits, truth = drawn("label", true_temperature, seed, num=80)
    found = fit_temperature(Softmax(), logits, truth)
    at = [sklearn_loss("label", logits, truth, found * factor) for factor in (1, 0.97, 1.03)]
    assert at[0] <= min(at[1:])


@pytest.mark.parametrize("kind", ["label", "tags"])
def test_loss_and_calibration_error_are_sklearns(kind):
    logits, truth = drawn(kind, 3.0)
    task = Classify("y", NAMES) if kind == "label" else Tag("y", NAMES)
    for temperature in (1.0, 2.7):
        found = reliability(task, torch.from_numpy(logits), torch.from_numpy(truth), temperature)
        assert found["loss"] == pytest.approx(sklearn_loss(kind, logits, truth, temperature), rel=1e-5)
        scaled = logits.astype(np.float64) / temperature
        p = softmax(scaled, axis=1) if kind == "label" else expit(scaled)
        sure, right = (p.max(1), p.argmax(1) == truth) if kind == "label" else (p.ravel(), truth.ravel())
        shares, means = calibration_curve(right, sure, n_bins=15)
        counts = np.histogram(sure, np.linspace(0, 1, 16))[0]
        error = np.average(np.abs(shares - means), weights=counts[counts > 0])
        assert found["ece"] == pytest.approx(error, abs=1e-5)


def test_fitting_makes_other_images_better_calibrated():
    task = Classify("y", NAMES)
    temperature = fit_temperature(Softmax(), *drawn("label", 4.0, seed=1))
    logits, truth = (torch.from_numpy(column) for column in drawn("label", 4.0, seed=2))
    before, after = reliability(task, logits, truth), reliability(task, logits, truth, temperature)
    assert after["ece"] < before["ece"] / 2
    assert after["loss"] < before["loss"]


def test_there_is_no_temperature_where_every_image_is_right():
    logits = np.array([[2.0, 0.0], [0.0, 1.0]])
    with pytest.raises(DataError, match="every image is right"):
        fit_temperature(Softmax(), logits, [0, 1])


def test_there_is_no_temperature_for_a_network_that_knows_nothing():
    logits = np.array([[2.0, 0.0], [0.0, 1.0]])
    with pytest.raises(DataError, match="no better than chance"):
        fit_temperature(Softmax(), logits, [1, 0])
