"""Scores against scikit-learn, brute force and the rule that undefined is None."""

import json
import math

import numpy as np
import pytest
from score_arrays import classification_scores, regression_scores, tag_scores
from sklearn import metrics

from striate.base.errors import DivergedError
from striate.base.files import to_json
from striate.evaluate.scores import scores_by
from striate.metric import Answers
from striate.metric.boundary import boundary_f1
from striate.metric.calibration import bins
from striate.metric.error import absolute_errors
from striate.metric.iou import mean_iou, pixel_accuracy
from striate.metric.ranking import area_under_roc, average_precision


def drawn(
    num: int, num_classes: int, seed: int = 0, present: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return truth, probabilities and losses of a middling classifier; only the first `present` classes occur."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, present or num_classes, num)
    logits = rng.normal(size=(num, num_classes))
    logits[np.arange(num), truth] += 1
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return truth, p, -np.log(p[np.arange(num), truth])


def names(num: int) -> list[str]:
    return [f"class{k}" for k in range(num)]


@pytest.mark.parametrize(("num_classes", "seed"), [(2, 0), (3, 1), (7, 2), (12, 3)])
def test_label_scores_equal_scikit_learn(num_classes: int, seed: int) -> None:
    truth, p, losses = drawn(300, num_classes, seed)
    scores = classification_scores(truth, p, losses, names(num_classes))
    said, labels = p.argmax(1), list(range(num_classes))
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(truth, said))
    assert scores["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, said))
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(truth, said, average="macro"))
    assert scores["loss"] == pytest.approx(metrics.log_loss(truth, p, labels=labels))
    assert scores["confusion"] == metrics.confusion_matrix(truth, said, labels=labels).tolist()
    rows = metrics.precision_recall_fscore_support(truth, said, labels=labels, zero_division=0)
    for k, row in enumerate(scores["per_class"]):
        assert row["support"] == rows[3][k]
        assert row["precision"] == pytest.approx(rows[0][k]) or (row["precision"] is None and not (said == k).any())
        assert (row["recall"], row["f1"]) == (pytest.approx(rows[1][k]), pytest.approx(rows[2][k]))
    assert ("top5_accuracy" in scores) == (num_classes > 5)
    if num_classes > 5:
        assert scores["top5_accuracy"] == pytest.approx(metrics.top_k_accuracy_score(truth, p, k=5, labels=labels))
    score = p[:, 1] if num_classes == 2 else p
    assert scores["auc"] == pytest.approx(metrics.roc_auc_score(truth, score, multi_class="ovr"))
    assert scores["kappa"] == pytest.approx(metrics.cohen_kappa_score(truth, said))
    assert scores["mcc"] == pytest.approx(metrics.matthews_corrcoef(truth, said))


def test_a_class_without_images_is_none_everywhere_and_counts_in_no_average() -> None:
    truth, p, losses = drawn(200, 5, present=4)
    scores = classification_scores(truth, p, losses, names(5))
    said = p.argmax(1)
    assert (said == 4).any()
    assert scores["per_class"][4] == {"name": "class4", "precision": None, "recall": None, "f1": None, "support": 0}
    kept = [0, 1, 2, 3]
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(truth, said, labels=kept, average="macro"))
    recalls = [(said[truth == k] == k).mean() for k in kept]
    assert scores["balanced_accuracy"] == pytest.approx(np.mean(recalls))


def test_a_class_that_is_never_predicted_has_no_precision_but_recall_zero() -> None:
    scores = classification_scores([0, 1], [[0.9, 0.1], [0.8, 0.2]], [0.1, 1.6], ["a", "b"])
    assert scores["per_class"][1] == {"name": "b", "precision": None, "recall": 0.0, "f1": 0.0, "support": 1}


def test_no_images_give_none_and_no_intervals() -> None:
    label = classification_scores(np.empty(0, int), np.empty((0, 3)), [], names(3))
    tags = tag_scores(np.empty((0, 3)), np.empty((0, 3)), [], names(3))
    value = regression_scores(np.empty((0, 1)), np.empty((0, 1)), [], ["x"], "deg")
    for scores in (label, tags, value):
        assert scores["num_images"] == 0 and scores["loss"] is None and scores["intervals"] == {}
    assert label["accuracy"] is label["ece"] is label["macro_f1"] is None
    assert tags["f1"] is tags["exact_match"] is tags["mean_average_precision"] is None
    assert value["rmse"] is value["r2"] is value["median_error_deg"] is None


def test_auc_of_one_class_is_none() -> None:
    assert classification_scores([1, 1], [[0.4, 0.6], [0.1, 0.9]], [0.5, 0.1], ["a", "b"])["auc"] is None


def test_scores_do_not_depend_on_the_order_of_images() -> None:
    truth, p, losses = drawn(150, 4)
    order = np.random.default_rng(1).permutation(150)
    a = classification_scores(truth, p, losses, names(4))
    b = classification_scores(truth[order], p[order], losses[order], names(4))
    rounded = ("loss", "calibration", "ece")
    for name, ends in b["intervals"].items():
        assert ends == pytest.approx(a["intervals"].pop(name))
    assert json.loads(to_json(a)) == json.loads(to_json(b)) | {name: a[name] for name in rounded} | {"intervals": {}}
    assert (a["ece"], a["loss"]) == (pytest.approx(b["ece"]), pytest.approx(b["loss"]))


