"""Metrics of maps and images against scikit-learn over all pixels, OpenCV and brute force."""

import cv2
import numpy as np
import pytest
from sklearn import metrics as sk

from striate.base.errors import SettingsError
from striate.metric import Metric
from striate.metric.image_quality import mean_psnr, mean_ssim, psnr, ssim
from striate.metric.iou import class_accuracy, mean_dice, mean_iou, per_class, pixel_accuracy, pixel_counts
from striate.task import Answers

RNG = np.random.default_rng(0)
NUM_CLASSES = 5


def maps(num: int = 12) -> Answers:
    """Return maps of images of different sizes, with unknown pixels; the last class occurs nowhere."""
    truth, values = np.empty(num, dtype=object), np.empty(num, dtype=object)
    for i in range(num):
        size = tuple(RNG.integers(3, 9, 2))
        truth[i] = RNG.integers(0, NUM_CLASSES - 1, size).astype(np.uint8)
        values[i] = np.where(RNG.random(size) < 0.6, truth[i], RNG.integers(0, NUM_CLASSES - 1, size))
        truth[i][RNG.random(size) < 0.1] = 255
    return Answers(truth, values, np.ones(num))


def flat(given: Answers) -> tuple[np.ndarray, np.ndarray]:
    truth, values = (np.concatenate([one.ravel() for one in part]) for part in (given.truth, given.values))
    return truth[truth != 255], values[truth != 255]


METRICS = [make(NUM_CLASSES) for make in (mean_iou, mean_dice, class_accuracy, pixel_accuracy)]


def test_scores_of_maps_are_scikit_learns_over_all_pixels() -> None:
    given = maps()
    truth, values = flat(given)
    expected = {
        "mean_iou": sk.jaccard_score(truth, values, average="macro"),
        "mean_dice": sk.f1_score(truth, values, average="macro"),
        "class_accuracy": sk.balanced_accuracy_score(truth, values),
        "pixel_accuracy": sk.accuracy_score(truth, values),
    }
    assert {metric.key: metric.score(metric.record(given)) for metric in METRICS} == pytest.approx(expected)
    rows = per_class(METRICS[0].record(given), list("abcde"))
    assert [row["iou"] for row in rows[:4]] == pytest.approx(sk.jaccard_score(truth, values, average=None))
    assert rows[4]["iou"] is None and sum(row["pixels"] for row in rows) == len(truth)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.key)
def test_contributions_of_maps(metric: Metric) -> None:
    records = metric.record(maps())
    values = metric.contribution(records)
    assert values.mean() == pytest.approx(metric.score(records))
    assert metric.jackknife(records) == pytest.approx(values, rel=1e-5)
    weights = np.array([[0, 2] * 6, [1, 1, 4] + [0] * 9])
    scores = metric.value(records, weights)
    assert list(scores) == pytest.approx([metric.score(np.repeat(records, row, axis=0)) for row in weights])


def test_maps_without_a_known_pixel_have_no_score() -> None:
    unknown = Answers(np.full((2, 3, 3), 255), np.zeros((2, 3, 3), int), np.ones(2))
    assert all(metric.score(metric.record(unknown)) is None for metric in METRICS)
    assert np.isnan(METRICS[0].per_image(unknown)).all()


def pairs(num: int = 6) -> Answers:
    truth = RNG.random((num, 24, 19, 3))
    return Answers(truth, np.clip(truth + 0.1 * RNG.normal(size=truth.shape), 0, 1), np.ones(num))


def test_psnr_is_opencvs() -> None:
    given = pairs()
    for truth, image in zip(given.truth, given.values, strict=True):
        assert psnr(truth, image) == pytest.approx(cv2.PSNR(truth, image, 1.0))
    assert psnr(given.truth[0], given.truth[0]) == 100
    assert psnr(255 * given.truth[0], 255 * given.values[0], 255) == pytest.approx(
        psnr(given.truth[0], given.values[0])
    )


def test_ssim_is_that_of_the_formula_window_by_window() -> None:
    given = pairs(1)
    truth, image = given.truth[0], given.values[0]
    one = cv2.getGaussianKernel(11, 1.5)
    window, found = one @ one.T, []
    for channel in range(3):
        for top in range(24 - 10):
            for left in range(19 - 10):
                x, y = (part[top : top + 11, left : left + 11, channel] for part in (truth, image))
                mx, my = (window * x).sum(), (window * y).sum()
                vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
                cov = (window * (x - mx) * (y - my)).sum()
                found.append((2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)))
    assert ssim(truth, image) == pytest.approx(np.mean(found))
    assert ssim(truth, truth) == pytest.approx(1)


def test_quality_is_a_mean_over_images() -> None:
    given = pairs()
    for metric, each in ((mean_psnr(), psnr), (mean_ssim(), ssim)):
        values = [each(truth, image) for truth, image in zip(given.truth, given.values, strict=True)]
        assert list(metric.per_image(given)) == pytest.approx(values)
        assert metric.score(metric.record(given)) == pytest.approx(np.mean(values))
    assert mean_psnr().text(31.234) == "31.2 dB"


@pytest.mark.parametrize("truth, predicted", [([[0, 1]], [[0, 4]]), ([[0, 4]], [[0, 1]])])
def test_a_class_beyond_the_names_is_refused(truth, predicted):
    with pytest.raises(SettingsError, match="class 4; there are 2"):
        pixel_counts(np.array(truth), np.array(predicted), 2)


def test_metrics_of_the_same_counts_share_them():
    assert mean_iou(3).record is mean_dice(3).record
