"""Every score as a mean over images: the mean is the score, the value is its derivative."""

from dataclasses import replace

import numpy as np
import pytest

from striate.base.errors import SettingsError
from striate.evaluate.influence import METRICS, image_values
from striate.evaluate.layout import Labels, Numbers, Tags
from striate.evaluate.predictions import Predictions
from striate.evaluate.scores import scores_of


def table(kind: str, num_classes: int = 7, num: int = 60, seed: int = 0) -> Predictions:
    """Return predictions of a middling network."""
    rng = np.random.default_rng(seed)
    names, ids = tuple(f"c{k}" for k in range(num_classes)), tuple(map(str, range(num)))
    losses = rng.exponential(size=num)
    if kind == "value":
        truth = rng.uniform(0, 360, (num, 2))
        said = truth + rng.normal(0, 12, (num, 2))
        return Predictions(Numbers(("a", "b"), "deg"), ids, truth, said % 360, losses)
    if kind == "tags":
        on = (rng.random((num, num_classes)) < 0.4).astype(np.uint8)
        p = np.clip(np.round(0.5 * on + 0.6 * rng.random(on.shape), 1), 0, 1)
        return Predictions(Tags(names), ids, on, (p > 0.5).astype(np.uint8), losses, p)
    labels = rng.integers(0, num_classes, num)
    p = rng.dirichlet(np.ones(num_classes), num)
    p[np.arange(num), labels] += 0.3
    p /= p.sum(1, keepdims=True)
    return Predictions(Labels(names), ids, labels, p.argmax(1), losses, p)


def repeated(found: Predictions, rows: np.ndarray) -> Predictions:
    """Return the table of these rows, with repetition."""
    changes = {name: getattr(found, name)[rows] for name in ("truth", "values", "losses")}
    if found.probabilities is not None:
        changes["probabilities"] = found.probabilities[rows]
    return replace(found, ids=tuple(map(str, range(len(rows)))), **changes)


CASES = [(kind, metric) for kind, metrics in METRICS.items() for metric in metrics]


@pytest.mark.parametrize(("kind", "metric"), CASES)
def test_the_mean_over_images_is_the_score(kind: str, metric: str) -> None:
    found = table(kind, 2 if metric == "auc" else 7)
    expected = scores_of(kind, found, found.names, found.unit)[metric]
    assert image_values(metric, found).shape == (60,)
    assert image_values(metric, found).mean() == pytest.approx(expected)


@pytest.mark.parametrize(("kind", "metric"), CASES)
def test_the_value_of_an_image_is_what_one_more_copy_of_it_changes(kind: str, metric: str) -> None:
    found = table(kind, 2 if metric == "auc" else 7, seed=1)
    values, copies = image_values(metric, found), 60
    base = np.tile(np.arange(60), copies)
    for image in (0, 7, 23, 59):
        more = repeated(found, np.append(base, image))
        score = scores_of(kind, more, more.names, more.unit)[metric]
        change = (score - values.mean()) * (60 * copies + 1)
        assert change == pytest.approx(values[image] - values.mean(), abs=0.02 * np.ptp(values) + 1e-6)


def test_a_score_that_has_no_image_values_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="accuracy"):
        image_values("acuracy", table("label"))
