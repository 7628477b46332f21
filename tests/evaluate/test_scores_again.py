"""Every score can be taken again from predictions.csv, by scikit-learn and by us; ties count as a prediction does."""

import csv

import numpy as np
import pytest
from score_arrays import classification_scores
from sklearn import metrics

from striate.evaluate.layout import Labels, Numbers, Tags
from striate.evaluate.predictions import Predictions, read, write
from striate.evaluate.scores import scores_of
from striate.metric.accuracy import in_top
from striate.task.classify import Classify
from striate.task.regress import Regress
from striate.task.tag import Tag

RNG = np.random.default_rng(0)


def label_table(num_classes, sharpness):
    logits = RNG.normal(0, sharpness, (200, num_classes)).astype(np.float32)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p = (p / p.sum(1, keepdims=True)).astype(np.float32)
    truth = RNG.integers(0, num_classes, 200)
    losses = -np.log(np.maximum(p[np.arange(200), truth], 1e-30)).astype(np.float32)
    names = tuple(f"class {index}" for index in range(num_classes))
    return Predictions(truth, p.argmax(1), losses, p, layout=Labels(names), ids=tuple(map(str, range(200))))


def tag_table():
    p = RNG.beta(0.05, 0.05, (200, 4)).astype(np.float32)
    truth = (RNG.random((200, 4)) < p).astype(np.uint8)
    losses = RNG.exponential(size=200).astype(np.float32)
    return Predictions(
        truth, (p > 0.5).astype(np.uint8), losses, p, layout=Tags(tuple("abcd")), ids=tuple(map(str, range(200)))
    )


def value_table():
    truth = 4_000_000 + RNG.normal(size=(200, 2)) / 3
    said = truth + RNG.normal(size=(200, 2)) / 7
    return Predictions(
        truth, said, np.abs(said - truth).mean(1) ** 2, layout=Numbers(("x", "y")), ids=tuple(map(str, range(200)))
    )


TABLES = {
    "binary, saturated": label_table(2, 20),
    "ten classes": label_table(10, 1),
    "ten classes, saturated": label_table(10, 30),
    "tags": tag_table(),
    "numbers": value_table(),
}


def task_of(table):
    if table.kind == "value":
        return Regress("value", table.names, "", (0.0, 0.0), (1.0, 1.0))
    return (Tag if table.kind == "tags" else Classify)("target", table.names)


def flat(scores, path=""):
    if isinstance(scores, dict):
        return {k: v for name, part in scores.items() for k, v in flat(part, f"{path}.{name}").items()}
    if isinstance(scores, list):
        return {k: v for place, part in enumerate(scores) for k, v in flat(part, f"{path}.{place}").items()}
    return {path: scores}


@pytest.mark.parametrize("name", TABLES)
def test_all_scores_of_a_table_come_back_from_its_file(tmp_path, name):
    given = TABLES[name]
    write(tmp_path / "predictions.csv", {"test": given})
    found = read(tmp_path / "predictions.csv", {"kind": given.kind})["test"]
    before, after = (flat(scores_of(task_of(one), one)) for one in (given, found))
    assert after.keys() == before.keys()
    for place, value in before.items():
        is_number = isinstance(value, float)
        assert after[place] == (pytest.approx(value, rel=1e-6, abs=1e-8) if is_number else value), place


@pytest.mark.parametrize("name", [name for name in TABLES if TABLES[name].kind == "label"])
def test_log_loss_and_auc_of_the_file_are_those_of_the_network(tmp_path, name):
    given = TABLES[name]
    write(tmp_path / "predictions.csv", {"test": given})
    rows = list(csv.DictReader((tmp_path / "predictions.csv").read_text().splitlines()))
    p = np.array([[float(row[f"p:{name}"]) for name in given.names] for row in rows])
    assert np.array_equal(p.astype(np.float32), given.probabilities)
    assert np.mean([float(row["loss"]) for row in rows]) == pytest.approx(given.losses.astype(float).mean(), rel=1e-7)
    if len(given.names) == 2:
        auc = metrics.roc_auc_score(given.truth, given.probabilities[:, 1])
        assert metrics.roc_auc_score([row["truth"] == "class 1" for row in rows], p[:, 1]) == auc


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("levels", [1, 2, 4])
def test_ties_in_the_top_k_go_to_the_first_as_in_argmax(k, levels):
    truth, p = RNG.integers(0, 10, 500), RNG.integers(0, levels, (500, 10)) / levels
    found = in_top(truth, p, k)
    ranked = np.argsort(-p, axis=1, kind="stable")[:, :k]
    assert np.array_equal(found, (ranked == truth[:, None]).any(1))
    # scikit-learn gives ties to the last class; from behind that is the first
    expected = metrics.top_k_accuracy_score(9 - truth, p[:, ::-1], k=k, labels=np.arange(10))
    assert found.mean() == pytest.approx(expected)
    assert k > 1 or found.mean() == pytest.approx((p.argmax(1) == truth).mean())


def test_an_answer_that_does_not_choose_is_right_by_chance():
    truth = np.arange(100) % 10
    scores = classification_scores(truth, np.full((100, 10), 0.1), np.zeros(100), list("abcdefghij"))
    assert (scores["accuracy"], scores["top5_accuracy"]) == (0.1, 0.5)
    wrong = np.eye(10)[(truth + 1) % 10]  # saturated, and always wrong
    saturated = classification_scores(truth, wrong, np.zeros(100), list("abcdefghij"))
    assert saturated["top5_accuracy"] == pytest.approx(0.4)
