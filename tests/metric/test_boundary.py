"""Boundary F1 and the IoU near and away from boundaries, against distances between all pairs of pixels."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn import metrics as sk

from striate.metric import Answers, Metric
from striate.metric.boundary import (
    boundary_f1,
    boundary_f1_of,
    boundary_iou,
    boundary_pixels,
    dilated,
    interior_iou,
    tolerance_px,
)

NUM_CLASSES = 4
METRICS = [make(NUM_CLASSES) for make in (boundary_f1, boundary_iou, interior_iou)]


def maps(num: int = 6, num_classes: int = NUM_CLASSES, seed: int = 0) -> Answers:
    """Return maps of blocks that the prediction has moved by some pixels; a corner of each truth is unknown."""
    rng = np.random.default_rng(seed)
    truth, values = np.empty(num, dtype=object), np.empty(num, dtype=object)
    for index in range(num):
        blocks = np.repeat(np.repeat(rng.integers(0, num_classes, (5, 6)), 16, 0), 20, 1).astype(np.uint8)
        moved = np.roll(blocks, rng.integers(-3, 4, 2), (0, 1))
        moved[rng.random(blocks.shape) < 0.002] = 1
        blocks[:20, :11] = 255
        truth[index], values[index] = blocks, moved
    return Answers(truth, values, np.ones(num))


def edges_by_hand(labels: np.ndarray, is_known: np.ndarray) -> list[tuple[int, int]]:
    """Return the places with another known class beside them."""
    places, (height, width) = [], labels.shape
    for y, x in np.ndindex(height, width):
        beside = [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
        inside = [at for at in beside if 0 <= at[0] < height and 0 <= at[1] < width and is_known[at]]
        if is_known[y, x] and any(labels[at] != labels[y, x] for at in inside):
            places.append((y, x))
    return places


def f1_by_hand(truth: np.ndarray, predicted: np.ndarray, label: int) -> float | None:
    """Return the F1 of one class from the distances between all pairs of boundary pixels."""
    known = truth != 255
    true, given = ([at for at in edges_by_hand(labels, known) if labels[at] == label] for labels in (truth, predicted))
    if not true and not given:
        return None
    if not true or not given:
        return 0.0
    near = cdist(true, given) <= np.ceil(0.0075 * np.hypot(*truth.shape))
    recall, precision = near.any(1).mean(), near.any(0).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize("num_classes", [4, 11, 70])
def test_boundary_f1_is_that_of_all_distances(num_classes: int) -> None:
    given = maps(1 if num_classes > 4 else 2, num_classes)
    for truth, predicted in zip(given.truth, given.values, strict=True):
        found = boundary_f1_of(truth, predicted, num_classes)
        labels = range(num_classes) if num_classes < 20 else {*truth.flat} - {255}
        assert [found[label] for label in labels] == pytest.approx([f1_by_hand(truth, predicted, k) for k in labels])


def test_the_scores_are_means_over_classes_then_images_and_iou_of_two_parts() -> None:
    given = maps()
    pairs = list(zip(given.truth, given.values, strict=True))
    images = [[one for one in boundary_f1_of(*pair, NUM_CLASSES) if one is not None] for pair in pairs]
    assert METRICS[0].score(METRICS[0].record(given)) == pytest.approx(np.mean([np.mean(one) for one in images]))
    near, far = [], []
    for truth, predicted in pairs:
        places = edges_by_hand(truth, truth != 255)
        pixels = np.argwhere(truth != 255)
        is_near = cdist(pixels, places).min(1) <= tolerance_px(truth.shape)
        both = np.stack([truth[truth != 255], predicted[truth != 255]], 1)
        near.append(both[is_near])
        far.append(both[~is_near])
    for metric, part in zip(METRICS[1:], (near, far), strict=True):
        true, values = np.concatenate(part).T
        assert metric.score(metric.record(given)) == pytest.approx(sk.jaccard_score(true, values, average="macro"))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.key)
def test_contributions_and_weights(metric: Metric) -> None:
    records = metric.record(maps())
    values = metric.contribution(records)
    assert values.mean() == pytest.approx(metric.score(records))
    assert metric.jackknife(records) == pytest.approx(values, rel=1e-5)
    weights = np.array([[0, 2, 1, 0, 3, 1]])
    assert metric.value(records, weights)[0] == pytest.approx(metric.score(np.repeat(records, weights[0], axis=0)))


@pytest.mark.parametrize("radius_px", [0, 1, 3, 7])
def test_dilation_is_a_disk(radius_px: int) -> None:
    marks = np.random.default_rng(radius_px).random((9, 5)) < 0.06
    places = np.argwhere(marks)
    grid = np.argwhere(np.ones(marks.shape))
    expected = (cdist(grid, places) <= radius_px).any(1).reshape(marks.shape)
    assert np.array_equal(dilated(marks, radius_px), expected)


def answers(truth: list[list[int]], predicted: list[list[int]]) -> Answers:
    return Answers(np.array([truth], np.uint8), np.array([predicted], np.uint8), np.ones(1))


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        ([[255, 255]], [[0, 1]], (None, None, None)),  # nothing known
        ([[2]], [[2]], (None, None, 1.0)),  # one pixel
        ([[2, 2]], [[2, 2]], (None, None, 1.0)),  # no boundary in either
        ([[0, 1]], [[0, 1]], (1.0, 1.0, None)),  # all of it is boundary
        ([[2, 2]], [[2, 1]], (0.0, None, 0.25)),  # a boundary that is not there
        ([[0, 1]], [[0, 0]], (0.0, 0.25, None)),  # a class that is not predicted
        ([[0, 1, 255]], [[0, 1, 2]], (1.0, 1.0, None)),  # the unknown has no edge
    ],
)
def test_hand_cases(truth, predicted, expected) -> None:
    given = answers(truth, predicted)
    assert tuple(metric.score(metric.record(given)) for metric in METRICS) == expected


def test_without_images_there_is_no_score() -> None:
    none = Answers(np.empty((0, 4, 4)), np.empty((0, 4, 4)), np.empty(0))
    assert [metric.score(metric.made(none)) for metric in METRICS] == [None] * 3


def test_a_boundary_lies_on_both_sides_and_not_at_the_edge_of_the_image() -> None:
    assert boundary_pixels(np.array([[1, 1, 1], [1, 2, 255]])).astype(int).tolist() == [[0, 1, 0], [1, 1, 0]]
