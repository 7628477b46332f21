"""What is done to images before they are restored: statistics, exact values, and the same whatever the batch."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from striate.task.restore import degrade

KEYS = torch.from_numpy(np.random.default_rng(0).integers(0, 2**62, 40))


def test_numbers_are_even_and_normal_and_of_each_key_alone():
    uniform, normal = degrade.uniforms(KEYS, 5000).numpy(), degrade.normals(KEYS, 5000).numpy()
    assert uniform.min() > 0 and uniform.max() < 1
    assert stats.kstest(uniform.ravel(), "uniform").pvalue > 0.01
    assert stats.kstest(normal.ravel(), "norm").pvalue > 0.01
    assert abs(np.corrcoef(normal) - np.eye(40)).max() < 0.08
    assert abs((normal[:, 1:] * normal[:, :-1]).mean()) < 0.01
    assert torch.equal(degrade.normals(KEYS[3:5], 5000), torch.from_numpy(normal[3:5]))


def test_noise_has_the_deviation_that_was_asked_for():
    images = torch.full((40, 3, 16, 16), 0.5)
    noise = degrade.noised(images, KEYS, 25 / 255) - images
    assert noise.std().item() == pytest.approx(25 / 255, rel=0.02)


def test_small_images_are_those_of_pillow():
    image = np.random.default_rng(1).integers(0, 256, (24, 36, 3), np.uint8)
    expected = np.asarray(Image.fromarray(image).resize((12, 8), Image.Resampling.BICUBIC), float)
    found = degrade.shrunk(torch.from_numpy(image).permute(2, 0, 1)[None] / 255, 3)[0].permute(1, 2, 0) * 255
    assert np.abs(found.numpy().clip(0, 255) - expected).max() <= 1


def test_holes_are_whole_squares_of_the_share_that_was_asked_for():
    holed = degrade.holed(torch.ones(40, 3, 64, 64), KEYS, 0.25, 8)
    is_hole = holed[:, 0] == 0
    assert is_hole.float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert torch.equal(holed[:, 0], holed[:, 2]) and set(holed.unique().tolist()) == {0.0, 1.0}
    for one in is_hole.numpy():
        edges = np.flatnonzero((one[:, 1:] != one[:, :-1]).any(0)) + 1
        assert len({edge % 8 for edge in edges}) == 1  # one grid an image
    assert len({one.numpy().tobytes() for one in is_hole}) == 40


def test_grey_is_pillow_s_luma():
    image = np.random.default_rng(2).integers(0, 256, (8, 8, 3), np.uint8)
    found = degrade.greyed(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)[0] * 255
    assert np.abs(found[1].numpy() - np.asarray(Image.fromarray(image).convert("L"), float)).max() <= 1
