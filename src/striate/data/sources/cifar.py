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
# marker file: (number of classes, label bytes a record, training files, test file, file of class names)
_VERSIONS = {
    "data_batch_1.bin": (10, 1, [f"data_batch_{n}.bin" for n in range(1, 6)], "test_batch.bin", "batches.meta.txt"),
    "train.bin": (100, 2, ["train.bin"], "test.bin", "fine_label_names.txt"),
}


def matches(root: Path) -> bool:
    """Return whether a folder holds a binary CIFAR set."""
    return any((root / marker).is_file() for marker in _VERSIONS)


def read(root: Path, where: str) -> Dataset:
    """Return CIFAR-10 (`data_batch_1.bin`, ...) or CIFAR-100 (`train.bin`; the fine labels) with its own test split.

    Raises:
        DataError: a file is missing, its length is not a whole number of records, or a record has an impossible label.
    """
    marker = next(name for name in _VERSIONS if (root / name).is_file())
    count, label_bytes, train_files, test_file, names_file = _VERSIONS[marker]
    names = _names(root / names_file)
    most = len(names) or count
    train = [_records(root / name, label_bytes, most) for name in train_files if (root / name).is_file()]
    parts = {"train": np.concatenate(train)}
    if (root / test_file).is_file():
        parts["test"] = _records(root / test_file, label_bytes, most)
    records = np.concatenate(list(parts.values()))
    labels = records[:, label_bytes - 1].astype(np.int64)
    pixels = records[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    num_train = len(parts["train"])
    whole = np.arange(len(records), dtype=np.intp)
    missing = len(train_files) - len(train)
    target = of_ids(labels, root, names or None)
    splits = {"train": whole[:num_train], "test": whole[num_train:]} if "test" in parts else {}
    refuse_untrained(target, splits, root)
    return Dataset(
        name=folder_name(root),
        where=where,
        images=ArrayImages(np.ascontiguousarray(pixels)),
        ids=tuple(str(index) for index in range(len(records))),
        targets={"label": target},
        splits=splits,
        channels=3,
        notes=(f"{missing} of {len(train_files)} training files are missing",) if missing else (),
    )


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
