"""Where AP is lost: twenty sets made with one kind of error, confusion with background, tables of detections."""

import numpy as np
import pytest
from tests.fixtures.detections import answers, drawn

from striate.metric import Answers
from striate.metric.box_ap import box_metrics
from striate.metric.box_errors import ERRORS, Errors, confusion
from striate.metric.box_table import best_threshold, count_error, curve, per_class

FAR_A = [0, 500, 0, 600, 100, 0, 0]
A, B = [0, 0, 0, 100, 100, 0, 0], [1, 200, 200, 300, 300, 0, 0]  # an object of each class
ON_A, ON_B = [0, 0.8, 0, 0, 100, 100], [1, 0.7, 200, 200, 300, 300]
HARD = [0, 400, 400, 500, 500, 0, 1]
CROWD = [0, 400, 400, 500, 500, 1, 0]
ON_HARD, IN_CROWD = [0, 0.9, 400, 400, 500, 500], [0, 0.9, 410, 410, 430, 440]


def moved(row: list, score: float, label: int | None = None, by: float = 0.0) -> list:
    """A detection of another score and class, moved to the right: by 25 px to IoU 0.6, by 50 to 0.33, by 90 to 0.05."""
    return [row[0] if label is None else label, score, row[2] + by, row[3], row[4] + by, row[5]]


