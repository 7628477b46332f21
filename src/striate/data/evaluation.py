"""Open data that a run is to be evaluated on: no split for training, not every class, only known ones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from striate.base.errors import DataError
from striate.base.text import plural, shown

from .check.finding import listed
from .levels import levels_asked
from .open import find, levelled
from .sample import Dataset
from .sources.series import ranged
from .target import KINDS, Target
from .target_choice import first_target

CELLS = ("target", "task", "separator", "blank", "levels", "ignore")  # options that say what cells and pixels mean


def open_to_evaluate(where: str, name: str, kind: str, names: Sequence[str], options: Mapping[str, Any]) -> Dataset:
    """Return a dataset whose first target is laid out as a run's; its splits are those that the data came with.

    Args:
        where: see `open_dataset`.
        name, kind, names: of the run's target; a dataset of one other target of this kind will do.
        options: how the run's own data were opened; only what its cells and pixels mean holds for others.

    Raises:
        DataError: the data cannot be read, have no such target, or have a class that the run does not know.
    """
    cells = {key: options[key] for key in CELLS if options.get(key) is not None}
    if own := next((found for found in KINDS if found.kind == kind), None):
        cells["task"] = own.tasks[-1]  # the one of this kind alone: few values look like those of several kinds
    dataset = find(where, cells, known=tuple(names))
    return as_known(dataset, name, kind, names, options)


def as_known(dataset: Dataset, name: str, kind: str, names: Sequence[str], options: Mapping[str, Any]) -> Dataset:
    """Return a dataset that is open with its first target laid out as a run's; see `open_to_evaluate`."""
    where = dataset.where or dataset.name
    fitting = [key for key, found in dataset.targets.items() if found.kind == kind]
    if name not in fitting and len(fitting) == 1:
        name = fitting[0]
    if name not in dataset.targets:
        what = (
            f"no target {shown(name, 40)!r}, which the run predicts; these data have {listed(list(dataset.targets), 3)}"
        )
        raise DataError(what, where=where, fix=f"name a table that has a column {shown(name, 30)!r}")
    dataset = first_target(dataset, name, None)
    dataset = ranged(dataset, options.get("ranges"))
    if options.get("levels"):
        dataset = levelled(dataset, levels_asked(options["levels"]))
    found = dataset.target()
    if found.kind != kind:
        raise DataError(f"target {name!r} is of kind {found.kind!r}; the run predicts {kind!r}", where=where,
                        fix="choose other data")  # fmt: skip
    target = found.as_known(tuple(names), where, is_complete=bool(options.get("separator")))
    return replace(dataset, targets={**dataset.targets, name: target}, notes=(*dataset.notes, *_absent(target)))


def _absent(target: Target) -> tuple[str, ...]:
    """Say which of the run's classes have no images."""
    counts = target.counts(np.arange(len(target)))
    absent = [name for name, count in zip(target.classes, counts, strict=True) if not count]
    if not absent:
        return ()
    return (f"{plural(len(absent), 'class', 'classes')} without images, whose scores are n/a: {listed(absent)}",)
