"""Why detections are wrong: which class is taken for which, and how much AP each kind of error costs.

Answers are those of `box_matches`, at IoU 0.5 alone. A detection is right, or wrong by exactly one of these:

    place: an object of its class lies under it, with IoU 0.1 to 0.5
    class: an object of another class lies there, with IoU 0.5 or more
    doubled: an object of its class lies there, but a better detection has it
    background: no object lies there, all have IoU up to 0.1
    both: anything else, such as an object of another class with IoU 0.1 to 0.5

and an object is missed if no detection has it, nor errs about it by place or class alone. What an error costs is the
AP50 that would be gained if it were mended: of the detections wrong by place or class about an object that none has,
the best one gets it and the others go, as do those wrong in another way; missed objects are no longer looked for, and a
class without others then has AP 1.

Reference: Bolya et al., "TIDE: a general toolbox for identifying object detection errors", ECCV 2020. N images, M
detections, T objects, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .box_ap import precisions
from .box_matches import TRUE, UNCOUNTED, Ranked, counted, matches, overlaps
from .metric import Answers, Floats

ERRORS = ("class", "place", "both", "doubled", "background", "missed")
CLASS, PLACE, BOTH, DOUBLED, BACKGROUND, MISSED = range(len(ERRORS))
RIGHT, NOTHING = -1, -2  # found its object; not there, or counts as nothing
NEAR, MATCH = 0.1, 0.5
NOBODY = -1

Ints = npt.NDArray[np.intp]
Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Errors:
    """What is wrong with each detection, by falling score.

    Args:
        kind: (N, M) CLASS to BACKGROUND, RIGHT or NOTHING.
        label, score: (N, M) of the detections in that order.
        owner: (N, M) the object that a detection has, or gets if it is mended; NOBODY.
        truth_label: (N, T).
        is_counted, is_missed: (N, T).
    """

    kind: Ints
    label: Floats
    score: Floats
    owner: Ints
    truth_label: Floats
    is_counted: Bits
    is_missed: Bits

    @classmethod
    def of(cls, answers: Answers) -> "Errors":
        """Return what is wrong with the detections of answers, and which objects they miss."""
        truth, values = answers.truth.astype(np.float64), answers.values.astype(np.float64)
        truth = truth if truth.shape[1] else np.full((len(truth), 1, 7), np.nan)
        codes, order = matches(truth, values)
        values = np.take_along_axis(values, order[:, :, None], 1)
        is_counted = counted(truth)[:, :, 0]
        ious = overlaps(truth, values) * is_counted[:, None]
        is_same = truth[:, None, :, 0] == values[:, :, None, 0]
        kind = _kinds(ious * is_same, ious * ~is_same, codes[:, :, 0, 0])
        kind[np.isnan(values[:, :, 0])] = NOTHING
        owner, is_missed = _owners(kind, ious * is_same, ious * ~is_same, is_counted)
        return cls(kind, values[:, :, 0], values[:, :, 1], owner, truth[:, :, 0], is_counted, is_missed)

    def counts(self) -> dict[str, int]:
        """Return how many errors of each kind there are."""
        numbers = {name: int((self.kind == kind).sum()) for kind, name in enumerate(ERRORS)}
        return numbers | {"missed": int(self.is_missed.sum())}

    def costs(self) -> Mapping[str, float | None]:
        """Return AP50 as "ap50", and what it would gain if the errors of each kind were mended; None without objects.

        Example:
            >>> nothing = Answers(np.array([[[0, 0, 0, 9, 9, 0, 0.0]]]), np.full((1, 0, 6), np.nan), np.zeros(1))
            >>> [Errors.of(nothing).costs()[name] for name in ("ap50", "class", "missed")]
            [0.0, 0.0, 1.0]
        """
        now = self._ap(NOTHING)
        if now is None:
            return dict.fromkeys(("ap50", *ERRORS))
        return {"ap50": now} | {name: max(0.0, (self._ap(kind) or 0) - now) for kind, name in enumerate(ERRORS)}

    def _ap(self, mended: int) -> float | None:
        """AP50, errors of one kind mended."""
        is_there = self.kind != NOTHING
        is_right, label = self.kind == RIGHT, self.label
        if mended in (CLASS, PLACE):
            gets = (self.kind == mended) & (self.owner != NOBODY)
            label = np.where(gets, np.take_along_axis(self.truth_label, np.maximum(self.owner, 0), 1), label)
            is_right = is_right | gets
        is_there &= is_right | (self.kind != mended)
        is_counted = self.is_counted & ~self.is_missed if mended == MISSED else self.is_counted
        values = []
        for k in np.unique(self.truth_label[self.is_counted]):
            image, row = np.nonzero(is_there & (label == k))
            order = np.argsort(-self.score[image, row], kind="stable")
            code = np.where(is_right[image, row], TRUE, 0)[order, None].astype(np.int8)
            objects = (is_counted & (self.truth_label == k)).sum(1).astype(np.float64)
            ranked = Ranked(image[order], self.score[image, row][order], code)
            value = float(precisions(ranked, objects, np.ones((1, len(objects))))[0, 0])
            values.append(value if objects.any() else 1.0)
        return float(np.mean(values)) if values else None


def _kinds(same: Floats, other: Floats, code: npt.NDArray[np.int8]) -> Ints:
    """(N, M) what is wrong, from the IoU (N, M, T) with objects of the same and of other classes."""
    has, others = same.max(2), other.max(2)
    cases = {
        RIGHT: code == TRUE,
        NOTHING: code == UNCOUNTED,
        PLACE: (has >= NEAR) & (has <= MATCH),
        CLASS: others >= MATCH,
        DOUBLED: has >= MATCH,
        BACKGROUND: np.maximum(has, others) <= NEAR,
    }
    return np.select(list(cases.values()), list(cases), BOTH).astype(np.intp)


def _owners(kind: Ints, same: Floats, other: Floats, is_counted: Bits) -> tuple[Ints, Bits]:
    """The objects that detections have or get (N, M), and which are missed (N, T)."""
    owner, free = np.full(kind.shape, NOBODY, dtype=np.intp), is_counted.copy()
    for image, row in np.argwhere(kind == RIGHT):  # by falling score
        owner[image, row] = np.where(free[image], same[image, row], -1).argmax()
        free[image, owner[image, row]] = False
    wanted = np.where(kind == PLACE, same.argmax(2), other.argmax(2))
    for image, row in np.argwhere((kind == PLACE) | (kind == CLASS)):
        if free[image, wanted[image, row]]:
            owner[image, row] = wanted[image, row]
            free[image, owner[image, row]] = False
    return owner, free


def confusion(answers: Answers, num_classes: int, threshold: float) -> Ints:
    """Return (K + 1, K + 1) counts: rows are what there is, columns what is detected, both with the background last.

    Detections that score `threshold` or more are paired with objects whatever the class, those that overlap most first,
    from IoU 0.5. An object without a partner was taken for background, and the other way round. What does not count (a
    crowd, a difficult object), and the detections that only such a thing explains, stand nowhere.

    Example:
        >>> truth = np.array([[[0, 0, 0, 9, 9, 0, 0.0], [1, 20, 20, 30, 30, 0, 0]]])
        >>> rows = np.array([[[1, 0.9, 0, 0, 9, 9], [0, 0.8, 50, 50, 60, 60], [1, 0.1, 20, 20, 30, 30]]])
        >>> confusion(Answers(truth, rows, np.zeros(1)), 2, 0.5).tolist()
        [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    """
    truth, values = answers.truth.astype(np.float64), answers.values.astype(np.float64)
    is_counted, ious = counted(truth)[:, :, 0], overlaps(truth, values)
    is_given = values[:, :, 1] >= threshold
    table = np.zeros((num_classes + 1, num_classes + 1), dtype=np.intp)
    for true, given, iou, counts, kept in zip(truth, values, ious, is_counted, is_given, strict=True):
        true_label, label = (np.nan_to_num(one[:, 0], nan=num_classes).astype(int) for one in (true, given))
        free, rest = counts.copy(), kept.copy()
        rows, columns = np.nonzero((iou >= MATCH) & kept[:, None] & counts)
        wrong = label[rows] != true_label[columns]  # of equal overlaps the right class first
        for place in np.lexsort((wrong, -iou[rows, columns])):
            row, column = rows[place], columns[place]
            if rest[row] and free[column]:
                rest[row] = free[column] = False
                table[true_label[column], label[row]] += 1
        explained = ((iou >= MATCH) & ~counts & ~np.isnan(true[:, 0])).any(1)
        np.add.at(table, (true_label[free], num_classes), 1)
        np.add.at(table, (num_classes, label[rest & ~explained]), 1)
    return table
