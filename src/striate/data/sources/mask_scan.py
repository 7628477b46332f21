"""One look at every mask: which values it holds, how often, and its size; kept, so that it is looked at once."""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from striate.base.device import num_cpus
from striate.base.errors import DataError, ResourceError
from striate.base.files import write_bytes

from ..cache import cached
from ..decode import Probe, header
from .images import FileImages
from .mask_coding import read_stored

VERSION = 1  # part of the cache key
MAX_VALUES = 4096  # of a mask that are kept, the most frequent ones: one with more is none


@dataclass(frozen=True)
class Tally:
    """What a mask holds: `values` as stored, ascending, and how many pixels have each.

    `problem` is why that is not known; `image_hw` and `orientation` are what its image's header says, as it lies in
    the file.
    """

    values: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()
    size_hw: tuple[int, int] = (0, 0)
    format: str = ""
    problem: str = ""
    image_hw: tuple[int, int] = (0, 0)
    orientation: int = 1


def tallies_of(masks: FileImages, images: FileImages, is_colour: bool) -> tuple[Tally, ...]:
    """Return what each mask holds; files that did not change since are not read again.

    Args:
        images: to which they belong.
        is_colour: whether to read colours rather than levels and indices.
    """
    stamps = [f"{masks.stamp(index)} {images.stamp(index)}" for index in range(len(masks))]
    names = [str(masks.path(index).absolute()) for index in range(len(masks))]
    text = json.dumps([VERSION, is_colour, names, stamps])
    path = cached("masks", hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32] + ".json")
    if (known := _load(path, len(masks))) is not None:
        return known
    with ThreadPoolExecutor(num_cpus()) as pool:
        found = tuple(pool.map(lambda at: _look(masks.path(at), images.path(at), is_colour), range(len(masks))))
    with suppress(ResourceError, OSError):  # a read-only cache is no error
        write_bytes(path, json.dumps([list(vars(one).values()) for one in found]).encode())
    return found


def _look(path: Path, image: Path, is_colour: bool) -> Tally:
    probe, about = header(path), header(image)
    try:
        stored = read_stored(path, is_colour)
    except DataError as problem:
        return _tally((), (), (0, 0), probe, about, problem.what)
    values, counts = (
        _counted(stored) if stored.dtype == np.uint8 else np.unique(stored, return_counts=True)
    )  # a count of 256 levels takes a twentieth of the time of sorting
    if len(values) > MAX_VALUES:
        most = np.sort(np.argsort(-counts, kind="stable")[:MAX_VALUES])
        values, counts = values[most], counts[most]
    return _tally(values.tolist(), counts.tolist(), stored.shape, probe, about, "")


def _counted(stored: Any) -> tuple[Any, Any]:
    counts = np.bincount(stored.ravel(), minlength=256)
    values = np.flatnonzero(counts)
    return values, counts[values]


def _tally(
    values: Sequence[int], counts: Sequence[int], size_hw: tuple[int, ...], probe: Probe, image: Probe, problem: str
) -> Tally:
    size = (int(size_hw[0]), int(size_hw[1]))
    return Tally(tuple(values), tuple(counts), size, probe.format, problem, image.size_hw, image.orientation)


def _load(path: Path, count: int) -> tuple[Tally, ...] | None:
    try:
        rows = json.loads(path.read_bytes())
        found = [_from_row(row) for row in rows]
    except (OSError, ValueError, TypeError):  # missing or damaged: it can be made again
        return None
    return tuple(found) if len(found) == count else None


def _from_row(row: list[Any]) -> Tally:
    plain: list[Any] = [tuple(value) if isinstance(value, list) else value for value in row]
    return Tally(*plain)