def test_calibration_error_equals_brute_force_with_edges_in_the_lower_bin() -> None:
    truth, p, losses = drawn(500, 3)
    p[0] = [0.2, 0.2, 0.6]  # 0.6 = 9/15 belongs to the bin that ends there
    scores = classification_scores(truth, p, losses, names(3))
    sure, right, expected = p.max(1), p.argmax(1) == truth, 0.0
    for k in range(15):
        inside = [(s, r) for s, r in zip(sure, right, strict=True) if k / 15 < s <= (k + 1) / 15]
        assert scores["calibration"][k]["count"] == len(inside)
        if inside:
            expected += abs(sum(s for s, _ in inside) - sum(r for _, r in inside)) / 500
        else:
            assert scores["calibration"][k]["confidence"] is None
    assert scores["ece"] == pytest.approx(expected)


def test_certain_and_impossible_probabilities_fall_into_the_outer_bins() -> None:
    rows = bins([0.0, 1.0], [False, True])
    assert (rows[0]["count"], rows[14]["count"], len(rows)) == (1, 1, 15)


def test_a_prediction_that_is_not_a_number_is_refused_and_an_infinite_loss_is_none() -> None:
    with pytest.raises(DivergedError, match="finite"):
        classification_scores([0], [[math.nan, 1.0]], [0.1], ["a", "b"])
    with pytest.raises(DivergedError):
        regression_scores([[1.0]], [[math.inf]], [0.1], ["x"])
    assert classification_scores([0], [[0.0, 1.0]], [math.inf], ["a", "b"])["loss"] is None


@pytest.mark.parametrize("seed", range(4))
def test_tag_scores_equal_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random((200, 4)) < 0.3
    p = np.clip(np.round(0.4 * truth + 0.7 * rng.random((200, 4)), 2), 0, 1)  # rounded: with ties
    said = p > 0.5
    scores = tag_scores(truth, p, rng.random(200), names(4))
    assert scores["exact_match"] == pytest.approx(metrics.accuracy_score(truth, said))
    assert scores["f1"] == pytest.approx(metrics.f1_score(truth, said, average="micro"))
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(truth, said, average="macro"))
    assert scores["mean_average_precision"] == pytest.approx(metrics.average_precision_score(truth, p))
    assert scores["auc"] == pytest.approx(metrics.roc_auc_score(truth, p))
    assert scores["per_class"][2]["ap"] == pytest.approx(metrics.average_precision_score(truth[:, 2], p[:, 2]))


def test_a_tag_that_never_occurs_is_none_and_counts_in_no_average() -> None:
    truth = np.array([[1, 0], [0, 0], [1, 0]])
    scores = tag_scores(truth, [[0.9, 0.8], [0.2, 0.1], [0.7, 0.3]], [0.1] * 3, ["a", "b"])
    row = scores["per_class"][1]
    assert (row["recall"], row["f1"], row["ap"], row["auc"], row["support"]) == (None, None, None, None, 0)
    assert scores["macro_f1"] == scores["mean_average_precision"] == 1.0
    assert scores["f1"] == pytest.approx(0.8)


def test_regression_scores_equal_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(80, 3)) * [1, 5, 0.1]
    said = truth + rng.normal(size=(80, 3)) * 0.2
    scores = regression_scores(truth, said, rng.random(80), ["x", "y", "z"], "mm")
    assert scores["rmse"] == pytest.approx(math.sqrt(metrics.mean_squared_error(truth, said)))
    assert scores["mae"] == pytest.approx(metrics.mean_absolute_error(truth, said))
    assert scores["r2"] == pytest.approx(metrics.r2_score(truth, said))
    assert scores["per_field"][1]["r2"] == pytest.approx(metrics.r2_score(truth[:, 1], said[:, 1]))
    assert "mean_error_deg" not in scores


def test_angles_go_the_short_way_round() -> None:
    rng = np.random.default_rng(0)
    truth, said = rng.uniform(0, 360, (200, 1)), rng.uniform(-720, 720, (200, 1))
    brute = [min(abs(s - t + 360 * k) for k in range(-5, 6)) for t, s in zip(truth[:, 0], said[:, 0], strict=True)]
    assert absolute_errors(truth, said, "deg")[:, 0] == pytest.approx(brute)
    scores = regression_scores(truth, said, rng.random(200), ["angle"], "deg")
    assert scores["mean_error_deg"] == pytest.approx(np.mean(brute))
    assert scores["median_error_deg"] == pytest.approx(np.median(brute))
    assert scores["within_10_deg"] == pytest.approx(np.mean(np.array(brute) < 10))
    turned = regression_scores(truth + 123, said + 123, rng.random(200), ["angle"], "deg")
    assert turned["r2"] == pytest.approx(scores["r2"])


