"""Average precision of detections, as COCO defines it, for any weights of the images.

Whether a detection finds its object does not depend on other images (`box_matches`), so a resample of images needs no
new matching: precision and recall follow from the records, for all resamples at once. N images, R rows of weights, D
detections of a class, L levels of IoU.

AP is the mean over classes with objects, levels, and 101 recalls from 0 to 1 of the best precision at that recall or
beyond. AR is the recall that all detections of an image together reach, mean over classes and levels.

Its contributions are those of the area under the same curve without the grid of recalls: on the grid AP jumps when a
weight moves.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from .box_matches import FALSE, RANGES, TRUE, UNCOUNTED, Codes, Matches, Ranked, recorder
from .mask_matches import mask_recorder
from .metric import SHARE, Array, Floats, Metric
from .point_matches import point_recorder
from .ratios import contribution, mean_ratio

if TYPE_CHECKING:
    from scipy import sparse

RECALLS = np.linspace(0, 1, 101)
CHUNK = 4_000_000  # numbers held at once
ALL = slice(None)
MASK, POINT = "mask_", "points_"  # begin the keys of masks' and of key points' scores
AREAS = tuple(RANGES)


def precisions(ranked: Ranked, num_objects: Floats, weights: Floats, levels: slice = ALL) -> Floats:
    """Return the AP (R, L) of one class at some levels, for weights (R, N); NaN where it has no objects.

    Args:
        num_objects: (N,) objects of the class that count.
    """
    codes = ranked.codes[:, levels]
    total = weights @ num_objects
    is_false, is_nothing = (codes == FALSE).all(1), (codes == UNCOUNTED).all(1)
    kept = np.flatnonzero(~is_false & ~is_nothing)  # the rest is counted between these, all at once
    before = _between(ranked.image[is_false], np.searchsorted(kept, np.flatnonzero(is_false)), len(num_objects), kept)
    found = np.empty((len(weights), codes.shape[1]))
    step = max(1, CHUNK // max(1, len(kept)))
    for start in range(0, len(weights), step):
        rows = weights[start : start + step]
        false = (before @ rows.T).T.cumsum(1)
        found[start : start + step] = _at_levels(
            codes[kept], rows[:, ranked.image[kept]], false, total[start : start + step]
        )
    return found


def _between(image: Array, place: Array, num_images: int, kept: Array) -> "sparse.csr_array":
    """(V, N) how many false detections an image has before each of the V that are kept, and behind the one before."""
    from scipy import sparse  # 0.2 s to load

    is_before = place < len(kept)
    ones = np.ones(int(is_before.sum()))
    return sparse.csr_array((ones, (place[is_before], image[is_before])), shape=(len(kept), num_images))


def _at_levels(codes: Codes, weights: Floats, false: Floats, total: Floats) -> Floats:
    """The AP (R, L) of detections (V,) with weights (R, V), false ones before them (R, V), objects (R,)."""
    columns = [_area(code, weights, false, total) for code in codes.T]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total[:, None] > 0, np.stack(columns, 1), np.nan)


def _area(code: Codes, weights: Floats, false: Floats, total: Floats) -> Floats:
    is_true = code == TRUE
    seen = (false + (weights * (code != UNCOUNTED)).cumsum(1))[:, is_true]
    hits = weights[:, is_true].cumsum(1)
    precision = envelope(np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0))
    recall = hits / np.where(total > 0, total, 1)[:, None]
    reached = np.searchsorted(RECALLS, recall.ravel(), side="right").reshape(recall.shape)
    return np.asarray((np.diff(reached, axis=1, prepend=0) * precision).sum(1) / len(RECALLS))


def envelope(precision: Floats) -> Floats:
    """The best precision here or further down."""
    return np.asarray(np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1])


def _classes(found: Matches, area: int) -> Iterator[tuple[Ranked, Floats]]:
    """The detections and counts of objects (N,) of each class that has objects."""
    for k in range(found.num_classes):
        num_objects = found.num_objects[:, k, area]
        if num_objects.any():
            yield found.of_class(k, area), num_objects


def _mean_precision(records: Array, weights: Array, num_classes: int, levels: slice, area: int) -> Floats:
    total, num = np.zeros(len(weights)), np.zeros(len(weights))
    given = weights.astype(np.float64)
    for ranked, num_objects in _classes(Matches.of(records, num_classes), area):
        of_class = precisions(ranked, num_objects, given, levels).mean(1)
        is_known = np.isfinite(of_class)
        total, num = total + np.where(is_known, of_class, 0), num + is_known
    with np.errstate(invalid="ignore"):
        return np.asarray(total / num)


def _precision_contribution(records: Array, num_classes: int, levels: slice, area: int) -> Floats:
    parts = []
    for ranked, num_objects in _classes(Matches.of(records, num_classes), area):
        slopes = [_slope(ranked.image, code, num_objects) for code in ranked.codes[:, levels].T]
        parts.append(np.mean(slopes, axis=0))
    if not parts:
        return np.full(len(records), np.nan)
    score = _mean_precision(records, np.ones((1, len(records))), num_classes, levels, area)
    return np.asarray(score + len(records) * np.mean(parts, axis=0))


def _slope(image: Array, code: Codes, num_objects: Floats) -> Floats:
    """The change (N,) of the area under the curve per change of an image's weight.

    An image adds its own true detections, moves the precision of all ranked at or below its detections, and adds
    objects to be found. The best precision further down is that of one place, and moves as that one does.
    """
    total, num = num_objects.sum(), len(num_objects)
    kept = code != UNCOUNTED
    image, is_true = image[kept], code[kept] == TRUE
    if not is_true.any():
        return np.zeros(num)
    seen, hits = np.arange(1, len(image) + 1), is_true.cumsum()
    precision = hits / seen
    place = np.arange(len(precision))
    best = envelope(precision[None])[0]
    is_best = precision == best
    source = np.minimum.accumulate(np.where(is_best, place, len(place))[::-1])[::-1]  # whose precision counts here
    mass = np.bincount(source[is_true], minlength=len(place))  # true detections that count with it
    gain, cost = ((mass * share)[::-1].cumsum()[::-1] for share in (1 / seen, precision / seen))
    change = is_true * (best + gain) - cost
    area = best[is_true].sum() / total
    return np.asarray((np.bincount(image, change, num) - area * num_objects) / total)


def _recall_parts(records: Array, num_classes: int, area: int) -> tuple[Floats, Floats]:
    """(N, K) true detections of each class, mean over levels, and its objects."""
    found = Matches.of(records, num_classes)
    hits = np.zeros(found.num_objects.shape[:2])
    for k in range(num_classes):
        ranked = found.of_class(k, area)
        hits[:, k] = np.bincount(ranked.image, (ranked.codes == TRUE).mean(1), len(hits))
    return hits, found.num_objects[:, :, area]


def _mean_recall(records: Array, weights: Array, num_classes: int, area: int) -> Floats:
    hits, objects = _recall_parts(records, num_classes, area)
    return mean_ratio(weights @ hits, weights @ objects)


def _recall_contribution(records: Array, num_classes: int, area: int) -> Floats:
    return contribution(*_recall_parts(records, num_classes, area))


def _metric(
    key: str, name: str, num_classes: int, value: Callable[[Array, Array], Floats], closed: Callable[[Array], Floats]
) -> Metric:
    of, name_of = (mask_recorder, "mask_matches") if key.startswith(MASK) else (recorder, "box_matches")
    return Metric(
        key,
        name,
        form="percent",
        possible=SHARE,
        record=of(num_classes),
        record_name=name_of,
        value=value,
        closed=closed,
        stream="boxes",
    )


def _ap(key: str, name: str, num_classes: int, levels: slice = ALL, area: str = "all") -> Metric:
    options = {"num_classes": num_classes, "levels": levels, "area": AREAS.index(area)}
    value, closed = partial(_mean_precision, **options), partial(_precision_contribution, **options)  # type: ignore[arg-type]
    return _metric(key, name, num_classes, value, closed)


def _ar(key: str, name: str, num_classes: int) -> Metric:
    value, closed = (partial(one, num_classes=num_classes, area=0) for one in (_mean_recall, _recall_contribution))
    return _metric(key, name, num_classes, value, closed)


@cache
def box_metrics(num_classes: int) -> tuple[Metric, ...]:
    """Return the scores of detections of `num_classes` classes: AP, AP50, AP75, AP by size, and AR.

    They share one record; answers are laid out as `box_matches` says. Detections are all that an answer holds.

    Example:
        >>> from striate.metric import Answers
        >>> nothing = np.full((1, 0, 6), np.nan)
        >>> one = Answers(np.array([[[0, 10, 10, 60, 60, 0, 0.0]]]), nothing, losses=np.zeros(1))
        >>> [metric.score(metric.records(one)) for metric in box_metrics(2)[:4]]
        [0.0, 0.0, 0.0, None]
    """
    half, three_quarters = slice(0, 1), slice(5, 6)
    return (
        _ap("ap", "AP", num_classes),
        _ap("ap50", "AP50", num_classes, half),
        _ap("ap75", "AP75", num_classes, three_quarters),
        *(_ap(f"ap_{area}", f"AP of {area} objects", num_classes, area=area) for area in AREAS[1:]),
        _ar("ar", "AR", num_classes),
    )


@cache
def mask_metrics(num_classes: int) -> tuple[Metric, ...]:
    """Return the scores of masks: AP, AP50, AP75; answers hold them as `mask_matches` says, and none where unknown."""
    half, three_quarters = slice(0, 1), slice(5, 6)
    return (
        _ap(f"{MASK}ap", "mask AP", num_classes),
        _ap(f"{MASK}ap50", "mask AP50", num_classes, half),
        _ap(f"{MASK}ap75", "mask AP75", num_classes, three_quarters),
    )


@cache
def point_metrics(num_classes: int, sigmas: tuple[float, ...]) -> tuple[Metric, ...]:
    """Return the scores of key points: AP, AP50, AP75 by their similarity, as `point_matches` says it.

    Args:
        sigmas: of each point, see `point_matches`.
    """
    half, three_quarters = slice(0, 1), slice(5, 6)
    found = (
        _ap(f"{POINT}ap", "key point AP", num_classes),
        _ap(f"{POINT}ap50", "key point AP50", num_classes, half),
        _ap(f"{POINT}ap75", "key point AP75", num_classes, three_quarters),
    )
    record = point_recorder(num_classes, sigmas)
    return tuple(replace(metric, record=record, record_name="point_matches") for metric in found)
