"""Predicted numbers: parity, errors, and the images that are furthest off."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, quantiles, stdev
from typing import Any

from . import charts_values as charts
from . import pool
from .metrics import NA, count, metric, significant
from .pictures import Album
from .read import SPLIT_WORDS, Run, at
from .rows import Row

NUM_WORST = 24
MAX_FIELDS = 6


def values(run: Run, album: Album) -> dict[str, Any]:
    """Return the sections of a regression for the split the headline speaks of."""
    split = run.reported_split
    if split is None:
        return {"reason": f"No image was judged: {run.why_missing}."}
    return draw_values([run], split, album)


def draw_values(runs: Sequence[Run], split: str, album: Album) -> dict[str, Any]:
    """Return the sections of one run, or of several runs of the same network taken together."""
    run, answers = runs[0], pool.answers(runs, split)
    rows = [row for given in answers.values() for _, row in given]
    if not rows:
        return {"reason": f"There are no predictions of the {split} split to draw."}
    unit = str(at(run.info, "task.unit", ""))
    names = (run.names or ["value"])[:MAX_FIELDS]
    return {
        "reason": "",
        "split": SPLIT_WORDS.get(split, split),
        "num_images": count(len(rows)),
        "num_runs": len(runs),
        "unit": "degrees" if unit == "deg" else unit,
        "is_angle": run.is_angle,
        "fields": [
            _field(rows, index, name, unit, is_angle=run.is_angle)
            for index, name in enumerate(names)
            if index < min(len(row.values) for row in rows)
        ],
        "per_field": _per_field([one.scores.get(split, {}) for one in runs], unit) if len(names) > 1 else [],
        "num_more_fields": max(0, len(run.names) - MAX_FIELDS),
        "worst": [_worst(given, unit, album) for given in _furthest(answers, album)],
    }


def worst(runs: Sequence[Run], split: str, album: Album, most: int) -> list[dict[str, Any]]:
    """Return the images whose predictions are furthest off."""
    answers, unit = pool.answers(runs, split), str(at(runs[0].info, "task.unit", ""))
    return [_worst(given, unit, album) for given in _furthest(answers, album)[:most]]


def _per_field(scores: Sequence[Mapping[str, Any]], unit: str) -> list[list[str]]:
    """Return one line a field: its name, root mean squared error, mean absolute error and R2, means over the runs."""
    keys = ("rmse", "mae", "r2")
    rows = pool.mean_rows(scores, "per_field", keys)
    return [[row["name"], *(metric(key, unit).text(row.get(key)) for key in keys)] for row in rows]


def _field(rows: list[Row], index: int, name: str, unit: str, *, is_angle: bool) -> dict[str, Any]:
    truths, said = [row.truths[index] for row in rows], [row.values[index] for row in rows]
    differences = [v - t for t, v in zip(truths, said, strict=True)]
    found = metric("mean_error_deg" if is_angle else "rmse", unit)
    if is_angle:
        differences = [charts.circular(value) for value in differences]
    finite = [value for value in differences if math.isfinite(value)]
    return {
        "name": name,
        "parity": charts.parity(truths, said, f"parity{index}", found, is_angle=is_angle),
        "errors": charts.errors(differences, f"errors{index}", found),
        "around": charts.around(truths, [abs(value) for value in differences], f"around{index}") if is_angle else None,
        "bias": found.change(sum(finite) / len(finite)) if finite else NA,
        "sentence": _bias_sentence(finite),
    }


def _bias_sentence(finite: list[float]) -> str:
    if len(finite) < 2:
        return ""
    error = stdev(finite) / math.sqrt(len(finite))
    middle = fmean(finite)
    bias = f"on average it answers too {'high' if middle > 0 else 'low'}"
    if abs(middle) < 2 * error:
        bias = "no bias can be told from chance"
    low, _, high = (significant(value).replace("-", "−") for value in quantiles(finite, n=4))
    return f"With a standard error of {significant(error)}, {bias}. Half of the errors lie between {low} and {high}."


def _furthest(answers: pool.Answers, album: Album) -> list[list[tuple[Run, Row]]]:
    """Return the answers of the images with the largest mean error, those with a picture if there are any."""
    ranked = sorted(answers.values(), key=lambda given: (-_mean_error(given), given[0][1].id))
    shown = [given for given in ranked if _has_picture(given, album)]
    return (shown or ranked)[:NUM_WORST]


def _has_picture(given: list[tuple[Run, Row]], album: Album) -> bool:
    run, row = pool.pictured(given, album)
    return album.has(run.folder, row.split, row.id)


def _mean_error(given: list[tuple[Run, Row]]) -> float:
    errors = [row.error for _, row in given]
    return fmean(errors) if all(map(math.isfinite, errors)) else math.inf


def _worst(given: list[tuple[Run, Row]], unit: str, album: Album) -> dict[str, Any]:
    found = metric("mean_error_deg" if unit == "deg" else "rmse", unit)
    run, row = pool.pictured(given, album)
    return {
        "picture": album.take(run.folder, row.split, row.id),
        "id": row.id,
        "truth": ", ".join(map(found.text, row.truths)),
        "prediction": "; ".join(", ".join(map(found.text, one.values)) for _, one in given),
        "error": found.text(_mean_error(given)),
    }