def test_r2_of_a_constant_truth_is_none() -> None:
    assert regression_scores([[1.0], [1.0]], [[1.0], [2.0]], [0, 1], ["x"])["r2"] is None


def test_ranking_scores_of_ties_and_extremes() -> None:
    truth = np.array([True, False, True, False])
    assert area_under_roc(truth, np.ones(4)) == 0.5
    assert average_precision(truth, np.ones(4)) == pytest.approx(0.5)
    assert average_precision(truth, truth.astype(float)) == 1.0
    assert average_precision(~truth & truth, np.ones(4)) is None


def test_intervals_hold_the_score_and_are_the_same_every_time() -> None:
    truth, p, losses = drawn(400, 6)
    once, again = (classification_scores(truth, p, losses, names(6)) for _ in range(2))
    assert once["intervals"] == again["intervals"]
    for name, (low, high) in once["intervals"].items():
        assert low < once[name] < high
    assert set(once["intervals"]) == {
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "top5_accuracy",
        "auc",
        "kappa",
        "mcc",
    }


def test_intervals_of_class_averages_equal_a_bootstrap_image_by_image() -> None:
    truth, p, losses = drawn(300, 4, seed=5)
    said, rng = p.argmax(1), np.random.default_rng(0)
    draws = [rng.integers(0, 300, 300) for _ in range(600)]
    for name, score in (
        ("balanced_accuracy", metrics.balanced_accuracy_score),
        ("macro_f1", lambda t, s: metrics.f1_score(t, s, average="macro")),
        ("kappa", metrics.cohen_kappa_score),
        ("mcc", metrics.matthews_corrcoef),
    ):
        brute = np.quantile([score(truth[i], said[i]) for i in draws], [0.025, 0.975])
        assert classification_scores(truth, p, losses, names(4))["intervals"][name] == pytest.approx(brute, abs=0.015)


def test_intervals_of_errors_equal_a_bootstrap_image_by_image() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(250, 1))
    said = truth + rng.standard_t(4, (250, 1))
    found = regression_scores(truth, said, rng.random(250), ["x"])["intervals"]
    squares = ((said - truth) ** 2)[:, 0][rng.integers(0, 250, (4000, 250))]
    assert found["rmse"] == pytest.approx(np.quantile(np.sqrt(squares.mean(1)), [0.025, 0.975]), rel=0.02)


def test_intervals_of_maps_equal_a_bootstrap_image_by_image() -> None:
    """An image of a map is right in part, so its score varies less than the share of as many right or wrong images."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, (240, 16, 16)).astype(np.uint8)
    is_wrong = rng.random(truth.shape) < rng.beta(2, 6, (240, 1, 1))
    said = np.where(is_wrong, (truth + 1) % 3, truth).astype(np.uint8)
    known = [mean_iou(3), pixel_accuracy(3), boundary_f1(3)]
    found = scores_by(known, Answers(truth, said, losses=np.zeros(240)))["intervals"]
    draws = [rng.integers(0, 240, 240) for _ in range(400)]
    brute = {
        "mean_iou": [metrics.jaccard_score(truth[i].ravel(), said[i].ravel(), average="macro") for i in draws],
        "pixel_accuracy": [(truth[i] == said[i]).mean() for i in draws],
    }
    for name, values in brute.items():
        ends = np.quantile(values, [0.025, 0.975])
        assert found[name] == pytest.approx(ends, abs=0.006) and found[name][1] - found[name][0] < 1.3 * np.ptp(ends)
    perfect = scores_by(known, Answers(truth, truth, losses=np.zeros(240)))["intervals"]
    assert all(low < 0.99 and high == 1 for low, high in perfect.values())


def test_every_score_is_strict_json() -> None:
    truth, p, losses = drawn(60, 6)
    rng = np.random.default_rng(0)
    for scores in (
        classification_scores(truth, p, losses, names(6)),
        tag_scores(rng.random((30, 3)) < 0.4, rng.random((30, 3)), rng.random(30), names(3)),
        regression_scores(rng.random((30, 2)), rng.random((30, 2)), rng.random(30), ["x", "y"], "deg"),
    ):
        assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_intervals_of_class_averages_have_a_width_when_all_are_right() -> None:
    """A bootstrap of a perfect score has none; one more wrong answer lowers both ends."""
    truth, found = np.arange(60) % 3, []
    for wrong in range(4):
        said = np.where(np.arange(60) < wrong, (truth + 1) % 3, truth)
        scores = classification_scores(truth, np.eye(3)[said], np.zeros(60), ["a", "b", "c"])
        found.append([scores["intervals"][name] for name in ("balanced_accuracy", "macro_f1")])
    lows, highs = np.array(found).transpose(2, 0, 1)
    assert (highs[0] == 1).all() and (lows[0] < 0.95).all()
    assert (np.diff(lows, axis=0) < 0).all() and (np.diff(highs, axis=0) <= 0).all()
    assert "rmse" not in regression_scores([[1.0], [2.0]], [[1.5], [2.5]], [0, 0], ["x"])["intervals"]
