"""AP of key points against faster-coco-eval on random and on hand cases, and their similarity by plain loops."""

import json
import math

import numpy as np
import pytest
from tests.fixtures.coco_scores import coco_scores

from striate.metric import Answers
from striate.metric.box_ap import point_metrics
from striate.metric.point_matches import COCO_NAMES, COCO_SIGMAS, POINTS, TRUE_POINTS, sigmas_of, similarities

SIDE = 200
SIGMAS = (0.05, 0.1, 0.03, 0.08)


def drawn(num_images: int, num_classes: int, seed: int, count: int = 4, most: int = 5):
    """Objects with points of which some are not marked or covered, and answers near them and anywhere."""
    rng, truth, found = np.random.default_rng(seed), [], []
    for _ in range(num_images):
        objects, answers = [], []
        for _ in range(rng.integers(0, most)):
            low, sides = rng.uniform(0, SIDE - 60, 2), np.exp(rng.uniform(np.log(6), np.log(60), 2))
            points = np.column_stack([low + rng.random((count, 2)) * sides, rng.integers(0, 3, count)])
            points[points[:, 2] == 0] = 0
            points *= rng.random() > 0.1  # some have none at all
            label, area = int(rng.integers(num_classes)), float(sides.prod() * rng.uniform(0.4, 1))
            objects.append((label, [*low, *(low + sides)], area, int(rng.random() < 0.1), points))
            for _ in range(rng.integers(0, 3)):
                places = np.where(points[:, 2:] > 0, points[:, :2], low + rng.random((count, 2)) * sides * 2)
                places = places + rng.normal(0, 0.07, (count, 2)) * math.sqrt(area)
                kind = label if rng.random() < 0.85 else int(rng.integers(num_classes))
                answers.append((kind, round(float(rng.random()), 2), places))
        answers.append((int(rng.integers(num_classes)), 0.5, rng.uniform(0, SIDE, (count, 2))))
        truth.append(objects)
        found.append(sorted(answers, key=lambda answer: -answer[1]))
    return truth, found


def ours(truth, found) -> Answers:
    most = max(1, *(len(some) for some in [*truth, *found]))
    true, given = np.full((len(truth), most, 7), np.nan), np.full((len(truth), most, 6), np.nan)
    texts, true_texts = [], []
    for index, (objects, answers) in enumerate(zip(truth, found, strict=True)):
        for row, (label, box, _, crowd, _) in enumerate(objects):
            true[index, row] = [label, *box, crowd, 0]
        for row, (label, score, _) in enumerate(answers):
            given[index, row] = [label, score, 0, 0, 1, 1]
        texts.append(json.dumps([np.insert(places, 2, 0, 1).ravel().tolist() for *_, places in answers]))
        true_texts.append(json.dumps([[area, *points.ravel().tolist()] for _, _, area, _, points in objects]))
    records = {POINTS: np.array(texts, object), TRUE_POINTS: np.array(true_texts, object)}
    return Answers(true, given, np.zeros(len(truth)), None, records)


