"""Average precision, until metric/box_ap.py is there."""

import numpy as np

from striate.metric import Answers
from striate.metric.metric import SHARE, Array, Metric

LEVELS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)


def _iou(a: Array, b: Array) -> Array:
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    one, other = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    return np.asarray(shared / np.maximum(one[:, None] + other[None] - shared, 1e-9))


def best_threshold(answers: Answers) -> float:
    """The score with the best F1 at an IoU of 0.5."""
    num = int(np.nanmax(np.concatenate([answers.truth[..., 0].ravel(), answers.values[..., 0].ravel(), [0]]))) + 1
    most = answers.values.shape[1]
    records = metrics(num, most)[0].record(answers)
    found = records[:, : most * 12].reshape(-1, 12)
    found = found[found[:, 0] > 0]
    order = np.argsort(-found[:, 1], kind="stable")
    hits = found[order, 2].cumsum()
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + records[:, most * 12 :].sum())
    return float(found[order, 1][f1.argmax()]) if len(f1) else 0.0


def metrics(num: int, most: int) -> tuple[Metric, ...]:
    def record(answers: Answers) -> Array:
        rows = []
        for truth, values in zip(answers.truth, answers.values, strict=True):
            truth = truth[~np.isnan(truth[:, 0])]
            out = np.zeros((most, 12))
            given = values[~np.isnan(values[:, 0])]
            out[: len(given), 0], out[: len(given), 1] = given[:, 0] + 1, given[:, 1]
            ious = _iou(given[:, 2:], truth[:, 1:5])
            ious[given[:, 0][:, None] != truth[:, 0][None]] = -1
            for at, level in enumerate(LEVELS):
                taken = np.zeros(len(truth), bool)
                for row in range(len(given)):
                    free = np.where(taken, -1, ious[row])
                    if len(free) and free.max() >= level:
                        taken[free.argmax()] = True
                        out[row, 2 + at] = 1
            rows.append(np.concatenate([out.ravel(), np.bincount(truth[:, 0].astype(int), minlength=num)]))
        return np.stack(rows)

    def ap(records: Array, weights: Array, levels: list[int]) -> Array:
        found = records[:, : most * 12].reshape(len(records), most, 12)
        totals = []
        for row in weights:
            counts = row @ records[:, most * 12 :]
            aps = []
            for label in np.flatnonzero(counts > 0):
                mine = found[..., 0] == label + 1
                scores, hits = found[mine][:, 1], found[mine][:, 2:]
                w = np.broadcast_to(row[:, None], mine.shape)[mine]
                order = np.argsort(-scores, kind="stable")
                for level in levels:
                    hit = (hits[order, level] * w[order]).cumsum()
                    precision = hit / np.maximum(w[order].cumsum(), 1e-12)
                    precision = np.maximum.accumulate(precision[::-1])[::-1]
                    at = np.searchsorted(hit / counts[label], RECALLS - 1e-12)
                    aps.append(
                        np.where(at < len(precision), np.append(precision, 0)[np.minimum(at, len(precision))], 0).mean()
                    )
            totals.append(np.mean(aps) if aps else np.nan)
        return np.array(totals)

    def metric(key: str, name: str, levels: list[int]) -> Metric:
        return Metric(
            key, name, form="percent", possible=SHARE, record=record, record_name="boxes",
            value=lambda records, weights: ap(records, weights, levels), interval="none",
        )  # fmt: skip

    return (metric("ap", "AP", list(range(10))), metric("ap50", "AP50", [0]), metric("ap75", "AP75", [5]))
