"""Smaller datasets out of larger ones: some images, some classes, some of each class."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from striate.base.choose import choose
from striate.base.errors import DataError, SettingsError
from striate.base.text import plural

from .sample import SPLITS, Dataset, Reading
from .split import choose_some
from .target import Label, Target


def take(dataset: Dataset, indices: Sequence[int] | npt.NDArray[np.intp]) -> Dataset:
    """Return a dataset of these images only, renumbered; splits and the class list stay as they are."""
    chosen = np.asarray(indices, dtype=np.intp)
    new_index = np.full(len(dataset), -1, dtype=np.intp)
    new_index[chosen] = np.arange(len(chosen))
    splits = {
        name: np.sort(moved[moved >= 0]) for name, found in dataset.splits.items() for moved in (new_index[found],)
    }
    return replace(
        dataset,
        images=dataset.images.take(chosen),
        ids=tuple(dataset.ids[index] for index in chosen),
        targets={name: target.take(chosen) for name, target in dataset.targets.items()},
        splits=splits,
        groups=tuple(dataset.groups[index] for index in chosen) if dataset.groups is not None else None,
    )


def keep_classes(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """Return the images of some classes; the class list holds only these, in its old order.

    Raises:
        DataError: a class is unknown, fewer than two are named, or the dataset has no labels.
    """
    label_name, label = _label(dataset, "classes")
    names = chosen_classes(dataset, names)
    kept = [index for index, name in enumerate(label.names) if name in set(names)]
    if len(kept) < 2:
        raise DataError(f"a choice of {plural(len(kept), 'class', 'classes')} leaves nothing to tell apart",
                        where=dataset.where, fix="name at least two classes")  # fmt: skip
    new_label = np.full(len(label.names), -1, dtype=np.int64)
    new_label[kept] = np.arange(len(kept))
    smaller = take(dataset, np.flatnonzero(new_label[label.strata()] >= 0))
    values = new_label[smaller.targets[label_name].strata()]
    target = Label(values, tuple(label.names[index] for index in kept))
    note = f"{len(kept)} of {len(label.names)} classes chosen"
    return replace(smaller, targets={**smaller.targets, label_name: target}, notes=(*dataset.notes, note))


def chosen_classes(dataset: Dataset, typed: Sequence[str] | str) -> list[str]:
    """Return the classes that a person chose, each by its name; see `class_names`.

    Raises:
        SettingsError, DataError: one of them is empty or unknown, or the dataset has no labels.
    """
    known = _label(dataset, "classes")[1].names
    texts = [typed] if isinstance(typed, str) else typed
    return [name for text in texts for name in class_names(text, known)]


def class_names(typed: str, known: Sequence[str]) -> list[str]:
    """Return the classes that a person typed: one, whatever is in its name, or several with commas between them.

    Raises:
        SettingsError, DataError: one of them is empty or unknown.

    Example:
        >>> class_names("cat, dog", ["cat", "dog"]), class_names("red, round", ["red, round", "blue"])
        (['cat', 'dog'], ['red, round'])
    """
    if typed in known:
        return [typed]
    if not typed.strip(", "):
        raise SettingsError("no class is named", where="classes", fix="name two classes or more, or leave it out")
    names = [name.strip() for name in typed.split(",")]
    for name in names:
        choose("class", name, dict.fromkeys(known), DataError)
    return names


def top_classes(dataset: Dataset, count: int) -> Dataset:
    """Return the images of the `count` classes with most images (ties by class order)."""
    _, label = _label(dataset, "top_classes")
    counts = label.counts(np.arange(len(dataset)))
    dataset = _beyond(dataset, count, len(counts), f"top_classes is {count:,}, and there are", "class", "classes")
    chosen = np.argsort(-counts, kind="stable")[:count]
    return keep_classes(dataset, [label.names[index] for index in chosen])


def limit_classes(dataset: Dataset, count: int, seed: int) -> Dataset:
    """Return at most `count` images of each class: of the whole dataset while it has no splits, else of each split."""
    _, label = _label(dataset, "per_class")
    ids = np.array(dataset.ids, dtype=object)
    parts = list(dataset.splits.values()) or [np.arange(len(dataset), dtype=np.intp)]
    chosen = []
    for part in parts:
        for index in range(len(label.names)):
            members = label.members(index, part)
            picks = choose_some(list(ids[members]), np.zeros(len(members), dtype=np.int64), count, seed)
            chosen.append(members[picks])
    most = max(int(label.counts(part).max()) for part in parts)
    dataset = _beyond(dataset, count, most, f"per_class is {count:,}, and the largest class has", "image")
    smaller = take(dataset, np.sort(np.concatenate(chosen)))
    return replace(smaller, notes=(*dataset.notes, f"at most {plural(count, 'image')} of each class"))


def limit_splits(dataset: Dataset, limits: Mapping[str, int], seed: int) -> Dataset:
    """Return at most so many images of each named split, in the proportions of the classes.

    Raises:
        DataError: a split is unknown, or a limit is not a positive number.
    """
    stratum = dataset.target().strata() if dataset.targets else np.zeros(len(dataset), np.int64)
    ids = np.array(dataset.ids, dtype=object)
    kept = dict(dataset.splits)
    for name, limit in limits.items():
        choose("split", name, dict.fromkeys(SPLITS), DataError)
        if limit < 1:
            raise DataError(f"limit of {name} is {limit}", where=dataset.where, fix="give a number above 0")
        members = dataset.splits[name]
        if limit < len(members):
            kept[name] = members[choose_some(list(ids[members]), stratum[members], limit, seed)]
        dataset = _beyond(dataset, limit, len(members), f"the limit of {name} is {limit:,}, and there are", "image")
    smaller = take(dataset.with_splits(kept), np.sort(np.concatenate(list(kept.values()))))
    said = ", ".join(f"{name} {len(kept[name]):,}" for name in limits)
    return replace(smaller, notes=(*dataset.notes, f"limited to {said} images"))


def _beyond(dataset: Dataset, count: int, most: int, text: str, *noun: str) -> Dataset:
    """Say that a limit cuts nothing off: whoever typed it may take the data for larger than they are."""
    if count <= most:
        return dataset
    return replace(dataset, readings=(*dataset.readings, Reading(f"{text} {plural(most, *noun)}: all are taken")))


def _label(dataset: Dataset, option: str) -> tuple[str, Target]:
    for name, target in dataset.targets.items():
        if target.is_exclusive:
            return name, target
    raise DataError(f"{option} needs one class an image", where=dataset.where, fix=f"leave {option} out")
