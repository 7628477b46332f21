"""What a classifier confuses, which mistakes it is sure of, each class's figures, how honest its probabilities are."""

import math
from typing import Any

from . import charts
from .confusion import Seen, build, surest_first, table, take
from .metrics import NA, Metric, count, number
from .pictures import Album
from .read import SPLIT_WORDS, Run
from .rows import Row, tags

NUM_MISTAKES = 24


def labels(run: Run, album: Album) -> dict[str, Any]:
    """Return the sections of a classifier (or tagger) for the split the headline speaks of."""
    split = run.reported_split
    if split is None:
        return {"reason": f"No image was judged: {run.why_missing}."}
    rows = [row for row in run.rows if row.split == split]
    scores = run.scores[split]
    found: dict[str, Any] = {
        "reason": "",
        "split": SPLIT_WORDS[split],
        "per_class": per_class(scores),
        "calibration": calibration(scores, run.kind),
    }
    if run.kind == "tags":
        return found | {"tag_mistakes": _tag_mistakes(run, rows, album)}
    seen = [Seen(run.folder, row) for row in rows]
    mistakes = sorted((one for one in seen if not one.row.is_right), key=surest_first)
    found["mistakes"] = [take(one, album) for one in mistakes[:NUM_MISTAKES]]
    found["num_mistakes"] = len(mistakes)
    counts = table(scores, run.names, seen)
    found["matrix"] = build(counts, run.names, seen, album) if counts else None
    found["confusion_sentence"] = confusion_sentence(counts, run.names) if counts else ""
    found["has_rows"] = bool(rows)
    return found


def confusion_sentence(counts: list[list[int]], names: list[str]) -> str:
    """Say which classes are taken for each other most often."""
    pairs = [
        (counts[a][b] + counts[b][a], counts[a][b], counts[b][a], a, b) for a in range(len(names)) for b in range(a)
    ]
    total = sum(pair[0] for pair in pairs)
    if not total:
        return "Every image was named right."
    both, forth, back, a, b = max(pairs)
    if forth < back:
        forth, back, a, b = back, forth, b, a
    ways = f"{names[a]} taken for {names[b]} {_times(forth)}, the other way {_times(back)}"
    text = f"Most often confused: {names[a]} and {names[b]} ({ways})"
    share = both / total
    return text + (f", {share:.0%} of all {count(total)} mistakes." if share >= 0.01 else f"; {count(total)} mistakes.")


def _times(number_: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number_, f"{number_} times")


def per_class(scores: dict[str, Any]) -> dict[str, Any] | None:
    """Return the table of the classes, the worst first; average precision leads where there is one (tags)."""
    rows = [row for row in scores.get("per_class") or [] if isinstance(row, dict)]
    if not rows:
        return None
    words = {"ap": "average precision", "f1": "F1", "recall": "recall", "precision": "precision"}
    keys = [key for key in words if key != "ap" or any("ap" in row for row in rows)]
    lead = keys[0]
    rows.sort(key=lambda row: (number(row.get(lead)) is None, number(row.get(lead)) or 0.0))
    return {
        "head": [words[key] for key in keys],
        "body": [_class_row(row, keys) for row in rows],
        "has_undefined": any(number(row.get(key)) is None for row in rows for key in keys),
    }


def _class_row(row: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    percent = Metric("", "", is_percent=True)
    return {
        "name": str(row.get("name", "")),
        "support": count(row.get("support")),
        "cells": [(percent.text(row.get(key)), number(row.get(key))) for key in keys],
        "bar": 100 * (number(row.get(keys[0])) or 0.0),
    }


def calibration(scores: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """Return the reliability diagram and what it says."""
    bins = scores.get("calibration")
    if not isinstance(bins, list) or not bins:
        return None
    rows = [
        row
        for row in bins
        if isinstance(row, dict) and number(row.get("count")) and number(row.get("confidence")) is not None
    ]
    total = sum(row["count"] for row in rows)
    if not total:
        return None
    confidence = sum(row["count"] * row["confidence"] for row in rows) / total
    accuracy = sum(row["count"] * (number(row.get("accuracy")) or 0.0) for row in rows) / total
    ece = number(scores.get("ece"))
    gap = confidence - accuracy
    verdict = "about as sure as it should be"
    if abs(gap) >= 0.02:
        verdict = "too sure of itself" if gap > 0 else "less sure than it could be"
    claim = f"On average it claims {confidence:.1%} and is right {accuracy:.1%} of the time"
    if kind == "tags":
        claim = f"It gives a tag {confidence:.1%} on average, and {accuracy:.1%} of them are there"
    return {
        "chart": charts.calibration(bins),
        "few": charts.FEW,
        "ece": NA if ece is None else f"{ece:.1%}",
        "sentence": f"{claim}: it is {verdict}.",
    }


def _tag_mistakes(run: Run, rows: list[Row], album: Album) -> list[dict[str, Any]]:
    """Return the images with the largest loss among those with a wrong tag, each tag marked right, missed or extra."""
    wrong = [row for row in rows if not row.is_right]
    wrong.sort(key=lambda row: (-(row.loss if math.isfinite(row.loss) else math.inf), row.id))
    pictured = [row for row in wrong if album.has(run.folder, row.split, row.id)]
    found = []
    for row in (pictured or wrong)[:NUM_MISTAKES]:
        truth, said = set(tags(row.truth)), set(tags(row.prediction))
        chance = dict(zip(run.names, row.probabilities, strict=False))
        marks = [
            (name, "missed" if name not in said else "right" if name in truth else "extra", _percent(chance.get(name)))
            for name in run.names
            if name in truth | said
        ]
        found.append({"picture": album.take(run.folder, row.split, row.id), "id": row.id, "tags": marks})
    return found


def _percent(value: float | None) -> str:
    return f"{value:.0%}" if value is not None and math.isfinite(value) else NA
