"""What the labels say: classes too small, uneven or missing, groups on two sides, classes that give themselves away."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from striate.base.seeds import rng_for
from striate.base.text import plural, shown

from ..sample import Dataset
from .finding import Finding, listed
from .scan import STATISTICS, Scan

SMALL_CLASS, UNEVEN = 10, 10.0
MIN_MEMBERS, NUM_BINS, TELLTALE = 20, 12, 0.90
TELLTALES = {  # columns of STATISTICS, and the file format behind them
    "size": range(3),
    "compression": range(3, 4),
    "colour or brightness": range(4, 7),
    "contrast": range(7, 8),
    "border": range(8, 12),
    "file format": range(len(STATISTICS), len(STATISTICS) + 1),
}


def class_counts(dataset: Dataset) -> dict[str, npt.NDArray[np.int64]]:
    """Return the number of images of each class (K,) by split; empty for a dataset without classes."""
    target = dataset.class_target
    return {} if target is None else {split: target.counts(members) for split, members in dataset.splits.items()}


def class_findings(dataset: Dataset) -> Iterator[Finding]:
    """Yield what the counts say: missing, small and uneven classes."""
    counts = class_counts(dataset)
    names = dataset.classes
    for split, found in counts.items():
        absent = [names[index] for index in np.flatnonzero(found == 0)]
        if absent:
            text = f"{plural(len(absent), 'class', 'classes')} without images in {split}: {listed(absent)}"
            fix = "scores of such a class are not available: add images, or remove the class"
            yield Finding("missing_class", "warning", (), text, fix)
    train = counts.get("train", np.zeros(0, dtype=np.int64))
    small = [names[index] for index in np.flatnonzero((train > 0) & (train < SMALL_CLASS))]
    if small:
        text = (
            f"{plural(len(small), 'class', 'classes')} with fewer than {SMALL_CLASS} training images: {listed(small)}"
        )
        yield Finding("small_class", "warning", (), text, "add images, or remove the class")
    present = train[train > 0]
    if len(present) > 1 and present.max() > UNEVEN * present.min():
        large, few = names[int(train.argmax())], names[int(np.where(train > 0, train, train.max() + 1).argmin())]
        most, least = (
            f"{train.max():,} training images of {shown(large, 40)!r}",
            f"{present.min():,} of {shown(few, 40)!r}",
        )
        text = f"uneven classes: {most}, {least}"
        yield Finding(
            "imbalance", "warning", (), text, 'use balance = "weights" or "sampling", and look at the scores by class'
        )


def group_findings(dataset: Dataset) -> Iterator[Finding]:
    """Yield the groups that have images in more than one split."""
    if dataset.groups is None:
        return
    sides: dict[str, dict[str, list[str]]] = {}
    for split, members in dataset.splits.items():
        for index in members:
            sides.setdefault(dataset.groups[index], {}).setdefault(split, []).append(dataset.ids[index])
    for group, splits in sides.items():
        if len(splits) > 1:
            ids = tuple(name for names in splits.values() for name in names)
            text = f"group {shown(group, 40)!r} is in {' and '.join(splits)}: {listed(ids)}"
            yield Finding("group_leak", "warning", ids, text, "keep each group in one split")


def shortcut_findings(dataset: Dataset, scan: Scan) -> Iterator[Finding]:
    """Yield the classes that one number alone tells from the rest: the size, the brightness, the border, the format.

    A network can learn such a number instead of the subject. Reported: the balanced accuracy on one half of the
    training images of the rule found on the other half, mean of both ways.
    """
    target = dataset.class_target
    members = dataset.splits.get("train", np.arange(len(dataset), dtype=np.intp))
    members = members[scan.is_decoded[members] & (scan.statistics[members, 0] > 0)]
    if target is None or not target.is_exclusive or len(members) < 2 * MIN_MEMBERS:
        return
    labels = target.strata()[members].astype(np.intp)
    formats = np.unique([scan.probes[index].format for index in members], return_inverse=True)[1]
    numbers = np.column_stack([scan.statistics[members], formats])
    half = rng_for(0, "shortcut").permutation(len(members)) % 2 == 0
    accuracy = np.stack([_accuracy(column, labels, half, len(target.names)) for column in numbers.T])
    for index in np.flatnonzero(accuracy.max(axis=0) >= TELLTALE):
        best = {what: float(accuracy[list(columns), index].max()) for what, columns in TELLTALES.items()}
        telling = sorted((what for what in best if best[what] >= TELLTALE), key=lambda what: -best[what])
        what = " or ".join(telling)
        text = (
            f"shortcut: the {what} alone tells class {shown(target.names[index], 40)!r} from the rest "
            f"(balanced accuracy {best[telling[0]]:.2f}; 0.50 is chance)"
        )
        yield Finding("shortcut", "warning", (), text, f"make the {what} alike in all classes")


def _accuracy(
    numbers: npt.NDArray[np.float32], labels: npt.NDArray[np.intp], half: npt.NDArray[np.bool_], num_classes: int
) -> npt.NDArray[np.float64]:
    """Return the balanced accuracy (K,) with which the number alone tells each class from the rest."""
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, NUM_BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, numbers, side="right")
    tables = []
    for side in (half, ~half):
        table = np.zeros((NUM_BINS + 1, num_classes))
        np.add.at(table, (bins[side], labels[side]), 1)
        tables.append(table)
    found = np.zeros(num_classes)
    for known, new in (tables, tables[::-1]):
        says_class = _rates(known)[0] > _rates(known)[1]
        hit, false_alarm = _rates(new)
        found += ((says_class * hit).sum(axis=0) + 1 - (says_class * false_alarm).sum(axis=0)) / 4
    enough = np.minimum(tables[0].sum(axis=0), tables[1].sum(axis=0)) >= MIN_MEMBERS / 2
    return np.where(enough, found, 0.5)


def _rates(table: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the share (bins, K) of each class, and of the rest, that falls into each bin."""
    rest = table.sum(axis=1, keepdims=True) - table
    return table / np.maximum(table.sum(axis=0), 1), rest / np.maximum(rest.sum(axis=0), 1)
