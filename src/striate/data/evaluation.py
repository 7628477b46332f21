"""Open data that a run is to be evaluated on: no split for training, not every class, only known ones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from striate.base.choose import nearest
from striate.base.errors import DataError
from striate.base.text import plural, shown

from .check.finding import listed
from .open import find, first_target, levelled, levels_asked
from .sample import Dataset, Target

CELLS = ("target", "task", "separator", "blank", "levels")  # options that say what cells and pixels mean


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
    dataset = find(where, cells, known=tuple(names))
    fitting = [key for key, found in dataset.targets.items() if found.kind == kind]
    if name not in fitting and len(fitting) == 1:
        name = fitting[0]
    if name not in dataset.targets:
        what = (
            f"no target {shown(name, 40)!r}, which the run predicts; these data have {listed(list(dataset.targets), 3)}"
        )
        raise DataError(what, where=where, fix=f"name a table that has a column {shown(name, 30)!r}")
    dataset = first_target(dataset, name, None)
    if options.get("levels"):
        dataset = levelled(dataset, levels_asked(options["levels"]))
    found = dataset.target()
    if found.kind != kind:
        raise DataError(f"target {name!r} is of kind {found.kind!r}; the run predicts {kind!r}", where=where,
                        fix="choose other data")  # fmt: skip
    if kind in {"label", "tags"}:
        is_complete = kind == "label" or bool(options.get("separator"))
        target = _as_known(found, tuple(names), where, is_complete)
        dataset = replace(dataset, targets={**dataset.targets, name: target}, notes=(*dataset.notes, *_absent(target)))
    return dataset


def _as_known(found: Target, names: tuple[str, ...], where: str, is_complete: bool) -> Target:
    """Return a target with the run's classes, in their order.

    Args:
        is_complete: whether a class that is not named has no images, rather than images nobody was asked about.
    """
    counts = np.bincount(found.values, minlength=len(found.names)) if found.kind == "label" else found.values.sum(0)
    strange = [name for name, count in zip(found.names, counts, strict=True) if count and name not in names]
    if strange:
        close = nearest(strange[0], names)
        what = f"{plural(len(strange), 'class', 'classes')} that the run does not know: {listed(strange, 3)}"
        fix = f"rename it to {shown(close, 30)!r}" if close else "take them out, or name them as in training"
        raise DataError(f"{what}; it knows {listed(names, 3)}", where=where, fix=fix)
    missing = [name for name in names if name not in found.names]
    if missing and not is_complete:
        what = f"{plural(len(missing), 'column')} of the run missing: {listed(missing, 3)}"
        raise DataError(what, where=where, fix=f"add a column {shown(missing[0], 30)!r} of 0 and 1")
    place = np.array([names.index(name) if name in names else 0 for name in found.names], dtype=np.int64)
    if found.kind == "label":
        return replace(found, values=place[found.values.astype(np.intp)], names=names)
    values = np.zeros((len(found.values), len(names)), dtype=np.uint8)
    kept = [column for column, name in enumerate(found.names) if name in names]
    values[:, place[kept]] = found.values[:, kept]
    return replace(found, values=values, names=names)


def _absent(target: Target) -> tuple[str, ...]:
    """Say which of the run's classes have no images."""
    present = set(target.values.tolist()) if target.kind == "label" else set(np.flatnonzero(target.values.any(axis=0)))
    absent = [name for index, name in enumerate(target.names) if index not in present]
    if not absent:
        return ()
    return (f"{plural(len(absent), 'class', 'classes')} without images, whose scores are n/a: {listed(absent)}",)
