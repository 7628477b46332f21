"""What several runs of one network said of the same images, put together; one run stays as it is."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from .confusion import Seen
from .metrics import number
from .pictures import Album
from .read import Run
from .rows import Row

FIGURES = ("ap", "f1", "recall", "precision", "support")
Answers = dict[str, list[tuple[Run, Row]]]
Counts = Sequence[Sequence[int]]


def answers(runs: Sequence[Run], split: str) -> Answers:
    """Return for each image what every run said of it."""
    found: Answers = defaultdict(list)
    for run in runs:
        for row in run.rows:
            if row.split == split:
                found[row.id].append((run, row))
    return found


def by_answer(judged: Answers, album: Album) -> list[Seen]:
    """Return each image once for each different answer: how many runs gave it, and how sure they were on average."""
    found = []
    for given in judged.values():
        grouped: dict[str, list[tuple[Run, Row]]] = defaultdict(list)
        for run, row in given:
            grouped[row.prediction].append((run, row))
        for same in grouped.values():
            run, row = pictured(same, album)
            sure = [one.confidence for _, one in same if number(one.confidence) is not None]
            row = replace(row, confidence=fmean(sure) if sure else float("nan"))
            found.append(Seen(run.folder, row, len(same), len(given)))
    return found


def pictured(same: list[tuple[Run, Row]], album: Album) -> tuple[Run, Row]:
    """Return the first answer whose run kept a picture of the image, else the first."""
    return next((one for one in same if album.has(one[0].folder, one[1].split, one[1].id)), same[0])


def pool(scores: Sequence[Mapping[str, Any]], names: Sequence[str], counts: Counts | None) -> dict[str, Any]:
    """Return the scores of one split over several runs: figures by class, calibration bins and their error.

    Args:
        scores: the split's scores of each run.
        names: the classes or tags.
        counts: the confusion table summed over the runs; None for tags, whose figures are means over the runs.
    """
    if len(scores) == 1:
        return dict(scores[0])
    bins = pool_bins([bins for one in scores if isinstance(bins := one.get("calibration"), list)])
    total = sum(row["count"] for row in bins)
    gaps = sum(row["count"] * abs(row["confidence"] - row["accuracy"]) for row in bins)
    return {
        "per_class": count_classes(counts, names) if counts else mean_rows(scores, "per_class", FIGURES),
        "calibration": bins,
        "ece": gaps / total if total else None,
    }


def count_classes(counts: Counts, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return precision, recall and F1 of each class from a confusion table; a class without images has none.

    Example:
        >>> count_classes([[3, 1], [0, 0]], ["a", "b"])[0]
        {'name': 'a', 'precision': 1.0, 'recall': 0.75, 'f1': 0.8571428571428571, 'support': 4}
    """
    rows = []
    for k, name in enumerate(names):
        hit, support, given = counts[k][k], sum(counts[k]), sum(row[k] for row in counts)
        rows.append(
            {
                "name": name,
                "precision": hit / given if support and given else None,
                "recall": hit / support if support else None,
                "f1": 2 * hit / (support + given) if support else None,
                "support": support,
            }
        )
    return rows


def mean_rows(scores: Sequence[Mapping[str, Any]], table: str, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of one table of the scores, each with the means of its figures over the runs that have them."""
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in scores:
        rows = one.get(table)
        for row in rows if isinstance(rows, list) else []:
            if isinstance(row, Mapping):
                found[str(row.get("name", ""))].append(row)
    return [
        {"name": name, **{key: _mean(same, key) for key in keys if any(key in row for row in same)}}
        for name, same in found.items()
    ]


def _mean(rows: Sequence[Mapping[str, Any]], key: str) -> float | None:
    known = [value for row in rows if (value := number(row.get(key))) is not None]
    return fmean(known) if known else None


def pool_bins(several: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Return the bins of several reliability diagrams as one: counts summed, means weighted by them."""
    found: dict[tuple[float, float], list[list[float]]] = defaultdict(list)
    for row in (row for bins in several for row in bins if isinstance(row, Mapping)):
        cells = [number(row.get(key)) for key in ("lower", "upper", "confidence", "accuracy", "count")]
        known = [cell for cell in cells if cell is not None]
        if len(known) == len(cells) and known[-1] > 0:
            found[known[0], known[1]].append(known[2:])
    pooled = []
    for (lower, upper), rows in sorted(found.items()):
        total = sum(row[2] for row in rows)
        sure, right = (sum(row[k] * row[2] for row in rows) / total for k in (0, 1))
        pooled.append({"lower": lower, "upper": upper, "confidence": sure, "accuracy": right, "count": total})
    return pooled
