"""Which target of a dataset is learnt: the one that is named, or the one that a task predicts."""

from dataclasses import replace

import numpy as np

from striate.base.choose import choose
from striate.base.errors import DataError
from striate.base.plugin import OF_A_PLUGIN
from striate.base.text import plural

from .sample import Dataset, LeftOut
from .subset import take
from .target import TASK_KINDS


def first_target(dataset: Dataset, target: str | None, task: str | None) -> Dataset:
    """Return the dataset with the wanted target first."""
    kinds = choose("task", task, TASK_KINDS, otherwise=OF_A_PLUGIN) if task else ()
    name = target
    if name is None and kinds:
        fitting = [key for key, found in dataset.targets.items() if found.kind in kinds]
        fitting = _finest(dataset, fitting)
        if len(fitting) > 1:
            what = f"several targets for task {task!r}: {', '.join(fitting)}"
            raise DataError(what, where=dataset.where, fix=f"choose one, as in --target {fitting[0]}")
        name = next(iter(fitting), None)
        if name is None:
            have = ", ".join(f"{key} ({found.kind})" for key, found in dataset.targets.items())
            what = f"no target for task {task!r}; the dataset has {have}"
            raise DataError(what, where=dataset.where, fix="choose another --task or dataset")
    if name is None:
        return dataset
    chosen = choose("target", name, dataset.targets, DataError)
    if kinds and chosen.kind not in kinds:
        what = f"target {name!r} is of kind {chosen.kind!r}; task {task!r} needs {' or '.join(kinds)}"
        raise DataError(what, where=dataset.where, fix="choose another --target or --task")
    return _known(replace(dataset, targets={name: chosen, **dataset.targets}), name)


def _finest(dataset: Dataset, names: list[str]) -> list[str]:
    """Return the first of some targets alone where all others only group its classes, as species group breeds."""
    targets = [dataset.targets[name] for name in names]
    if len(names) < 2 or not all(target.is_exclusive for target in targets):
        return names
    first, *others = [target.strata() for target in targets]
    is_grouped = all(len(set(zip(first, other, strict=True))) == len(set(first)) for other in others)
    return names[:1] if is_grouped else names


def _known(dataset: Dataset, name: str) -> Dataset:
    """Return the dataset without the images of which the first target, called `name`, says nothing."""
    unknown = dataset.target().unknown
    if not len(unknown):
        return dataset
    ids = tuple(dataset.ids[index] for index in unknown)
    left_out = LeftOut(f"{plural(len(ids), 'image')} without {name}", ids)
    kept = take(dataset, np.setdiff1d(np.arange(len(dataset), dtype=np.intp), unknown))
    empty = [split for split, members in kept.splits.items() if not len(members)]
    notes = [left_out.text, *(f"no image of the {split} split has {name}: it is taken from train" for split in empty)]
    splits = {split: members for split, members in kept.splits.items() if len(members)}
    return replace(kept, splits=splits, left_out=(*dataset.left_out, left_out), notes=(*dataset.notes, *notes))
