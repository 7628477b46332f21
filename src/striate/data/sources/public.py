"""Public datasets by name, through torchvision's own loaders: a local copy if there is one, else downloaded."""

import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from striate.base import torchvision
from striate.base.errors import DataError, UserError

from ..cache import cached
from ..channels import sampled_channels
from ..sample import Dataset
from .array_labels import of_ids
from .arrays import to_uint8
from .images import ArrayImages, FileImages

TRAIN_TEST: Mapping[str, Mapping[str, Any]] = {"train": {"train": True}, "test": {"train": False}}


def _named(train: str = "train", val: str | None = None, test: str | None = "test") -> dict[str, dict[str, str]]:
    names = {"train": train, "val": val, "test": test}
    return {split: {"split": name} for split, name in names.items() if name}


@dataclass(frozen=True)
class _Public:
    """A torchvision dataset class and the arguments that give each of its splits."""

    loader: str
    splits: Mapping[str, Mapping[str, Any]]


PUBLIC = {
    "mnist": _Public("MNIST", TRAIN_TEST),
    "fashion-mnist": _Public("FashionMNIST", TRAIN_TEST),
    "kmnist": _Public("KMNIST", TRAIN_TEST),
    "cifar10": _Public("CIFAR10", TRAIN_TEST),
    "cifar100": _Public("CIFAR100", TRAIN_TEST),
    "svhn": _Public("SVHN", _named()),
    "stl10": _Public("STL10", _named()),
    "flowers102": _Public("Flowers102", _named(val="val")),
    "oxford-pets": _Public("OxfordIIITPet", _named(train="trainval")),
    "food101": _Public("Food101", _named()),
    "dtd": _Public("DTD", _named(val="val")),
    "aircraft": _Public("FGVCAircraft", _named(val="val")),
    "gtsrb": _Public("GTSRB", _named()),
    "imagenette": _Public("Imagenette", _named(val="val", test=None)),
    "eurosat": _Public("EuroSAT", {"train": {}}),
}
Local = Callable[[Path], Dataset]


def read(name: str, root: Path | None, read_local: Local) -> Dataset:
    """Return the public dataset `name` with the splits its authors made.

    Args:
        root: a folder with a copy: as torchvision keeps it, or in any layout that `read_local` reads, itself or in a
            folder of the dataset's name; by default the cache, filled by a download.

    Raises:
        DataError: there is no copy and no network, or a package the loader needs is missing.
    """
    if root is not None and not root.is_dir():
        raise DataError("no such folder", where=root, fix="mend --root")
    base = root or cached("public")
    public = PUBLIC[name]
    try:
        parts = _load(public, base, download=False)
    except (RuntimeError, OSError, ImportError) as missing:  # torchvision's ways to say: not there
        local = _local(name, root, read_local)
        if local is not None:
            return local
        if isinstance(missing, ImportError):
            package = missing.name or "a package"
            fix = f"pip install {package}"
            raise DataError(f"torchvision needs {package} to read {name}", where=base, fix=fix) from missing
        parts = _download(name, public, base)
    return _dataset(name, parts, base)


def _local(name: str, root: Path | None, read_local: Local) -> Dataset | None:
    if root is None:
        return None
    for folder in (root / name, root / name.replace("-", "_"), root):
        if folder.is_dir():
            with contextlib.suppress(UserError):
                return read_local(folder)
    return None


def _download(name: str, public: _Public, base: Path) -> dict[str, Any]:
    try:
        base.mkdir(parents=True, exist_ok=True)
        return _load(public, base, download=True)
    except (RuntimeError, OSError) as problem:
        reason = str(problem).split("\n")[0][:80].rstrip(":. ")
        what = f"{name} is not there and cannot be downloaded ({reason})"
        option = "--root with a folder that holds a copy"
        raise DataError(what, where=base, fix="download it with a network", option=option) from problem


def _load(public: _Public, base: Path, *, download: bool) -> dict[str, Any]:
    loader = getattr(torchvision.load("torchvision.datasets"), public.loader)
    with contextlib.redirect_stdout(sys.stderr):  # some loaders print; stdout belongs to the command's result
        return {split: loader(str(base), download=download, **options) for split, options in public.splits.items()}


def _dataset(name: str, parts: Mapping[str, Any], base: Path) -> Dataset:
    labels = [np.asarray(_labels(part), dtype=np.int64) for part in parts.values()]
    splits, at = {}, 0
    for split, found in zip(parts, labels, strict=True):
        splits[split] = np.arange(at, at + len(found), dtype=np.intp)
        at += len(found)
    values = np.concatenate(labels)
    first = next(iter(parts.values()))
    names = [_class_name(entry) for entry in getattr(first, "classes", None) or ()]
    fit = len(names) in {len(np.unique(values)), max(len(names), int(values.max()) + 1)}
    images, ids, note = _images(list(parts.values()), base)
    return Dataset(
        name=name,
        where=name,
        images=images,
        ids=ids,
        targets={"label": of_ids(values, base, names if fit else None)},
        splits=splits if len(splits) > 1 else {},
        channels=images.array.shape[3] if isinstance(images, ArrayImages) else images.channels,
        notes=note,
    )


def _images(parts: list[Any], base: Path) -> tuple[ArrayImages | FileImages, tuple[str, ...], tuple[str, ...]]:
    if hasattr(parts[0], "data"):
        pixels = np.concatenate([to_uint8(np.asarray(part.data), base) for part in parts])
        return ArrayImages(pixels), tuple(str(index) for index in range(len(pixels))), ()
    ids = tuple(os.path.relpath(path, base).replace(os.sep, "/") for part in parts for path in _files(part))
    channels, said = sampled_channels(base, ids, [int(label) for part in parts for label in _labels(part)])
    return FileImages(base, ids, channels), ids, (said,)


def _labels(part: Any) -> Any:
    for attribute in ("targets", "labels", "_labels"):
        if hasattr(part, attribute):
            return getattr(part, attribute)
    return [label for _, label in _samples(part)]


def _files(part: Any) -> list[str]:
    for attribute in ("_image_files", "_images"):
        if hasattr(part, attribute):
            return [str(path) for path in getattr(part, attribute)]
    return [str(path) for path, _ in _samples(part)]


def _samples(part: Any) -> list[tuple[Any, int]]:
    return list(part.samples if hasattr(part, "samples") else part._samples)


def _class_name(entry: Any) -> str:
    return str(entry[0] if isinstance(entry, tuple | list) else entry)
