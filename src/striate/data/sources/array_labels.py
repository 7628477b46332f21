"""What labels in arrays are: classes, tags or numbers; and arrays of several splits that must fit each other."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.text import plural, shown

from ..target import Label, Number, Tags, Target
from .kinds import MAX_CLASSES, MIN_PER_CLASS, NEARLY_ALL
from .names import class_list

Array = npt.NDArray[np.generic]
Splits = Mapping[str, npt.NDArray[np.intp]]


def target_of(labels: Array, classes: Sequence[str] | None, task: str | None, where: object) -> tuple[Target, str]:
    """Return the target in an array of labels, and a sentence on how it was read where that could be doubted.

    Text and whole numbers (N,) are classes, those that occur, in natural order. Columns (N, K) of 0 and 1 are classes
    where every row has exactly one 1, else tags; of whatever type. Other floats are numbers, kept in float64.

    Raises:
        DataError: neither, or whole numbers that may as well be numbers to learn.
    """
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.dtype.kind in "US":
        return _of_text(labels, where), ""
    if labels.dtype.kind not in "iubf" or labels.ndim not in {1, 2} or not labels.size:
        what = f"labels of type {labels.dtype} and shape {labels.shape}"
        raise DataError(what, where=where, fix="use whole numbers from 0, 0/1 columns, or floats")
    _refuse_unknown(labels, where)
    if task == "regress":
        return _numbers(labels), ""
    if labels.ndim == 2:
        return _of_columns(labels, classes, task, where)
    return _of_ids(labels, classes, task, where)


def of_ids(ids: Array, where: object, names: Sequence[str] | None = None) -> Target:
    """Return whole numbers (N,) as classes: those that occur, in their order, called by their number or by `names`.

    Raises:
        DataError: there is no name for one of them.
    """
    found, index = np.unique(ids, return_inverse=True)
    if names is None:
        return Label(index.astype(np.int64).reshape(-1), tuple(str(int(one)) for one in found))
    if len(found) == len(names) and int(found[-1]) >= len(names):  # numbered from 1, or with gaps
        return Label(index.astype(np.int64).reshape(-1), tuple(names))
    if int(found[-1]) >= len(names):
        what = f"{plural(len(names), 'class name')}, but a label is {int(found[-1])} (the first class is 0)"
        raise DataError(what, where=where, fix="name every class")
    return Label(ids.astype(np.int64), tuple(names))


def refuse_untrained(target: Target, splits: Splits, where: object) -> None:
    """Return unless a class is in val or test only, or there is no second class.

    Raises:
        DataError: one is, or there is none.
    """
    if target.is_exclusive and len(target.names) < 2:
        raise DataError(f"only one class, {shown(target.names[0], 40)!r}", where=where, fix="add a second class")
    if not target.is_exclusive or "train" not in splits:
        return
    trained = target.counts(splits["train"])
    for split, rows in splits.items():
        extra = np.flatnonzero((target.counts(rows) > 0) & (trained == 0))
        if len(extra):
            name = shown(target.names[int(extra[0])], 40)
            what = f"class {name!r} is in {split} but not in train"
            raise DataError(what, where=where, fix="add images of it to train, or remove it")


def refuse_unlike(found: Mapping[str, Array], where: object) -> None:
    """Return if arrays of several splits, by their names, can be laid behind each other.

    Raises:
        DataError: their sizes or types differ; the message names both.
    """
    (first, known), *others = found.items()
    for name, array in others:
        if array.shape[1:] != known.shape[1:] or _family(array) != _family(known):
            what = f"{first} is {known.dtype} {known.shape}, but {name} is {array.dtype} {array.shape}"
            raise DataError(what, where=where, fix="save both alike: one size, one number of channels, one type")


def texts(array: Array, where: object) -> list[str]:
    """Return an array of text or bytes as text.

    Raises:
        DataError: the bytes are no UTF-8.
    """
    try:
        return [one.decode() if isinstance(one, bytes) else str(one) for one in array.reshape(-1).tolist()]
    except UnicodeDecodeError as problem:
        raise DataError("names are not UTF-8 text", where=where, fix="save them as text") from problem


def _family(array: Array) -> str:
    return {"u": "whole", "i": "whole", "b": "whole"}.get(array.dtype.kind, array.dtype.kind)


def _of_text(labels: Array, where: object) -> Target:
    words = texts(labels, where)
    if not all(word.strip() for word in words):
        row = next(row for row, word in enumerate(words) if not word.strip())
        raise DataError(f"the label of image {row} (the first is 0) is empty", where=where, fix="name its class")
    found = class_list(words, where)
    index = {name: position for position, name in enumerate(found)}
    return Label(np.array([index[word] for word in words], dtype=np.int64), found)


def _refuse_unknown(labels: Array, where: object) -> None:
    odd = np.argwhere(~np.isfinite(labels)) if labels.dtype.kind == "f" else np.empty((0, 1))
    if len(odd):
        row = int(odd[0][0])
        what = f"label {labels[tuple(odd[0])]} of image {row} (the first is 0) is not finite"
        raise DataError(what, where=where, fix="remove these images, or give them a label")


def _refuse_slip(labels: Array, is_odd: npt.NDArray[np.bool_], among: str, where: object) -> None:
    """Refuse labels of which nearly all are classes, and a few are not."""
    if 0 < is_odd.sum() <= (1 - NEARLY_ALL) * is_odd.size:
        place = tuple(np.argwhere(is_odd)[0])
        what = f"label {labels[place]} of image {int(place[0])} (the first is 0) among {among}"
        raise DataError(what, where=where, fix="mend it", option="--task regress if all are numbers")


def _numbers(labels: Array) -> Target:
    values = labels.astype(np.float64).reshape(len(labels), -1)
    return Number(values, tuple(f"value{index}" for index in range(values.shape[1])))


def _of_columns(labels: Array, classes: Sequence[str] | None, task: str | None, where: object) -> tuple[Target, str]:
    on, count = labels == 1, labels.shape[1]
    if not (on | (labels == 0)).all() and not (on | (labels == -1)).all():
        if labels.dtype.kind == "f":
            _refuse_slip(labels, ~(on | (labels == 0)), "0 and 1", where)
            return _numbers(labels), f"the floats of {count} label columns are read as numbers"
        odd = labels[~(on | (labels == 0))][0]
        what = f"label columns hold {odd}"
        raise DataError(what, where=where, fix="write 0 and 1, or one number an image", option="--task regress")
    if classes is not None and len(classes) != count:
        what = f"{len(classes)} class names for {count} label columns"
        raise DataError(what, where=where, fix="give one name a column")
    names = tuple(classes) if classes is not None else tuple(str(index) for index in range(count))
    if task != "tag" and (on.sum(axis=1) == 1).all():
        said = f"every row of the labels has exactly one 1 in {count} columns: read as classes"
        return Label(on.argmax(axis=1).astype(np.int64), names), said
    odd_rows = np.flatnonzero(on.sum(axis=1) != 1)
    if task == "classify" and len(odd_rows) <= (1 - NEARLY_ALL) * len(labels):
        what = f"the label of image {int(odd_rows[0])} (the first is 0) has {int(on[odd_rows[0]].sum())} columns of 1"
        raise DataError(what, where=where, fix="give every image exactly one", option="--task tag")
    said = f"the 0/1 of {count} label columns are read as tags"
    if len(odd_rows) <= (1 - NEARLY_ALL) * len(labels) and task != "tag" and count > 1:
        said += f"; all but {plural(len(odd_rows), 'image')} have exactly one 1, image {int(odd_rows[0])} has not"
    return Tags(on.astype(np.uint8), names), said


def _of_ids(labels: Array, classes: Sequence[str] | None, task: str | None, where: object) -> tuple[Target, str]:
    num = len(np.unique(labels))
    is_float = labels.dtype.kind == "f"
    is_few = num <= MAX_CLASSES and len(labels) >= MIN_PER_CLASS * num
    if is_float and not ((labels == np.rint(labels)).all() and (is_few or task == "classify")):
        is_whole = labels == np.rint(labels)
        if is_few or len(np.unique(labels[is_whole])) <= MAX_CLASSES:
            _refuse_slip(labels, ~is_whole, "whole numbers", where)
        return _numbers(labels), "the floats of the labels are read as numbers"
    ids = labels.astype(np.int64) if labels.dtype.kind in "fb" else labels
    if int(ids.min()) < 0:
        what = f"a label is {int(ids.min())}"
        raise DataError(what, where=where, fix="use whole numbers from 0", option="--task regress")
    if num > max(MAX_CLASSES, len(ids) / 2) and task is None and classes is None:
        what = f"labels are {num:,} different whole numbers for {plural(len(ids), 'image')}"
        raise DataError(what, where=where, fix="name the classes", option="--task regress for numbers")
    said = f"the {num} whole numbers of the labels, of type {labels.dtype}, are read as classes" if is_float else ""
    if classes is not None:
        class_list(classes, where)
        twice = next((name for name in classes if list(classes).count(name) > 1), None)
        if twice is not None:
            raise DataError(f"two classes are called {shown(twice, 40)!r}", where=where, fix="give each its own name")
    target = of_ids(ids, where, classes)
    if not is_float and int(ids.max()) >= len(target.names):
        said = f"label numbers {int(ids.min())} to {int(ids.max())} are {len(target.names)} classes, in their order"
    return target, said
