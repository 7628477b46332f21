"""Every metric against scikit-learn; its contributions, its parts, and its closed form against the general one."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from striate.base.errors import SettingsError
from striate.metric import Metric, by_key, metric_of
from striate.metric.error import r2
from striate.metric.metric import ERROR, SHARE, column
from striate.task import Answers, Task
from striate.task.classify import Classify
from striate.task.monitor import monitor_of
from striate.task.regress import Regress
from striate.task.tag import Tag

NUM = 60


def answers(kind: str, num_classes: int = 7, seed: int = 0) -> tuple[Task, Answers]:
    """Return a task and the answers of a middling network."""
    rng = np.random.default_rng(seed)
    names, losses = tuple(f"c{k}" for k in range(num_classes)), rng.exponential(size=NUM)
    if kind in {"deg", "mm"}:
        truth = rng.uniform(0, 360, (NUM, 2))
        values = (truth + rng.normal(0, 12, (NUM, 2))) % 360
        return Regress("value", ("a", "b"), kind, (0.0, 0.0), (1.0, 1.0)), Answers(truth, values, losses)
    if kind == "tags":
        on = (rng.random((NUM, num_classes)) < 0.4).astype(np.uint8)
        p = np.clip(np.round(0.5 * on + 0.6 * rng.random(on.shape), 1), 0, 1)  # rounded: with ties
        return Tag("tags", names), Answers(on, (p > 0.5).astype(np.uint8), losses, p)
    labels = rng.integers(0, num_classes, NUM)
    p = rng.dirichlet(np.ones(num_classes), NUM)
    p[np.arange(NUM), labels] += 0.3
    p /= p.sum(1, keepdims=True)
    return Classify("label", names), Answers(labels, p.argmax(1), losses, p)


KINDS = {"label": ("label", 7), "binary": ("label", 2), "tags": ("tags", 7), "deg": ("deg", 2), "mm": ("mm", 2)}
CASES = [(case, metric.key) for case, (kind, num) in KINDS.items() for metric in answers(kind, num)[0].metrics]


def drawn(case: str, key: str, seed: int = 0) -> tuple[Metric, Answers]:
    task, given = answers(*KINDS[case], seed=seed)
    return next(metric for metric in task.metrics if metric.key == key), given


def by_hand(case: str, key: str, given: Answers) -> float:
    """Return the score as scikit-learn has it."""
    truth, values, p = given.truth, given.values, given.probabilities
    if key == "loss":
        return float(given.losses.mean())
    if case in {"deg", "mm"}:
        errors = np.abs(values - truth)
        errors = np.minimum(errors, 360 - errors) if case == "deg" else errors
        known = {"rmse": np.sqrt((errors**2).mean()), "median_error_deg": np.median(errors)}
        known |= {"mae": errors.mean(), "mean_error_deg": errors.mean(), "within_10_deg": (errors < 10).mean()}
        if key == "r2" and case == "deg":
            unit = np.exp(1j * np.deg2rad(truth))
            turned = np.angle(unit / unit.mean(0) * np.abs(unit.mean(0)), deg=True)
            return float(1 - ((errors**2).sum(0) / (turned**2).sum(0)).mean())
        return float(known[key]) if key in known else sk.r2_score(truth, values)
    scores = {
        "accuracy": lambda: sk.accuracy_score(truth, values),
        "exact_match": lambda: sk.accuracy_score(truth, values),
        "balanced_accuracy": lambda: sk.balanced_accuracy_score(truth, values),
        "macro_f1": lambda: sk.f1_score(truth, values, average="macro"),
        "f1": lambda: sk.f1_score(truth, values, average="micro"),
        "top5_accuracy": lambda: sk.top_k_accuracy_score(truth, p, k=5),
        "kappa": lambda: sk.cohen_kappa_score(truth, values),
        "mcc": lambda: sk.matthews_corrcoef(truth, values),
        "auc": lambda: sk.roc_auc_score(truth, p[:, 1] if case == "binary" else p, multi_class="ovr"),
        "mean_average_precision": lambda: sk.average_precision_score(truth, p),
        "ece": lambda: (
            calibration_error(p.ravel(), truth.ravel())
            if case == "tags"
            else calibration_error(p.max(1), truth == values)
        ),
    }
    return float(scores[key]())


def calibration_error(sure: np.ndarray, right: np.ndarray) -> float:
    total = 0.0
    for k in range(15):
        inside = [(s, r) for s, r in zip(sure, right, strict=True) if k / 15 < s <= (k + 1) / 15 or (k == 0 and s == 0)]
        total += abs(sum(s - r for s, r in inside))
    return total / len(sure)


@pytest.mark.parametrize(("case", "key"), CASES)
def test_a_score_is_scikit_learns(case: str, key: str) -> None:
    metric, given = drawn(case, key)
    assert metric.score(metric.record(given)) == pytest.approx(by_hand(case, key, given))


@pytest.mark.parametrize(("case", "key"), CASES)
def test_whole_weights_are_repeated_images(case: str, key: str) -> None:
    """A row of weights scores as if each image stood there so often: what the bootstrap rests on."""
    metric, given = drawn(case, key, seed=1)
    records, weights = metric.record(given), np.random.default_rng(0).multinomial(NUM, np.ones(NUM) / NUM, size=4)
    scores = metric.value(records, weights)
    for row, score in zip(weights, scores, strict=True):
        assert score == pytest.approx(metric.score(np.repeat(records, row, axis=0)))


@pytest.mark.parametrize(("case", "key"), CASES)
def test_records_of_parts_are_those_of_the_whole(case: str, key: str) -> None:
    metric, given = drawn(case, key)
    parts = [
        metric.record(replace(given, **pick(given, rows))) for rows in (slice(0, 11), slice(11, 12), slice(12, NUM))
    ]
    assert np.array_equal(np.concatenate(parts), metric.record(given))
    order = np.random.default_rng(0).permutation(NUM)
    records = metric.record(given)
    assert metric.score(records[order]) == pytest.approx(metric.score(records))


def pick(given: Answers, rows: slice) -> dict[str, np.ndarray | None]:
    p = given.probabilities
    return {
        "truth": given.truth[rows],
        "values": given.values[rows],
        "losses": given.losses[rows],
        "probabilities": None if p is None else p[rows],
    }


SMOOTH = [one for one in CASES if one[1] != "median_error_deg"]  # a median is a step in its weights


@pytest.mark.parametrize(("case", "key"), SMOOTH)
def test_the_mean_contribution_is_the_score(case: str, key: str) -> None:
    metric, given = drawn(case, key)
    values = metric.per_image(given)
    assert values.shape == (NUM,)
    assert values.mean() == pytest.approx(metric.score(metric.record(given)), rel=1e-6)


@pytest.mark.parametrize(("case", "key"), SMOOTH)
def test_a_contribution_is_the_change_by_one_more_copy_of_the_image(case: str, key: str) -> None:
    metric, given = drawn(case, key, seed=1)
    records, copies = metric.record(given), 60
    base, values = np.tile(records, (copies, 1)), metric.contribution(records)
    for image in (0, 7, 23, 59):
        score = metric.score(np.concatenate([base, records[image : image + 1]]))
        assert score is not None
        change = (score - values.mean()) * (NUM * copies + 1)
        assert change == pytest.approx(values[image] - values.mean(), abs=0.02 * np.ptp(values) + 1e-6)


@pytest.mark.parametrize(("case", "key"), SMOOTH)
def test_a_closed_form_is_the_general_one(case: str, key: str) -> None:
    metric, given = drawn(case, key, seed=2)
    records = metric.record(given)
    values = metric.contribution(records)
    assert metric.jackknife(records) == pytest.approx(values, rel=1e-4, abs=1e-4 * np.ptp(values) + 1e-9)


@pytest.mark.parametrize(("case", "key"), CASES)
def test_an_epoch_may_keep_records_as_floats(case: str, key: str) -> None:
    metric, given = drawn(case, key)
    records = metric.record(given)
    assert metric.value(records.astype(np.float64), np.ones((1, NUM)))[0] == pytest.approx(metric.score(records))


def test_equal_records_are_one_kind() -> None:
    metric, given = drawn("label", "macro_f1")
    records = metric.record(given)
    kinds, place, counts = metric.kinds(records)
    assert np.array_equal(kinds[place], records) and counts.sum() == NUM
    assert len(kinds) == len({tuple(row) for row in records.tolist()})


def test_what_is_not_defined_has_no_score() -> None:
    one_class = Answers(np.zeros(4, int), np.zeros(4, int), np.ones(4), np.tile([0.8, 0.2], (4, 1)))
    scores = {metric.key: metric.score(metric.record(one_class)) for metric in Classify("l", ("a", "b")).metrics}
    assert scores["auc"] is scores["kappa"] is scores["mcc"] is None
    assert scores["accuracy"] == scores["macro_f1"] == 1.0
    for metric in Classify("l", ("a", "b")).metrics:
        assert metric.score(metric.record(one_class)[:0]) is None
    assert np.isnan(drawn("binary", "auc")[0].per_image(one_class)).all()


def test_a_class_without_images_counts_in_no_average() -> None:
    truth, values = np.array([0, 0, 1, 1, 1]), np.array([0, 2, 1, 1, 0])
    given = Answers(truth, values, np.zeros(5), np.eye(3)[values])
    by_name = {metric.key: metric for metric in Classify("l", ("a", "b", "c")).metrics}
    score = by_name["macro_f1"].score(by_name["macro_f1"].record(given))
    assert score == pytest.approx(sk.f1_score(truth, values, labels=[0, 1], average="macro", zero_division=0))


def test_fifty_thousand_images_of_a_thousand_classes_take_little_memory() -> None:
    import tracemalloc

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 1000, 50_000)
    values = np.where(rng.random(50_000) < 0.7, truth, rng.integers(0, 1000, 50_000))
    given = Answers(truth, values, np.zeros(50_000))
    by_name = {metric.key: metric for metric in Classify("l", tuple(map(str, range(1000)))).metrics}
    tracemalloc.start()
    for key in ("balanced_accuracy", "macro_f1"):
        assert by_name[key].per_image(given).mean() == pytest.approx(by_name[key].score(by_name[key].record(given)))
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_a_metric_of_ones_own_is_a_record() -> None:
    near = Metric("near", "share within 1", form="percent", possible=SHARE, record=lambda a: column(a.values <= 1))
    given = Answers(np.zeros(4), np.array([0, 1, 2, 3]), np.zeros(4))
    assert near.score(near.record(given)) == near.per_image(given).mean() == 0.5
    assert near.text(0.5) == "50.0%"


def test_words_alone_compute_nothing() -> None:
    with pytest.raises(SettingsError, match="plugin"):
        by_key("a_score_of_mine").per_image(Answers(np.zeros(1), np.zeros(1), np.zeros(1)))


def test_an_unknown_monitor_is_refused_with_the_nearest() -> None:
    task = Classify("label", ("a", "b")).to_json()
    assert monitor_of(task).key == "accuracy"
    with pytest.raises(SettingsError, match="accuracy"):
        monitor_of(task | {"monitor": "acuracy"})


def test_numbers_are_written_in_their_unit() -> None:
    auc, error = by_key("auc"), by_key("mean_error_deg")
    assert (auc.text(0.94321), auc.change(-0.01), auc.span([0.9, 0.95])) == ("0.943", "-0.0100", "0.900 to 0.950")
    assert (error.amount(-3), error.typeset().span([-0.5, 3], is_change=True)) == ("3.00 degrees", "−0.500 to 3.00°")
    assert by_key("rmse", "mm").text(-0.5) == "-0.500 mm" and by_key("loss").text(math.nan) == "n/a"
    assert by_key("accuracy").typeset().change(-0.0251) == "−2.5 points"


def test_a_document_says_how_an_unknown_metric_is_written() -> None:
    near = Metric("near", "share within 1", form="percent", possible=SHARE)
    error = Metric("off", "steps off", "min", unit="steps", possible=ERROR)
    for metric in (near, error):
        document = {"metric": metric.key, "metric_words": json.loads(json.dumps(metric.words(), allow_nan=False))}
        known = metric_of(document)
        assert (known.name, known.text(0.25), known.direction, known.is_share) == (
            metric.name,
            metric.text(0.25),
            metric.direction,
            metric.is_share,
        )
    old = {"monitor": "my_error", "monitor_mode": "min", "unit": "mm"}
    assert metric_of(old).is_less_better and metric_of(old).text(2.0) == "2.00 mm"


def test_a_truth_of_equal_numbers_has_nothing_to_explain():
    truth, values = np.full((7, 1), 0.1), np.linspace(0, 1, 7)[:, None]
    assert r2().score(r2().record(Answers(truth, values, np.zeros(7)))) is None
