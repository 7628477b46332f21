"""Curves with a planted turn, and curves without one."""

import numpy as np
import pytest

from striate.evaluate.curves import generalisation_gap, is_overfit, overfit_epoch


def curve(
    num: int,
    turn: int | None = None,
    *,
    noise: float = 0.0,
    wobble: float = 0.0,
    seed: int = 0,
    train_rises: bool = False,
) -> list[dict[str, object]]:
    """Return a history: both losses fall; from `turn` on validation loss rises by 0.8 / num an epoch."""
    rng = np.random.default_rng(seed)
    epoch = np.arange(1, num + 1)
    shake = rng.normal(0, noise, num)
    for i in range(1, num):
        shake[i] += wobble * shake[i - 1]
    after = np.maximum(0, epoch - (turn or num)) / num
    val = 0.6 + 1.6 * np.exp(-epoch / (num / 6)) + 0.8 * after + shake
    train = 0.3 + 1.9 * np.exp(-epoch / (num / 6)) + (0.5 if train_rises else -0.2) * after
    return [row(int(e), float(t), float(v)) for e, t, v in zip(epoch, train, val, strict=True)]


def row(epoch: int, train_loss: float, val_loss: float, train: float = 0.9, val: float = 0.8) -> dict[str, object]:
    return {
        "epoch": epoch,
        "train": {"loss": train_loss, "accuracy": train},
        "val": {"loss": val_loss, "accuracy": val},
    }


@pytest.mark.parametrize(("num", "turn"), [(20, 12), (30, 15), (60, 30), (100, 60)])
def test_a_planted_turn_is_found(num: int, turn: int) -> None:
    for seed in range(20):
        found = overfit_epoch(curve(num, turn, noise=0.01, seed=seed))
        assert found is not None and abs(found - turn) <= max(2, 0.15 * num)


@pytest.mark.parametrize("num", [8, 15, 30, 60, 100])
@pytest.mark.parametrize("wobble", [0.0, 0.6])
def test_noise_alone_is_hardly_ever_a_turn(num: int, wobble: float) -> None:
    found = [
        overfit_epoch(curve(num, noise=noise, wobble=wobble, seed=seed))
        for noise in (0.01, 0.05)
        for seed in range(100)
    ]
    assert np.mean([epoch is not None for epoch in found]) <= 0.03


def test_a_single_spike_is_no_turn() -> None:
    history = curve(30)
    history[22]["val"]["loss"] = 5.0
    assert overfit_epoch(history) is None


def test_a_rise_that_comes_back_is_no_turn() -> None:
    history = [
        row(e, 1 / e, v) for e, v in enumerate([2, 1.5, 1.2, 1, 1.3, 1.5, 1.5, 1.3, 1.1, 1, 0.95, 0.9, 0.88, 0.86], 1)
    ]
    assert overfit_epoch(history) is None


def test_a_rise_of_both_losses_is_divergence_not_overfitting() -> None:
    assert overfit_epoch(curve(40, 20, train_rises=True)) is None
    assert overfit_epoch(curve(40, 20)) is not None


@pytest.mark.parametrize("num", range(6))
def test_short_histories_say_nothing(num: int) -> None:
    assert overfit_epoch(curve(max(num, 1), 1)[:num]) is None


def test_epochs_without_a_number_are_left_out() -> None:
    history = curve(40, 20)
    expected = overfit_epoch(history)
    history[5]["val"]["loss"] = None
    history[6]["val"] = {}
    history[30]["val"]["loss"] = float("nan")
    assert abs(overfit_epoch(history) - expected) <= 1


def test_gap_of_a_score_and_of_an_error() -> None:
    history = [{"epoch": 3, "train": {"accuracy": 0.95, "rmse": 1.0}, "val": {"accuracy": 0.7, "rmse": 1.5}}]
    assert generalisation_gap(history, 3) == pytest.approx(0.25)
    assert generalisation_gap(history, 3, "rmse", "min") == pytest.approx(0.5)
    assert generalisation_gap(history, 4) is None
    assert generalisation_gap(history, 3, "f1") is None


@pytest.mark.parametrize(
    ("train", "val", "is_share", "half_width", "expected"),
    [
        (0.99, 0.741, True, 0.0, True),
        (0.95, 0.91, True, 0.0, False),
        (0.95, 0.85, True, 0.12, False),  # 20 images: within what they can say
        (3.0, 6.0, False, 0.0, True),
        (5.5, 6.0, False, 0.0, False),
        (float("nan"), 0.9, True, 0.0, False),
    ],
)
def test_overfitting_is_a_wide_gap(train: float, val: float, is_share: bool, half_width: float, expected: bool) -> None:
    assert is_overfit(train, val, is_share=is_share, half_width=half_width) == expected
