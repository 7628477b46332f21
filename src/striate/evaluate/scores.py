"""Every score of a split, by the metrics of its task. What is not defined is None, never 0.

Intervals are 95 % over the choice of images: Wilson's for shares of images, else bootstrap percentiles, or Student's of
the images' contributions (see `Metric.interval`).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.base.errors import DivergedError
from striate.metric import Answers, Metric, records_of
from striate.metric.metric import Interval
from striate.task import Task

from .interval import bootstrap, mean_interval, no_narrower, proportion_interval

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


def scores_of(task: Task, answers: Answers) -> dict[str, Any]:
    """Return the scores of an evaluated split, as scores.json holds them.

    Raises:
        DivergedError: a prediction is not a finite number.

    Example:
        >>> from striate.task.regress import Regress
        >>> table = Answers(np.array([[359.0], [10.0]]), np.array([[1.0], [25.0]]), losses=np.array([0.1, 0.2]))
        >>> scores = scores_of(Regress("angle", ("angle",), "deg", (0.0,), (1.0,)), table)
        >>> scores["mean_error_deg"], scores["within_10_deg"]
        (8.5, 0.5)
    """
    _require_finite(answers)
    return {**scores_by(task.metrics, answers), **task.details(answers)}


def scores_by(metrics: Sequence[Metric], answers: Answers) -> dict[str, Any]:
    """Return {"num_images", a score a metric, "intervals"} of answers."""
    records = records_of(metrics, answers)
    scores = {metric.key: metric.score(records[metric.key]) for metric in metrics}
    intervals = _intervals(metrics, records, scores)
    ends = {key: list(interval) for key, interval in intervals.items()}
    return {"num_images": len(answers), **scores, "intervals": ends}


def _require_finite(answers: Answers) -> None:
    values = answers.values if answers.probabilities is None else answers.probabilities
    if values.ndim == 3:  # lists of objects, of which rows of nan are not there
        values = values[~np.isnan(values).all(2)]
    if values.dtype.kind == "f" and not np.isfinite(values).all():  # else classes, or names of files
        raise DivergedError("the network's prediction is not a finite number", fix="train again with a lower --lr")


def _intervals(
    metrics: Sequence[Metric], records: Mapping[str, Array], scores: Mapping[str, float | None]
) -> dict[str, Interval]:
    known = [metric for metric in metrics if scores[metric.key] is not None]
    by_way = {way: [metric for metric in known if metric.interval == way] for way in ("wilson", "bootstrap", "student")}
    found = {metric.key: _wilson(records[metric.key]) for metric in by_way["wilson"]}
    for stream in dict.fromkeys(metric.stream for metric in by_way["bootstrap"]):
        same = [metric for metric in by_way["bootstrap"] if metric.stream == stream]
        found |= _bootstrap(same, records, scores)
    for metric in by_way["student"]:
        values = metric.contribution(records[metric.key])
        found[metric.key] = mean_interval(values[None], possible=metric.possible)
    return {key: ends for key, ends in found.items() if all(map(math.isfinite, ends))}


def _wilson(records: Array) -> Interval:
    right = records.mean(1)
    return proportion_interval(right.sum(), len(right))


def _bootstrap(
    metrics: Sequence[Metric], records: Mapping[str, Array], scores: Mapping[str, float | None]
) -> dict[str, Interval]:
    """Intervals of the metrics of one stream, on the same draws of images."""
    kinds, places = {}, {}
    for metric in metrics:
        kinds[metric.key], places[metric.key], _ = metric.kinds(records[metric.key])
    groups = places[metrics[0].key]
    assert all(np.array_equal(groups, place) for place in places.values()), "metrics of a stream group images alike"

    def values(counts: npt.NDArray[np.int64]) -> dict[str, Floats]:
        return {metric.key: metric.value(kinds[metric.key], counts) for metric in metrics}

    found = bootstrap(groups, values, metrics[0].stream)
    kept = {}
    for metric in metrics:
        ends, score = found[metric.key], scores[metric.key]
        if metric.is_share and score is not None:
            kept[metric.key] = no_narrower(ends, _least(metric, records[metric.key], score))
        elif ends[0] < ends[1]:  # equal errors say nothing of how they would vary
            kept[metric.key] = ends
    return kept


def _least(metric: Metric, records: Array, score: float) -> Interval:
    """Wilson's interval of a share: of as many images as there are where each is right or wrong; where an image can be
    right in part, of as many as would vary as much.
    """
    if metric.is_discrete:
        return proportion_interval(score * len(records), len(records))
    return mean_interval(metric.contribution(records)[None], possible=metric.possible)
