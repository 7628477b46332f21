"""Predicted numbers: parity, errors, and the images that are furthest off."""

import math
from statistics import fmean, quantiles, stdev
from typing import Any

from . import charts_values as charts
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
    rows = [row for row in run.rows if row.split == split]
    if not rows:
        return {"reason": f"There are no predictions of the {split} split to draw."}
    unit = str(at(run.info, "task.unit", ""))
    names = (run.names or ["value"])[:MAX_FIELDS]
    return {
        "reason": "",
        "split": SPLIT_WORDS[split],
        "num_images": count(len(rows)),
        "unit": "degrees" if unit == "deg" else unit,
        "is_angle": run.is_angle,
        "fields": [
            _field(rows, index, name, unit, is_angle=run.is_angle)
            for index, name in enumerate(names)
            if index < len(rows[0].values)
        ],
        "per_field": _per_field(run.scores[split], unit) if len(names) > 1 else [],
        "num_more_fields": max(0, len(run.names) - MAX_FIELDS),
        "worst": [_worst(run, row, unit, album) for row in _furthest(run, rows, album)],
    }


def _per_field(scores: dict[str, Any], unit: str) -> list[list[str]]:
    """Return one line a field: its name, root mean squared error, mean absolute error and R2."""
    rows = [row for row in scores.get("per_field") or [] if isinstance(row, dict)]
    return [
        [str(row.get("name", "")), *(metric(key, unit).text(row.get(key)) for key in ("rmse", "mae", "r2"))]
        for row in rows
    ]


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


def _furthest(run: Run, rows: list[Row], album: Album) -> list[Row]:
    ranked = sorted(rows, key=lambda row: (-(row.error if math.isfinite(row.error) else math.inf), row.id))
    pictured = [row for row in ranked if album.has(run.folder, row.split, row.id)]
    return (pictured or ranked)[:NUM_WORST]


def _worst(run: Run, row: Row, unit: str, album: Album) -> dict[str, Any]:
    found = metric("mean_error_deg" if unit == "deg" else "rmse", unit)
    return {
        "picture": album.take(run.folder, row.split, row.id),
        "id": row.id,
        "truth": ", ".join(map(found.text, row.truths)),
        "prediction": ", ".join(map(found.text, row.values)),
        "error": found.text(row.error),
    }
