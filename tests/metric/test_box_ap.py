"""AP of detections against faster-coco-eval, by hand, and for resamples of images."""

import numpy as np
import pytest
from tests.fixtures.coco_scores import coco_scores
from tests.fixtures.detections import answers, drawn

from striate.evaluate.interval import bootstrap
from striate.metric import Answers
from striate.metric.box_ap import box_metrics

KEYS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar")
PLACES = (0, 1, 2, 3, 4, 5, 8)  # of these in COCO's twelve numbers


def ours(made: Answers, num_classes: int, weights: np.ndarray | None = None) -> dict[str, float]:
    records = box_metrics(num_classes)[0].records(made)
    weights = np.ones((1, len(records))) if weights is None else weights
    return {metric.key: metric.value(records, weights)[0] for metric in box_metrics(num_classes)}


def theirs(made: Answers, num_classes: int) -> dict[str, float]:
    """COCO's numbers, NaN where it says -1."""
    truth, found = [], []
    for image, (true, given) in enumerate(zip(made.truth, made.values, strict=True)):
        for label, x0, y0, x1, y1, crowd, _ in true[~np.isnan(true[:, 0])].astype(float):
            box = [x0, y0, x1 - x0, y1 - y0]
            area = (x1 - x0) * (y1 - y0)
            row = {"image_id": image + 1, "category_id": int(label) + 1, "bbox": box, "area": area}
            truth.append(row | {"iscrowd": int(crowd), "id": len(truth) + 1})
        for label, score, x0, y0, x1, y1 in given[~np.isnan(given[:, 0])].astype(float):
            box = [x0, y0, x1 - x0, y1 - y0]
            found.append({"image_id": image + 1, "category_id": int(label) + 1, "bbox": box, "score": score})
    numbers = coco_scores(truth, found, "bbox", images=len(made), classes=num_classes, side=300)[list(PLACES)]
    return dict(zip(KEYS, np.where(numbers < 0, np.nan, numbers), strict=True))


def assert_equal(made: Answers, num_classes: int) -> None:
    expected, given = theirs(made, num_classes), ours(made, num_classes)
    np.testing.assert_allclose([given[key] for key in KEYS], list(expected.values()), atol=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_random_detections_score_as_in_coco(seed):
    assert_equal(drawn(30, 1 + seed % 4, seed, crowd=0.1 * (seed % 3)), 1 + seed % 4)


ONE = [0, 10, 10, 60, 60, 0, 0]
NEAR = [0, 0.9, 12, 10, 60, 60]  # IoU 0.96
FAR = [0, 0.8, 200, 200, 240, 240]
CROWD = [0, 100, 100, 200, 200, 1, 0]
IN_CROWD = [[0, 0.95, 110 + 10 * i, 110, 118 + 10 * i, 130] for i in range(3)]


@pytest.mark.parametrize(
    ("truth", "values"),
    [
        ([[ONE]], [[NEAR]]),
        ([[ONE]], [[FAR, NEAR]]),
        ([[ONE], []], [[NEAR], [FAR]]),
        ([[ONE, CROWD]], [[*IN_CROWD, NEAR]]),
        ([[CROWD, ONE]], [[[0, 0.9, 100, 100, 200, 200], NEAR]]),
        ([[ONE, ONE]], [[NEAR, NEAR, NEAR]]),
        ([[ONE], [ONE]], [[NEAR], [[0, 0.9, 30, 30, 90, 90]]]),
        ([[ONE]], [[[1, 0.9, 12, 10, 60, 60], NEAR]]),
        ([[ONE, [1, 0, 0, 20, 20, 0, 0]]], [[[1, 0.3, 0, 0, 20, 20], NEAR]]),
        (
            [[[0, 0, 0, 32, 32, 0, 0], [0, 50, 50, 146, 146, 0, 0]]],
            [[[0, 0.5, 0, 0, 32, 32], [0, 0.4, 50, 50, 146, 147]]],
        ),
    ],
)
def test_hand_made_cases_score_as_in_coco(truth, values):
    assert_equal(answers(truth, values), 2)


def test_without_detections_ap_is_0_and_without_objects_there_is_none():
    assert ours(answers([[ONE]], [[]]), 1)["ap"] == ours(answers([[ONE]], [[]], 3), 1)["ar"] == 0
    assert np.isnan(ours(answers([[]], [[NEAR]]), 1)["ap"]) and np.isnan(ours(answers([[], []], [[], []]), 1)["ar"])
    assert np.isnan(ours(answers([[CROWD]], [[NEAR]]), 1)["ap"])


def test_difficult_objects_do_not_count():
    hard = [0, 100, 100, 150, 150, 0, 1]
    on_hard = [0, 0.95, 100, 100, 150, 150]
    assert ours(answers([[ONE, hard]], [[on_hard, NEAR]]), 1)["ap50"] == 1
    assert ours(answers([[ONE, hard]], [[NEAR]]), 1)["ap50"] == 1
    twice = answers([[ONE, hard]], [[on_hard, on_hard, NEAR]])  # the second finds nothing that is free
    assert ours(twice, 1)["ap50"] == pytest.approx(0.5)


def test_a_detection_prefers_what_counts_to_what_it_overlaps_more():
    hard = [0, 10, 10, 60, 60, 0, 1]
    assert ours(answers([[hard, [0, 10, 10, 60, 80, 0, 0]]], [[[0, 0.9, 10, 10, 60, 60]]]), 1)["ap50"] == 1


def test_batches_put_together_are_the_whole():
    made = drawn(90, 3, 7)  # more than are recorded at once
    metric = box_metrics(3)[0]
    parts = [Answers(made.truth[rows], made.values[rows], made.losses[rows]) for rows in (slice(0, 40), slice(40, 90))]
    np.testing.assert_array_equal(np.concatenate(list(map(metric.records, parts))), metric.records(made))


def test_weights_are_repeated_images():
    made, rng = drawn(25, 3, 3, decimals=9), np.random.default_rng(0)
    metrics, counts = box_metrics(3), rng.integers(0, 4, (6, 25))
    records = metrics[0].records(made)
    for metric in metrics:
        expected = [metric.score(np.repeat(records, row, axis=0)) for row in counts]
        np.testing.assert_allclose(metric.value(records, counts), expected, atol=1e-12)


@pytest.mark.parametrize("key", KEYS)
def test_contributions_have_the_score_as_mean_and_the_bootstraps_spread(key):
    made = drawn(250, 2, 5)
    metric = next(one for one in box_metrics(2) if one.key == key)
    records = metric.records(made)
    values = metric.contribution(records)
    assert values.mean() == pytest.approx(metric.score(records))
    low, high = bootstrap(np.arange(250), lambda counts: {"x": metric.value(records, counts)}, num_resamples=400)["x"]
    assert 2 * 1.96 * values.std(ddof=1) / np.sqrt(250) == pytest.approx(high - low, rel=0.15)
