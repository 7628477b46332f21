"""PSNR, SSIM and what follows from them, against their formulas written out."""

import numpy as np
import pytest
import torch

from striate.metric import Answers
from striate.metric.image_quality import against, checkerboard, gain, mean_psnr, mean_ssim, psnr, ssim
from striate.nn import similarity

RNG = np.random.default_rng(0)


def pairs(num: int = 4, shape: tuple[int, ...] = (17, 20, 3)):
    truth = RNG.random((num, *shape))
    return truth, np.clip(truth + 0.2 * RNG.normal(size=truth.shape), 0, 1)


def written_out(x: np.ndarray, y: np.ndarray) -> float:
    """SSIM by its definition: every place of the window by itself, population moments."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for channel in range(x.shape[2]):
        for top in range(x.shape[0] - 10):
            for left in range(x.shape[1] - 10):
                a, b = (image[top : top + 11, left : left + 11, channel] for image in (x, y))
                mean_a, mean_b = (window * a).sum(), (window * b).sum()
                var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
                both = (window * (a - mean_a) * (b - mean_b)).sum()
                values.append(
                    (2 * mean_a * mean_b + 1e-4) * (2 * both + 9e-4)
                    / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4))
                )  # fmt: skip
    return float(np.mean(values))


def test_ssim_is_its_definition_in_numpy_and_torch():
    truth, images = pairs()
    expected = [written_out(x, y) for x, y in zip(truth, images, strict=True)]
    assert [ssim(x, y) for x, y in zip(truth, images, strict=True)] == pytest.approx(expected, abs=1e-9)
    x, y = (torch.from_numpy(one).permute(0, 3, 1, 2) for one in (truth, images))
    assert similarity.ssim(x, y).tolist() == pytest.approx(expected, abs=1e-9)
    assert similarity.ssim(x, x).tolist() == pytest.approx([1] * 4)
    assert similarity.psnr(x, y).tolist() == pytest.approx([psnr(*pair) for pair in zip(truth, images, strict=True)])
    y.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda given: similarity.ssim(x[:1, :1], given), y[:1, :1].detach().requires_grad_()
    )


def test_ssim_equals_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    for x, y in zip(*pairs(2, (32, 40, 3)), strict=True):
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
        assert ssim(x, y) == pytest.approx(metrics.structural_similarity(x, y, channel_axis=2, **options), abs=1e-7)


def test_a_gain_is_over_the_best_of_the_others_for_each_choice_of_images():
    records = RNG.normal(30, 3, (25, 4))
    answers = Answers(np.zeros(25), np.zeros(25), np.zeros(25), records={"quality": records})
    score = against(mean_psnr(), lambda _: records, "quality", 0)
    above = gain(mean_psnr(), lambda _: records, "quality", 0, range(1, 4))
    assert score.key == "psnr" and above.key == "psnr_gain" and above.unit == "dB"
    assert score.records(answers) is records
    counts = RNG.multinomial(25, [1 / 25] * 25, 40)
    for drawn, one, other in zip(counts, score.value(records, counts), above.value(records, counts), strict=True):
        means = np.repeat(records, drawn, axis=0).mean(0)
        assert one == pytest.approx(means[0]) and other == pytest.approx(means[0] - means[1:].max())
    assert above.contribution(records) == pytest.approx(above.jackknife(records), abs=1e-6)
    assert score.contribution(records) == pytest.approx(records[:, 0])


@pytest.mark.parametrize("period", [2, 4])
def test_the_checkerboard_is_energy_at_the_frequencies_of_the_scale(period):
    truth = RNG.random((16, 32, 3))
    grid = RNG.normal(size=(period, period, 3))
    image = truth + np.tile(grid, (16 // period, 32 // period, 1)) + 0.5 * RNG.normal(size=truth.shape)
    power = np.abs(np.fft.fft2(image - truth, axes=(0, 1))) ** 2
    power[0, 0] = 0
    expected = power[:: 16 // period, :: 32 // period].sum() / power.sum()
    assert checkerboard(truth, image, period) == pytest.approx(expected)
    assert checkerboard(truth, truth, period) == 0 and 0.3 < expected < 1


def test_known_values():
    assert mean_ssim().key == "ssim" and psnr(np.zeros((4, 4, 1)), np.full((4, 4, 1), 25), 255) == pytest.approx(
        20 * np.log10(255 / 25)
    )
