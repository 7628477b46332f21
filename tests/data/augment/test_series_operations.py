"""Operations for series against brute force, on the CPU's and the GPU's way of doing them."""

import numpy as np
import pytest
import torch
from scipy.interpolate import interp1d

from striate.data.augment import Jitter, Pipeline, Scale, Shift, TimeWarp, Window
from striate.data.augment.apply import Normal, apply_cpu
from striate.data.augment.device import apply_torch
from striate.data.augment.quality import noise_field

LENGTH, DIMS = 60, 2
OPS = [Jitter(max_std=0.3), Scale(amount=0.5), Shift(max_frac=0.2), Window(scale=(0.6, 0.8)), TimeWarp(amount=0.5)]


def series(num: int = 4) -> np.ndarray:
    """Levels of 16 bits (N, 1, L, D): smooth waves, far from both ends of the range."""
    time = np.linspace(0, 1, LENGTH)
    rng = np.random.default_rng(1)
    waves = [[np.sin(2 * np.pi * (rng.uniform(1, 3) * time + rng.uniform())) for _ in range(DIMS)] for _ in range(num)]
    return np.rint(32768 + 6000 * np.stack(waves)).astype(np.uint16).transpose(0, 2, 1)[:, None]


def applied(op, images: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Levels 0..255 (N, L, D) in float32 after an operation; both ways of doing it must agree."""
    hw = (1, images.shape[2])
    plan = Pipeline([op]).matrices(draws, hw, hw, images.mean((1, 2)) / 257)
    out = np.empty((len(images), *hw, images.shape[3]), np.float32)

    unit = Normal.of([0.0] * images.shape[3], [1 / 255] * images.shape[3], hw)
    apply_cpu(list(images), plan, normal=unit, out=out)
    zero, one = torch.zeros(images.shape[3]), torch.full((images.shape[3],), 1 / 255)
    other = apply_torch(torch.from_numpy(images), plan, zero, one).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(out, other, atol=0.35)
    return out[:, 0]


def levels(images: np.ndarray) -> np.ndarray:
    return images[:, 0].astype(np.float64) / 257


def test_scale_stretches_each_dimension_about_its_mean():
    images, draws = series(3), np.array([[0.0], [0.5], [1.0]], np.float32)
    found, before = applied(Scale(amount=0.5), images, draws), levels(images)
    for row, factor in enumerate((0.5, 1.0, 1.5)):
        for dim in range(DIMS):
            mean = before[row, :, dim].mean()
            np.testing.assert_allclose(found[row, :, dim], mean + factor * (before[row, :, dim] - mean), atol=0.01)


def test_jitter_adds_noise_in_units_of_the_series_own_deviation():
    images, draws = series(2), np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 0.5, 0.5, 0.999]], np.float32)
    found, before = applied(Jitter(max_std=0.4), images, draws), levels(images)
    field = noise_field((1, LENGTH), DIMS)
    for row, (share, left, top) in enumerate(((0.4, 0, 0), (0.2, int(0.5 * (LENGTH + 1)), 1))):
        noise = field[top, left : left + LENGTH]
        wanted = before[row] + share * before[row].std(0) * noise
        np.testing.assert_allclose(found[row], wanted, atol=0.01)


def test_a_window_fills_the_length():
    images, draws = series(2), np.array([[0.0, 0.0], [0.5, 1.0]], np.float32)
    found, before = applied(Window(scale=(0.6, 0.8)), images, draws), levels(images)
    for row, (share, start) in enumerate(((0.6, 0.0), (0.7, 0.3 * LENGTH))):
        places = start + (np.arange(LENGTH) + 0.5) * share - 0.5
        inside = (places > 0) & (places < LENGTH - 1)
        wanted = interp1d(np.arange(LENGTH), before[row], axis=0)(places[inside])
        np.testing.assert_allclose(found[row][inside], wanted, atol=0.35)  # OpenCV has 32 steps between samples


def test_time_runs_through_the_drawn_speeds():
    draws = np.array([[0.0, 0.25, 0.5, 0.75, 1.0], [0.5] * 5], np.float32)
    images = series(2)
    found, before = applied(TimeWarp(amount=0.5), images, draws), levels(images)
    fine = np.linspace(0, 1, 200_001)
    speed = np.interp(fine, np.linspace(0, 1, 5), [0.5, 0.75, 1.0, 1.25, 1.5])
    way = np.concatenate([[0], np.cumsum((speed[1:] + speed[:-1]) / 2)])
    places = np.interp(np.linspace(0, 1, LENGTH), fine, way / way[-1]) * (LENGTH - 1)
    wanted = interp1d(np.arange(LENGTH), before[0], axis=0)(places.clip(0, LENGTH - 1))
    np.testing.assert_allclose(found[0], wanted, atol=0.02)
    np.testing.assert_allclose(found[1], before[1], atol=0.01)  # an even speed moves nothing
    np.testing.assert_allclose(found[0][[0, -1]], before[0][[0, -1]], atol=0.01)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.kind)
def test_a_sample_gets_the_same_whatever_stands_beside_it(op):
    images, pipeline = series(6), Pipeline([op])
    all_of_them = applied(op, images, pipeline.draw(6, seed=3, epoch=2))
    some = applied(op, images[[4, 1]], pipeline.draw(20, seed=3, epoch=2)[[4, 1]])
    np.testing.assert_array_equal(some, all_of_them[[4, 1]])
    others = applied(op, images, pipeline.draw(6, seed=3, epoch=3))
    assert (np.abs(others - all_of_them).max((1, 2)) > 0.1).all()


def test_windows_of_no_length_are_refused():
    with pytest.raises(ValueError, match="scale"):
        Window(scale=(0.0, 0.5))