def theirs(truth, found, num_classes: int, sigmas=SIGMAS) -> dict[str, float]:
    annotations, results = [], []
    for index, (objects, answers) in enumerate(zip(truth, found, strict=True), 1):
        for label, (x0, y0, x1, y1), area, crowd, points in objects:
            annotations.append({"id": len(annotations) + 1, "image_id": index, "category_id": label + 1,
                                "bbox": [x0, y0, x1 - x0, y1 - y0], "area": area, "iscrowd": crowd,
                                "keypoints": points.ravel().tolist(),
                                "num_keypoints": int((points[:, 2] > 0).sum())})  # fmt: skip
        for label, score, places in answers:
            results.append({"image_id": index, "category_id": label + 1, "score": score,
                            "keypoints": np.insert(places, 2, 1, 1).ravel().tolist()})  # fmt: skip
    scores = coco_scores(
        annotations, results, "keypoints", images=len(truth), classes=num_classes, side=SIDE, sigmas=sigmas
    )
    return dict(zip(("points_ap", "points_ap50", "points_ap75"), scores[:3], strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_scores_equal_faster_coco_eval(seed):
    truth, found = drawn(12, 3, seed)
    made, wanted = ours(truth, found), theirs(truth, found, 3)
    for metric in point_metrics(3, SIGMAS):
        assert metric.score(metric.records(made)) == pytest.approx(wanted[metric.key], abs=1e-9)
    assert 0.05 < wanted["points_ap"] < 0.95


def test_coco_s_own_points_and_twenty_answers_an_image():
    """Of 30 answers the 20 surest count, as in COCO's evaluation; sigmas are COCO's where the points are."""
    sigmas = sigmas_of(COCO_NAMES)
    assert len(COCO_NAMES) == 17 and len(COCO_SIGMAS) == 9 and COCO_NAMES[5:7] == ("left_shoulder", "right_shoulder")
    truth, found = drawn(6, 1, 9, count=17)
    rng = np.random.default_rng(0)
    for answers in found:
        answers += [(0, 0.95 + rng.random() * 0.05, rng.uniform(0, SIDE, (17, 2))) for _ in range(26)]
        answers.sort(key=lambda answer: -answer[1])
    ap = point_metrics(1, sigmas)[0]
    assert ap.score(ap.records(ours(truth, found))) == pytest.approx(theirs(truth, found, 1, ())["points_ap"], abs=1e-9)


def test_the_similarity_by_plain_loops():
    rng = np.random.default_rng(3)
    true = np.concatenate([rng.uniform(0, 50, (5, 4, 2)), rng.integers(0, 3, (5, 4, 1))], 2)
    true[2, :, 2] = 0
    given, areas = rng.uniform(0, 50, (7, 4, 2)), rng.uniform(50, 900, 5)
    low = rng.uniform(0, 20, (5, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 20, (5, 2))], 1)
    found = similarities(true, given, areas, boxes, SIGMAS)
    for row, places in enumerate(given):
        for column, points in enumerate(true):
            x0, y0, x1, y1 = boxes[column]
            parts = []
            for (x, y), (true_x, true_y, visible), sigma in zip(places, points, SIGMAS, strict=True):
                dx, dy = x - true_x, y - true_y
                if column == 2:  # without a mark, how far beyond the box at thrice its sides: one more on each side
                    dx = max(0, (x0 - (x1 - x0)) - x) + max(0, x - (x0 + 2 * (x1 - x0)))
                    dy = max(0, (y0 - (y1 - y0)) - y) + max(0, y - (y0 + 2 * (y1 - y0)))
                if visible > 0 or column == 2:
                    parts.append(math.exp(-(dx**2 + dy**2) / (2 * areas[column] * (2 * sigma) ** 2)))
            assert found[row, column] == pytest.approx(sum(parts) / len(parts), abs=1e-12)


def test_hand_cases():
    box, points = [0, 0, 20, 20], np.array([[2.0, 3, 2], [10, 10, 1], [0, 0, 0], [5, 5, 2]])
    ap, ap50, ap75 = point_metrics(1, SIGMAS)
    exact, far = points[:, :2], points[:, :2] + 40

    def score(metric, *answers, crowd=0, marks=points):
        given = ours([[(0, box, 400.0, crowd, marks)]], [list(answers)])
        return metric.score(metric.records(given))

    assert score(ap, (0, 0.9, exact)) == pytest.approx(1)
    assert score(ap, (0, 0.9, far)) == 0 and score(ap) == 0
    assert score(ap, (0, 0.9, far), (0, 0.8, exact)) == pytest.approx(0.5)
    assert score(ap, (0, 0.9, exact + np.array([[0, 0], [0, 0], [99, 99], [0, 0]]))) == pytest.approx(1)  # not marked
    third = exact + np.array([[99, 99], [0, 0], [0, 0], [0, 0]])  # two of three are right: a similarity of 2/3
    assert [score(one, (0, 0.9, third)) for one in (ap50, ap75)] == pytest.approx([1, 0])
    assert score(ap, (0, 0.9, third)) == pytest.approx(0.4)  # at the levels 0.5, 0.55, 0.6 and 0.65
    assert score(ap, (0, 0.9, exact), crowd=1) is None and score(ap, (0, 0.9, exact), marks=points * 0) is None


def test_images_whose_points_are_not_known_count_for_nothing():
    truth, found = drawn(8, 2, 0)
    made, ap = ours(truth, found), point_metrics(2, SIGMAS)[0]
    made.records[TRUE_POINTS][3:] = None
    alone = ours(truth[:3], found[:3])
    assert ap.score(ap.records(made)) == ap.score(ap.records(alone))
    nothing = Answers(made.truth, made.values, made.losses)
    assert ap.score(ap.records(nothing)) is None
    assert ap.records(nothing).shape == ap.records(made).shape