SETS = {
    "place alone": ([A], [moved(ON_A, 0.9, by=50)], {"place": 1}),
    "place beside a right one": ([A, B], [moved(ON_A, 0.9, by=50), ON_B], {"place": 1}),
    "two out of place, one object": ([A], [moved(ON_A, 0.9, by=50), moved(ON_A, 0.8, by=60)], {"place": 2}),
    "place just short of 0.5": ([A], [moved(ON_A, 0.9, by=34)], {"place": 1}),
    "class alone": ([A], [moved(ON_A, 0.9, 1)], {"class": 1}),
    "class beside right ones": ([A, B], [moved(ON_A, 0.9, 1), ON_B], {"class": 1}),
    "class a little off": ([A, B], [moved(ON_A, 0.9, 1, by=25), ON_B], {"class": 1}),
    "both classes mistaken": ([A, B], [moved(ON_A, 0.9, 1), moved(ON_B, 0.8, 0)], {"class": 2}),
    "both": ([A, B], [ON_A, moved(ON_A, 0.9, 1, by=50), ON_B], {"both": 1}),
    "both, twice": ([A, B], [ON_A, moved(ON_B, 0.95, 0, by=50), moved(ON_B, 0.9, 0, by=60), ON_B], {"both": 2}),
    "doubled": ([A, B], [ON_A, moved(ON_A, 0.75, by=1), ON_B, moved(ON_B, 0.72, 1, by=1)], {"doubled": 2}),
    "doubled before another": ([A, FAR_A], [ON_A, moved(ON_A, 0.7), moved(ON_A, 0.6, by=500)], {"doubled": 1}),
    "background": ([A, B], [moved(ON_A, 0.9, by=600), ON_A, ON_B], {"background": 1}),
    "background beside an object": ([A, B], [moved(ON_A, 0.9, by=90), ON_A, ON_B], {"background": 1}),
    "background in an empty image": ([], [moved(ON_A, 0.9), moved(ON_A, 0.8)], {"background": 2}),
    "missed": ([A, B], [ON_A], {"missed": 1}),
    "missed all": ([A, B], [], {"missed": 2}),
    "missed, of three": ([A, B, FAR_A], [ON_A, ON_B], {"missed": 1}),
    "nothing wrong": ([A, B], [ON_A, ON_B], {}),
    "nothing that counts": ([A, B, HARD, CROWD], [ON_A, ON_B, ON_HARD, IN_CROWD], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", SETS)
def test_a_set_made_with_one_error_has_that_error(name):
    truth, values, expected = SETS[name]
    made = answers([truth, [A]], [sorted(values, key=lambda row: -row[1]), [moved(ON_A, 0.5)]])
    errors = Errors.of(made)
    assert errors.counts() == dict.fromkeys(ERRORS, 0) | expected
    costs = errors.costs()
    ap50 = costs.pop("ap50")
    assert ap50 == pytest.approx(box_metrics(2)[1].score(box_metrics(2)[0].records(made)))
    assert {kind for kind, cost in costs.items() if cost > 1e-9} == set(expected)
    if len(expected) == 1:
        assert ap50 + sum(costs.values()) == pytest.approx(1)


def test_of_several_out_of_place_the_best_gets_the_object():
    both = answers([[A]], [[moved(ON_A, 0.9, by=50), moved(ON_A, 0.8, by=60)]])
    assert Errors.of(both).costs()["place"] == 1
    has = answers([[A]], [[moved(ON_A, 0.9, by=50), ON_A]])  # somebody has it: the other only goes
    assert Errors.of(has).costs()["place"] == pytest.approx(0.5)


def test_random_detections_are_right_or_wrong_in_one_way():
    made = drawn(40, 3, 0, difficult=0.1)
    errors, num_there = Errors.of(made), int((~np.isnan(made.values[:, :, 0])).sum())
    counts = errors.counts()
    right = int((errors.kind == -1).sum())
    nothing = int((errors.kind == -2).sum() - np.isnan(made.values[:, :, 0]).sum())
    assert right + nothing + sum(counts.values()) - counts["missed"] == num_there
    table = {row["name"]: row for row in per_class(box_metrics(3)[0].records(made), ["a", "b", "c"], threshold=0)}
    assert right == round(sum(row["recall"] * row["objects"] for row in table.values()))


def test_confusion_counts_what_is_taken_for_what():
    truth = [[A, B, HARD], [A]]
    values = [
        [moved(ON_A, 0.9, 1), ON_B, [0, 0.6, 400, 400, 500, 500], moved(ON_A, 0.5, by=600)],
        [moved(ON_A, 0.3)],
    ]
    assert confusion(answers(truth, values), 2, 0.4).tolist() == [[0, 1, 1], [0, 1, 0], [1, 0, 0]]
    assert confusion(answers(truth, values), 2, 0.2).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    made = drawn(30, 3, 1, crowd=0)
    table = confusion(made, 3, 0.5)
    assert table[:-1].sum(1).tolist() == [(made.truth[:, :, 0] == k).sum() for k in range(3)]
    kept = made.values[:, :, 1] >= 0.5
    assert table[:, :-1].sum(0).tolist() == [((made.values[:, :, 0] == k) & kept).sum() for k in range(3)]


def test_the_best_threshold_is_that_of_trying_all():
    for seed in range(5):
        made = drawn(30, 2, seed, difficult=0.1)
        records = box_metrics(2)[0].records(made)

        def f1(threshold: float, records: np.ndarray = records) -> float:
            rows = per_class(records, ["a", "b"], threshold)
            hits = sum(row["recall"] * row["objects"] for row in rows)
            given = sum(row["recall"] * row["objects"] / row["precision"] for row in rows if row["precision"])
            return 2 * hits / (given + sum(row["objects"] for row in rows))

        threshold, best = best_threshold(made)
        assert f1(threshold) == pytest.approx(best)
        assert best == pytest.approx(
            max(f1(score) for score in np.unique(made.values[~np.isnan(made.values[:, :, 1]), 1]))
        )
    assert best_threshold(answers([[A]], [[]])) == (0.5, 0.0)


def test_the_counting_error_leaves_out_what_does_not_count():
    made = answers([[A, A, HARD], [B]], [[ON_A, moved(ON_A, 0.1)], [ON_B, ON_B, ON_A]])
    metric = count_error(2, 0.5)
    np.testing.assert_array_equal(metric.records(made), [[1, 0], [1, 1]])
    assert metric.score(metric.records(made)) == 0.75


def test_a_curve_has_the_ap_as_mean():
    made = drawn(30, 2, 3)
    records = box_metrics(2)[0].records(made)
    points = curve(records, 1, 2)
    assert points is not None
    assert np.mean(points["precision"]) == pytest.approx(per_class(records, ["a", "b"])[1]["ap50"])
    assert points["score"] == sorted(points["score"], reverse=True) and len(points["recall"]) == 101
    nothing = box_metrics(1)[0].records(Answers(made.truth[:0], made.values[:0], made.losses[:0]))
    assert curve(nothing, 0, 1) is None
