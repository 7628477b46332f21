"""Weights files of any origin as named tensors; nothing in a file is ever run."""

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from striate.base.errors import ModelError
from striate.base.tensors import read_tensors
from striate.base.text import shown

from .import_weights import SUFFIXES, import_weights
from .state import without_prefixes

MAX_TENSORS = 100_000
MAX_HEADER_BYTES = 100 * MAX_TENSORS


@dataclass(frozen=True)
class Foreign:
    """What a weights file holds.

    Args:
        tensors: name -> tensor, names without the prefixes of wrappers.
        ordered: whether the order is that in which they were saved; safetensors alone sort by name.
    """

    tensors: Mapping[str, Tensor]
    ordered: bool


def read(path: str | Path, limit_bytes: int) -> Foreign:
    """Return the tensors of a `.safetensors`, `.npz`, or (by way of a child process) `.pth`, `.pt` ... file.

    Args:
        limit_bytes: what the tensors may take in memory.

    Raises:
        ModelError: the file is missing, of another kind, damaged, larger than the limit, or would run code.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError("cannot read weights (no such file)", where=path, fix="check the path")
    reader = _reader(path)
    _check_size(path.stat().st_size, limit_bytes, path)
    found = reader(path, limit_bytes)
    return Foreign(without_prefixes(found.tensors), found.ordered)


def _reader(path: Path) -> Callable[[Path, int], "Foreign"]:
    suffix = path.suffix.lower()
    if suffix not in READERS:
        what = f"weights are not read from files of the kind {shown(suffix or path.name)!r}"
        fix = f"give one of {', '.join(READERS)}; rename what torch.save wrote to .pth"
        raise ModelError(what, where=path, fix=fix)
    return READERS[suffix]


def _safetensors(path: Path, limit_bytes: int) -> Foreign:
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > MAX_HEADER_BYTES:
                raise ValueError(f"its header claims {size:,} bytes")
            text = file.read(size)
        tensors = read_tensors(path)
        order = json.loads(json.loads(text).get("__metadata__", {}).get("order", "[]"))
    except (ModelError, ValueError) as problem:
        reason = getattr(problem, "what", str(problem))
        raise ModelError(f"cannot read weights ({reason})", where=path, fix="restore this file") from problem
    is_whole = isinstance(order, list) and sorted(map(str, order)) == sorted(tensors)
    return Foreign({name: tensors[name] for name in (order if is_whole else tensors)}, is_whole)


def _npz(path: Path, limit_bytes: int) -> Foreign:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        if len(members) > MAX_TENSORS:
            raise ValueError(f"{len(members):,} arrays")
        _check_size(sum(member.file_size for member in members), limit_bytes, path)
        with np.load(path, allow_pickle=False) as file:
            return Foreign({name: torch.from_numpy(np.asarray(file[name])) for name in file.files}, True)
    except (OSError, ValueError, TypeError, EOFError, KeyError, MemoryError, zipfile.BadZipFile) as problem:
        reason = str(problem).strip().split("\n")[0]
        raise ModelError(f"cannot read weights ({reason})", where=path, fix="give arrays of numbers") from problem


def _pth(path: Path, limit_bytes: int) -> Foreign:
    with TemporaryDirectory() as folder:
        return _safetensors(import_weights(path, Path(folder) / "imported.safetensors"), limit_bytes)


def _check_size(num_bytes: int, limit_bytes: int, path: Path) -> None:
    if num_bytes > limit_bytes:
        raise ModelError(
            f"{num_bytes:,} bytes of weights, but this network can take {limit_bytes:,}",
            where=path,
            fix="give the weights of this network",
        )


READERS: Mapping[str, Callable[[Path, int], Foreign]] = {
    ".safetensors": _safetensors,
    ".npz": _npz,
    **dict.fromkeys(SUFFIXES, _pth),
}
