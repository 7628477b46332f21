"""The binary version of CIFAR-10 and CIFAR-100: label bytes, then 3 x 32 x 32 pixels, record after record."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.text import NotUtf8, text_of

from ..sample import Dataset
from .array_labels import of_ids, refuse_untrained
from .images import ArrayImages
from .names import folder_name

PIXELS = 3 * 32 * 32
# number of classes, label bytes a record, training files, test file, file of class names
_VERSIONS = (
    (10, 1, [f"data_batch_{n}.bin" for n in range(1, 6)], "test_batch.bin", "batches.meta.txt"),
    (100, 2, ["train.bin"], "test.bin", "fine_label_names.txt"),
)


def matches(root: Path) -> bool:
    """Return whether a folder holds a binary CIFAR set, or a part of one: a test file alone must have whole records."""
    return any(_present(root, train) or _is_whole(root / test, size) for _, size, train, test, _ in _VERSIONS)


def read(root: Path, where: str, known: tuple[str, ...] | None = None) -> Dataset:
    """Return CIFAR-10 (`data_batch_1.bin`, ...) or CIFAR-100 (`train.bin`; the fine labels) with its own test split.

    Args:
        known: the classes of a run that is to be evaluated on these images: the test file alone will do.

    Raises:
        DataError: a file is missing, its length is not a whole number of records, or a record has an impossible label.
    """
    count, label_bytes, train_files, test_file, names_file = next(
        version for version in _VERSIONS if any(_present(root, [*version[2], version[3]]))
    )
    names = _names(root / names_file)
    most = len(names) or count
    train = [_records(root / name, label_bytes, most) for name in _present(root, train_files)]
    if not train and known is None:
        fix = f"download {train_files[0]} as well, or evaluate a run on the folder"
        raise DataError(f"no training file beside {test_file}", where=root, fix=fix)
    parts = {"train": np.concatenate(train)} if train else {}
    if (root / test_file).is_file():
        parts["test"] = _records(root / test_file, label_bytes, most)
    records = np.concatenate(list(parts.values()))
    labels = records[:, label_bytes - 1].astype(np.int64)
    pixels = records[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    num_train = len(parts.get("train", ()))
    whole = np.arange(len(records), dtype=np.intp)
    missing = len(train_files) - len(train)
    target = of_ids(labels, root, names or None)
    splits = {"train": whole[:num_train], "test": whole[num_train:]} if "test" in parts else {}
    splits = {split: members for split, members in splits.items() if len(members)}
    if known is None:
        refuse_untrained(target, splits, root)
    return Dataset(
        name=folder_name(root),
        where=where,
        images=ArrayImages(np.ascontiguousarray(pixels)),
        ids=tuple(str(index) for index in range(len(records))),
        targets={"label": target},
        splits=splits,
        channels=3,
        notes=(f"{missing} of {len(train_files)} training files are missing",) if train and missing else (),
    )


def _present(root: Path, names: list[str]) -> list[str]:
    return [name for name in names if (root / name).is_file()]


def _is_whole(path: Path, label_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size > 0 and not path.stat().st_size % (label_bytes + PIXELS)


def _records(path: Path, label_bytes: int, num_classes: int) -> npt.NDArray[np.uint8]:
    data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    if not len(data) or len(data) % (label_bytes + PIXELS):
        what = f"{len(data):,} bytes are not a whole number of records of {label_bytes + PIXELS}"
        raise DataError(what, where=path, fix="download it again")
    records = data.reshape(-1, label_bytes + PIXELS)
    labels = records[:, label_bytes - 1]
    wrong = np.flatnonzero(labels >= num_classes)
    if len(wrong):
        what = f"record {wrong[0]:,} (the first is 0) has label {labels[wrong[0]]}, but there are {num_classes} classes"
        raise DataError(what, where=path, fix="download it again")
    return records


def _names(path: Path) -> tuple[str, ...]:
    """Return the class names of the set, or nothing where it has no file of them."""
    if not path.is_file():
        return ()
    try:
        text = text_of(path.read_bytes())
    except NotUtf8 as problem:
        where = f"{path}:{problem.line}" if problem.line else path
        raise DataError(f"class names are not UTF-8 text ({problem})", where=where, fix="save it as UTF-8") from problem
    return tuple(line.strip() for line in text.splitlines() if line.strip())
