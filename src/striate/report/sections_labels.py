"""What a classifier confuses, which mistakes it is sure of, each class's figures, how honest its probabilities are."""

import math
from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from striate.base.cells import tags

from . import charts, pool
from .confusion import Seen, add, build, most_confident, ranked, table, take
from .metrics import NA, Metric, count, number
from .pictures import Album
from .read import SPLIT_WORDS, Run
from .rows import Row

NUM_MISTAKES = 24


def labels(run: Run, album: Album) -> dict[str, Any]:
    """Return the sections of a classifier (or tagger) for the split the headline speaks of."""
    split = run.reported_split
    if split is None:
        return {"reason": f"No image was judged: {run.why_missing}."}
    return judge([run], split, album)


def judge(runs: Sequence[Run], split: str, album: Album) -> dict[str, Any]:
    """Return the sections of one run, or of several runs of the same network taken together."""
    first, answers = runs[0], pool.answers(runs, split)
    each = [run.scores.get(split, {}) for run in runs]
    found: dict[str, Any] = {
        "reason": "",
        "split": SPLIT_WORDS.get(split, split),
        "num_runs": len(runs),
        "has_rows": bool(answers),
    }
    counts = None if first.kind == "tags" else counts_of(runs, split)
    found |= mistakes(runs, answers, counts, album, album)
    scores = pool.pool(each, first.names, counts)
    found["per_class"] = per_class(scores)
    found["calibration"] = calibration(scores, first.kind)
    found["ece_of_runs"] = _from_to([number(one.get("ece")) for one in each]) if len(runs) > 1 else ""
    return found


def mistakes(
    runs: Sequence[Run],
    answers: pool.Answers,
    counts: list[list[int]] | None,
    album: Album,
    cells: Album,
    *,
    most: int = NUM_MISTAKES,
    **options: Any,
) -> dict[str, Any]:
    """Return what a network gets wrong: for classes the matrix and the surest mistakes, for tags the worst images.

    Args:
        album: gives the pictures of the mistakes; `cells` those of the matrix.
        most: so many mistakes are shown.
        options: of the matrix, see `confusion.build`.
    """
    names = runs[0].names
    if runs[0].kind == "tags":
        return {"tag_mistakes": _tag_mistakes(names, answers, album, most)}
    seen = pool.by_answer(answers, album)
    wrong = sorted((one for one in seen if not one.row.is_right), key=most_confident)
    return {
        "mistakes": [take(one, album) for one in wrong[:most]],
        "num_mistakes": len(wrong),
        "matrix": build(counts, names, seen, cells, **options) if counts else None,
        "confusion_sentence": confusion_sentence(counts, names) if counts else "",
    }


def counts_of(runs: Sequence[Run], split: str) -> list[list[int]] | None:
    """Return the confusion counts of several runs of the same network, summed; None where there are none."""
    return add([one for run in runs if (one := _counts(run, split, runs[0].names))])


def _counts(run: Run, split: str, names: list[str]) -> list[list[int]] | None:
    seen = [Seen(run.folder, row) for row in run.rows if row.split == split]
    return table(run.scores.get(split, {}), names, seen)


def _from_to(shares: Sequence[float | None]) -> str:
    """Say the lowest and the highest of these shares."""
    known = sorted(share for share in shares if share is not None)
    return " to ".join(dict.fromkeys(f"{share:.1%}" for share in (known[0], known[-1]))) if known else ""


def confusion_sentence(counts: list[list[int]], names: list[str]) -> str:
    """Say which classes are taken for each other most often."""
    cells = ranked(counts)
    if not cells:
        return "Every image was named right."
    (a, b), total = cells[0], sum(counts[a][b] for a, b in cells)
    forth, back = counts[a][b], counts[b][a]
    ways = f"{names[a]} taken for {names[b]} {_times(forth)}, the other way {_times(back)}"
    text = f"Most often confused: {names[a]} and {names[b]} ({ways})"
    share = (forth + back) / total
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


def _tag_mistakes(names: list[str], answers: pool.Answers, album: Album, most: int) -> list[dict[str, Any]]:
    """Return the images with the largest mean loss among those with a wrong tag, and how each tag fared."""
    wrong = [(id_, given) for id_, given in answers.items() if not all(row.is_right for _, row in given)]
    wrong.sort(key=lambda one: (-_mean_loss([row for _, row in one[1]]), one[0]))
    places = [(pool.pictured(given, album)[0].folder, given) for _, given in wrong]
    shown = [one for one in places if album.has(one[0], one[1][0][1].split, one[1][0][1].id)] or places
    found = []
    for folder, given in shown[:most]:
        rows = [row for _, row in given]
        picture = album.take(folder, rows[0].split, rows[0].id)
        found.append({"picture": picture, "id": rows[0].id, "tags": _mark_tags(names, rows)})
    return found


def _mark_tags(names: list[str], rows: list[Row]) -> list[tuple[str, str, str]]:
    """Return (tag, how, chance) of an image's tags; of several runs the mean chance and how many gave the tag."""
    truth, said = set(tags(rows[0].truth)), Counter(tag for row in rows for tag in set(tags(row.prediction)))
    found = []
    for k, name in enumerate(names):
        if name not in truth and not said[name]:
            continue
        how = "extra" if name not in truth else "right" if said[name] == len(rows) else "missed"
        known = [row.probabilities[k] for row in rows if k < len(row.probabilities)]
        chance = _percent(fmean(known) if known else None)
        is_split = 0 < said[name] < len(rows)
        found.append((name, how, f"{chance}, {said[name]} of {len(rows)}" if is_split else chance))
    return found


def _mean_loss(rows: list[Row]) -> float:
    known = [row.loss for row in rows if math.isfinite(row.loss)]
    return fmean(known) if known else math.inf


def _percent(value: float | None) -> str:
    return f"{value:.0%}" if value is not None and math.isfinite(value) else NA
