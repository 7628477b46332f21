"""Predicted numbers: parity, errors, and the images that are furthest off; angles the short way round."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles, stdev
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from striate.base.numbers import NA, count, number, significant
from striate.metric import Metric, by_key
from striate.report import charts_values as charts
from striate.report.answers import Given, illustrated, with_thumbnails_first
from striate.report.pool import mean_rows
from striate.report.read import Run, at
from striate.report.templates import piece
from striate.report.thumbnails import EmbeddedImage

from .sections import Room, Section, Sections, Subject

TEMPLATE = "tasks/regress.html"
NUM_WORST = 24
MAX_FIELDS = 6
Floats = npt.NDArray[np.float64]
RANDOM_DEG = 90.0  # the mean error of a random direction
PER_FIELD = ("rmse", "mae", "r2")


@dataclass(frozen=True)
class FarImage:
    """An image with its true numbers, those of each run and the mean error, as texts."""

    image: EmbeddedImage | None
    id: str
    truth: str
    prediction: str
    error: str


class RegressSections(Sections):
    """The sections of predicted numbers."""

    def figures(self, run: Run) -> Sequence[str]:
        """Return the other errors, R2 and the loss."""
        return (*(("within_10_deg", "median_error_deg") if _is_angle(run) else ("mae",)), "rmse", "r2", "loss")

    def result(self, run: Run, scores: Mapping[str, Any], where: str) -> list[str]:
        """Return the error, for angles with the share of small ones."""
        near = number(scores.get("within_10_deg"))
        if not _is_angle(run) or near is None:
            return super().result(run, scores, where)
        error = run.metric.text(scores.get(run.metric.key))
        return [f"On {where} the angle is off by {error} on average; {near:.1%} are within 10 degrees."]

    def chance(self, run: Run) -> dict[str, float]:
        """Return the mean error of a random direction."""
        return {"random": RANDOM_DEG} if _is_angle(run) and run.metric.key == "mean_error_deg" else {}

    def score_code(self, run: Run) -> str:
        """Return the mean or root mean squared error; that of angles the short way round."""
        error = "answers.values - answers.truth"
        error = f"({error} + 180) % 360 - 180  # degrees, the short way round" if _is_angle(run) else error
        value = {"rmse": "np.sqrt(np.mean(error**2))"}.get(run.metric.key, "np.mean(np.abs(error))")
        lines = ("answers = run.answers(SPLIT)", f"error = {error}", f"return {value}")
        return "\n".join(lines) if run.metric.key in {"rmse", "mae", "mean_error_deg"} else ""

    def look_code(self) -> tuple[str, str]:
        """Return a plot of predicted against true numbers."""
        about = "## Predictions\n\nWhat the best variant predicted against what is true, and what the baseline did."
        lines = (
            "from matplotlib import pyplot as plt",
            "",
            "answers = {run}.answers(SPLIT)",
            "plt.figure(figsize=(4, 4))",
            'plt.plot(answers.truth, answers.values, ".")',
            "plt.axline((np.mean(answers.truth),) * 2, slope=1, color='grey')",
            'plt.xlabel("true")',
            'plt.ylabel("predicted")',
            "plt.show()",
        )
        return about, "\n".join(lines)

    def inside(self, subject: Subject) -> list[Section]:
        """Return the predictions against the truth and the images furthest off."""
        body = piece(TEMPLATE, "predictions", subject, _predictions(subject))
        return [Section("predictions", "Predictions", f"Predictions{subject.of_whom} against truth", body)]

    def brief(self, subject: Subject, room: Room) -> Markup:
        """Return the images furthest off."""
        return piece(TEMPLATE, "furthest", subject, _furthest(subject, room.num_images))


def _is_angle(run: Run) -> bool:
    return str(at(run.info, "task.unit", "")) == "deg"


def _predictions(subject: Subject) -> dict[str, Any] | None:
    """Return the numbers one by one and the images furthest off; None without a table of predictions."""
    rows = [(answers.table, row) for given in subject.by_image.values() for answers, row in given]
    if not rows:
        return None
    truth, values = (
        np.stack([table.truth[row] for table, row in rows]),
        np.stack([table.values[row] for table, row in rows]),
    )
    names = (subject.names or ["value"])[: min(MAX_FIELDS, values.shape[1])]
    is_angle = _is_angle(subject.runs[0])
    return {
        "num_images": count(len(truth)),
        "unit": "degrees" if is_angle else subject.unit,
        "is_angle": is_angle,
        "fields": [
            _field(truth[:, k], values[:, k], k, name, subject.unit, is_angle=is_angle) for k, name in enumerate(names)
        ],
        "per_field": _per_field(subject) if len(subject.names) > 1 else [],
        "num_more_fields": max(0, len(subject.names) - MAX_FIELDS),
        "worst": _furthest(subject, NUM_WORST),
    }


def _per_field(subject: Subject) -> list[list[str]]:
    """Return one line a number: its name, root mean squared error, mean absolute error and R2, means over the runs."""
    rows = mean_rows(subject.scores, "per_field", PER_FIELD)
    return [
        [row["name"], *(by_key(key, subject.unit).typeset().text(row.get(key)) for key in PER_FIELD)] for row in rows
    ]


def _field(truth: Floats, values: Floats, index: int, name: str, unit: str, *, is_angle: bool) -> dict[str, Any]:
    differences = _differences(truth, values, is_angle=is_angle)
    finite = differences[np.isfinite(differences)].tolist()
    error = _error_metric(unit)
    around = charts.around(truth.tolist(), np.abs(differences).tolist(), f"around{index}") if is_angle else None
    return {
        "name": name,
        "parity": charts.parity(truth.tolist(), values.tolist(), f"parity{index}", error, is_angle=is_angle),
        "errors": charts.errors(differences.tolist(), f"errors{index}", error),
        "around": around,
        "bias": error.change(fmean(finite)) if finite else NA,
        "sentence": _bias_sentence(finite),
    }


def _error_metric(unit: str) -> Metric:
    return by_key("mean_error_deg" if unit == "deg" else "rmse", unit).typeset()


def _bias_sentence(finite: list[float]) -> str:
    if len(finite) < 2:
        return ""
    error = stdev(finite) / math.sqrt(len(finite))
    middle = fmean(finite)
    bias = f"on average it answers too {'high' if middle > 0 else 'low'}"
    if abs(middle) < 2 * error:
        bias = "the mean difference is not significant"
    low, _, high = (significant(value).replace("-", "−") for value in quantiles(finite, n=4))
    return f"With a standard error of {significant(error)}, {bias}. Half of the errors lie between {low} and {high}."


def _furthest(subject: Subject, most: int) -> list[FarImage]:
    """Return the images with the largest mean error over the runs, those with a thumbnail if there are any."""
    is_angle = _is_angle(subject.runs[0])
    errors = {
        one: np.abs(_differences(one.table.truth, one.table.values, is_angle=is_angle)).mean(1)
        for one in subject.answers
    }

    def mean_error(given: Sequence[Given]) -> float:
        values = [float(errors[one][row]) for one, row in given]
        return fmean(values) if all(map(math.isfinite, values)) else math.inf

    ranked = sorted(subject.by_image.items(), key=lambda pair: (-mean_error(pair[1]), pair[0]))
    shown = with_thumbnails_first([given for _, given in ranked], subject.thumbnails)[:most]
    return [_far(given, mean_error(given), subject) for given in shown]


def _differences(truth: Floats, values: Floats, *, is_angle: bool) -> Floats:
    """Return prediction minus truth, for angles the short way round."""
    return np.asarray(charts.circular(values - truth) if is_angle else values - truth)


def _far(given: Sequence[Given], mean_error: float, subject: Subject) -> FarImage:
    error = _error_metric(subject.unit)
    answers, row = illustrated(given, subject.thumbnails)
    id_ = answers.table.ids[row]
    image = subject.thumbnails.take(answers.run.folder, answers.split, id_)
    truth = ", ".join(map(error.text, answers.table.truth[row].tolist()))
    several = "; ".join(", ".join(map(error.text, one.table.values[i].tolist())) for one, i in given)
    return FarImage(image, id_, truth, several, error.text(mean_error))
