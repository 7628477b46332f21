"""What else is said of detections: figures of each class, curves, the score from which one counts, numbers of objects.

Records and answers are those of `box_matches`. N images, K classes, L levels of IoU.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from .box_ap import RECALLS, envelope, precisions
from .box_matches import TRUE, UNCOUNTED, Matches, counted, recorder
from .metric import ERROR, Answers, Array, Floats, Metric
from .ratios import ratio

USUAL = 0.5  # the threshold where nothing is found, and none is better than another


def curve(records: Array, label: int, num_classes: int, level: int = 0) -> dict[str, list[float]] | None:
    """Return {"recall", "precision", "score"} of a class at 101 recalls; None of a class without objects.

    The precision is the best one there or beyond, the score that from which detections count to reach the recall; both
    are 0 beyond the last recall.

    Args:
        level: 0 for IoU 0.5 to 9 for 0.95.
    """
    found = Matches.of(records, num_classes)
    total = found.num_objects[:, label, 0].sum()
    if not total:
        return None
    ranked = found.of_class(label)
    code = ranked.codes[:, level]
    kept = code != UNCOUNTED
    hits = (code[kept] == TRUE).cumsum()
    best = envelope((hits / np.arange(1, len(hits) + 1))[None])[0]
    place = np.searchsorted(hits / total, RECALLS)  # where each recall is reached
    columns = (np.append(column, 0.0)[place] for column in (best, ranked.score[kept]))
    return dict(
        zip(("recall", "precision", "score"), (RECALLS.tolist(), *(one.tolist() for one in columns)), strict=True)
    )


def per_class(records: Array, names: Sequence[str], threshold: float = USUAL) -> list[dict[str, Any]]:
    """Return {"name", "objects", "ap", "ap50", "ap75", "recall", "precision", "f1"} of each class; None of no objects.

    The last three at IoU 0.5, of the detections that score `threshold` or more.
    """
    found, one = Matches.of(records, len(names)), np.ones((1, len(records)))
    rows = []
    for k, name in enumerate(names):
        ranked, num_objects = found.of_class(k), found.num_objects[:, k, 0]
        aps = precisions(ranked, num_objects, one)[0]
        kept = (ranked.score >= threshold) & (ranked.codes[:, 0] != UNCOUNTED)
        hits, given, objects = (ranked.codes[kept, 0] == TRUE).sum(), kept.sum(), num_objects.sum()
        ap = [float(value) if objects else None for value in (aps.mean(), aps[0], aps[5])]
        shares = (ratio(hits, objects), ratio(hits, given), ratio(2 * hits, given + objects) if objects else None)
        row = {"name": name, "objects": int(objects)} | dict(zip(("ap", "ap50", "ap75"), ap, strict=True))
        rows.append(row | dict(zip(("recall", "precision", "f1"), shares, strict=True)))
    return rows


def best_threshold(answers: Answers) -> tuple[float, float]:
    """Return the score from which detections count so that their F1 over all objects is best at IoU 0.5, and that F1.

    To be chosen on the validation split. 0.5 and 0 where no detection is right.

    Example:
        >>> truth = np.array([[[0, 0, 0, 9, 9, 0, 0.0]]])
        >>> rows = np.array([[[0, 0.75, 0, 0, 9, 9], [0, 0.25, 20, 20, 30, 30]]])
        >>> best_threshold(Answers(truth, rows, np.zeros(1)))
        (0.75, 1.0)
    """
    labels = np.concatenate([answers.truth[:, :, 0].ravel(), answers.values[:, :, 0].ravel()])
    num_classes = int(np.nanmax(np.append(labels, 0))) + 1
    found = Matches.of(recorder(num_classes)(answers), num_classes)
    code, score = found.packed[:, :, 0].ravel() % 3, found.score.ravel()
    kept = (found.label.ravel() >= 0) & (code != UNCOUNTED)
    order = np.argsort(-score[kept], kind="stable")
    score, hits = score[kept][order], (code[kept][order] == TRUE).cumsum()
    if not len(hits) or not hits[-1]:
        return USUAL, 0.0
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + found.num_objects[:, :, 0].sum())
    f1[:-1][score[:-1] == score[1:]] = 0  # equal scores count together
    best = int(f1.argmax())
    return float(score[best]), float(f1[best])


def num_detected(answers: Answers, num_classes: int, threshold: float) -> Floats:
    """Return (N, K) how many detections of each class score `threshold` or more."""
    label, score = answers.values[:, :, 0], answers.values[:, :, 1]
    return np.stack([((label == k) & (score >= threshold)).sum(1) for k in range(num_classes)], 1).astype(np.float64)


def num_objects(answers: Answers, num_classes: int) -> Floats:
    """Return (N, K) how many objects of each class count."""
    truth = answers.truth.astype(np.float64)
    is_counted = counted(truth)[:, :, 0]
    return np.stack([((truth[:, :, 0] == k) & is_counted).sum(1) for k in range(num_classes)], 1).astype(np.float64)


@cache
def count_error(num_classes: int, threshold: float) -> Metric:
    """Return by how many the number of detections that score `threshold` or more errs, mean over images and classes."""

    def record(answers: Answers) -> Array:
        return np.abs(num_detected(answers, num_classes, threshold) - num_objects(answers, num_classes))

    return Metric("count_error", "counting error", "min", unit="objects", possible=ERROR, record=record, stream="boxes")
