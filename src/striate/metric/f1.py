"""F1, the harmonic mean of precision and recall: over all tags together (micro), or mean over classes (macro).

A class without images counts in no average, also where it was predicted (scikit-learn counts it as 0 there); one that
has images and is never predicted has F1 0 (`zero_division=0`). Without tags, true or predicted, there is no micro F1.
"""

from functools import partial

import numpy as np

from .confusion import margins, over_cells
from .metric import SHARE, Answers, Array, Floats, Metric
from .ratios import contribution, mean_ratio


def _macro(records: Array, weights: Array, num_classes: int) -> Floats:
    hits, support, predicted = margins(records, weights, num_classes)
    return mean_ratio(2 * hits, support + predicted, support > 0)


def _macro_contribution(records: Array) -> Floats:
    """A class has F1 = 2 hits / (true + predicted); an image changes the classes that it has and is taken for."""
    (true, predicted), num = records.T, len(records)
    hits, support, given = (part[0] for part in margins(records, np.ones((1, num), dtype=np.int64)))
    is_present, total = support > 0, np.maximum(support + given, 1)
    score = np.where(is_present, 2 * hits / total, 0)
    loss = np.where(is_present, score / total, 0)
    gain = np.where(true == predicted, 2 / total[true], 0)
    num_present = is_present.sum()
    return np.asarray(score.sum() / num_present + num / num_present * (gain - loss[true] - loss[predicted]))


def tag_bits(answers: Answers) -> Array:
    """Return (N, 2 K) bits: the true tags, then the predicted ones."""
    return np.concatenate([np.asarray(answers.truth), np.asarray(answers.values)], axis=1).astype(bool)


def tag_margins(records: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Return the weighted (R, K) hits, true and predicted counts of tag bits (N, 2 K)."""
    true, predicted = np.split(records.astype(bool), 2, axis=1)
    return weights @ (true & predicted), weights @ true, weights @ predicted


def _macro_tags(records: Array, weights: Array) -> Floats:
    hits, support, predicted = tag_margins(records, weights)
    return mean_ratio(2 * hits, support + predicted, support > 0)


def _macro_tags_contribution(records: Array) -> Floats:
    true, predicted = np.split(records, 2, axis=1)
    kept = true.any(0)
    return contribution(2.0 * (true & predicted)[:, kept], true[:, kept] + 1.0 * predicted[:, kept])


def _hits_and_total(answers: Answers) -> Array:
    true, predicted = np.split(tag_bits(answers), 2, axis=1)
    return np.stack([(true & predicted).sum(1), true.sum(1) + predicted.sum(1)], axis=1)


def _micro(records: Array, weights: Array) -> Floats:
    hits, total = np.split(weights @ records, 2, axis=1)
    return mean_ratio(2 * hits, total)


def _micro_contribution(records: Array) -> Floats:
    hits, total = np.split(records, 2, axis=1)
    return contribution(2.0 * hits, 1.0 * total)


def macro_f1(num_classes: int = 0) -> Metric:
    """Return the mean F1 over the classes that have images, for one class an image."""
    value = partial(_macro, num_classes=num_classes)
    return over_cells("macro_f1", "macro F1", value, _macro_contribution, form="percent", possible=SHARE)


MACRO_F1_TAGS = Metric(
    "macro_f1",
    "macro F1",
    form="percent",
    possible=SHARE,
    record=tag_bits,
    value=_macro_tags,
    closed=_macro_tags_contribution,
    stream="tags",
)
MICRO_F1 = Metric(
    "f1",
    "micro F1",
    form="percent",
    possible=SHARE,
    record=_hits_and_total,
    value=_micro,
    closed=_micro_contribution,
    stream="tags",
)
