"""Scores of class maps against torchmetrics: random maps, and the cases where definitions part."""

import numpy as np
import pytest
import torch

from striate.base import torchvision as tv
from striate.metric.iou import mean_dice, mean_iou, per_class, pixel_accuracy
from striate.task import Answers

tv.load("torchvision.ops")  # torchmetrics imports torchvision, which a CPU build of torch needs help with
functional = pytest.importorskip("torchmetrics.functional.classification")
NUM_CLASSES = 5


def answers(truth, values) -> Answers:
    return Answers(np.asarray(truth, np.uint8), np.asarray(values, np.uint8), np.ones(len(truth)))


def theirs(given: Answers) -> dict[str, float]:
    true, values = (torch.from_numpy(part).long() for part in (given.truth, given.values))
    options = {"num_classes": NUM_CLASSES, "ignore_index": 255}
    return {
        "mean_iou": functional.multiclass_jaccard_index(values, true, **options).item(),
        "mean_dice": functional.multiclass_f1_score(values, true, **options).item(),
        "pixel_accuracy": functional.multiclass_accuracy(values, true, average="micro", **options).item(),
    }


def ours(given: Answers) -> dict[str, float]:
    made = [make(NUM_CLASSES) for make in (mean_iou, mean_dice, pixel_accuracy)]
    return {metric.key: metric.score(metric.record(given)) for metric in made}


@pytest.mark.parametrize("seed", range(5))
def test_random_maps(seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, NUM_CLASSES, (6, 9, 11))
    values = np.where(rng.random(truth.shape) < 0.7, truth, rng.integers(0, NUM_CLASSES, truth.shape))
    truth[rng.random(truth.shape) < 0.1] = 255
    given = answers(truth, values)
    assert ours(given) == pytest.approx(theirs(given), abs=1e-6)
    rows = per_class(mean_iou(NUM_CLASSES).record(given), list("abcde"))
    expected = functional.multiclass_jaccard_index(
        torch.from_numpy(given.values).long(),
        torch.from_numpy(given.truth).long(),
        num_classes=NUM_CLASSES,
        ignore_index=255,
        average="none",
    )
    assert [row["iou"] for row in rows] == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("truth", "values"),
    [
        ([[[0, 0, 1, 1]]], [[[0, 0, 1, 1]]]),  # classes that are nowhere count in no average
        ([[[0, 0, 1, 1]]], [[[0, 2, 1, 1]]]),  # one that is in the prediction alone
        ([[[0, 3, 1, 1]]], [[[0, 0, 1, 1]]]),  # one that is in the truth alone
        ([[[4]]], [[[4]]]),  # one pixel
        ([[[4]]], [[[0]]]),
        ([[[255, 1], [255, 2]]], [[[2, 1], [0, 1]]]),  # what is not known counts nowhere
    ],
)
def test_hand_cases(truth, values):
    given = answers(truth, values)
    assert ours(given) == pytest.approx(theirs(given), abs=1e-6)
