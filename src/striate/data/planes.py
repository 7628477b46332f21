"""What lies beside the images in a store: masks and partner images, decoded once and resized as their images are."""

import hashlib
import mmap
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from striate.base.device import num_cpus
from striate.base.documents import read_json
from striate.base.errors import DataError, UserError, combined
from striate.base.files import whole_folder, write_json
from striate.base.progress import Progress

from .cache import cached
from .eviction import hold, make_room, touch
from .sample import ImageU8
from .sources.images import ArrayImages
from .store import Indices, Store, decoder_versions, in_order, room_bytes
from .turn import WAITING, turn

if TYPE_CHECKING:
    from .target import Target

_CHUNK = 16  # squares a thread makes at a time


class Plane:
    """The squares of a target that `has_plane`, a row for each row of the store.

    `pixels` is (R, S, S, C), mapped from disk or in memory, or None where each is read when it is asked for.
    """

    def __init__(
        self, target: "Target", store: Store, pixels: ImageU8 | None, mapping: mmap.mmap | None = None
    ) -> None:  # fmt: skip
        self.target, self.pixels = target, pixels
        self._row_of, self._geometry, self._mapping = store.row_of, store.geometry, mapping

    def squares(self, indices: Indices, apply: Callable[..., Iterable[ImageU8]] = map) -> Sequence[ImageU8]:
        """Return the squares of some images of the dataset.

        Args:
            apply: `map`, or that of a pool of threads, for squares that must be read.

        Raises:
            DataError: one is read now, and its file cannot be.
        """
        if self.pixels is not None:
            return [self.pixels[row] for row in self._row_of[indices]]
        return list(apply(lambda index: self.target.square(int(index), self._geometry), indices))

    def release(self) -> None:
        """Give the mapped pages back, see `Store.release`."""
        if self._mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._mapping.madvise(mmap.MADV_DONTNEED)


def open_plane(
    store: Store, target: "Target", *, progress: Progress | None = None, threads: int | None = None
) -> Plane:
    """Return a target's plane of a store, building it when it is not in the cache; the same one at every call.

    Squares that already have the store's size in memory are used as they are. Where the images are not stored, or the
    plane does not fit into the cache, they are read each time.

    Raises:
        DataError: a file cannot be read; the message names the first, the details name all.
        ResourceError: the cache folder cannot be written.
    """
    known = next((plane for plane in store.planes if plane.target is target), None)
    if known is None:
        known = _opened(store, target, progress or Progress("quiet"), threads or num_cpus())
        store.planes.append(known)
    return known


def _opened(store: Store, target: "Target", progress: Progress, threads: int) -> Plane:
    used = np.flatnonzero(store.row_of >= 0)
    if store.images is None or not len(used):
        return Plane(target, store, store.images)
    used = used[np.argsort(store.row_of[used], kind="stable")]
    first = target.square(int(used[0]), store.geometry)
    if (array := _in_memory(target, first.shape, len(store.images))) is not None:
        return Plane(target, store, array)
    shape = (len(used), *first.shape)
    folder = cached("stores", _key(store, target, used)[:32])
    with turn(folder, lambda: progress.line(WAITING.format(target.noun[1]))):
        if not _is_whole(folder, shape):
            if (num_bytes := int(np.prod(shape))) > room_bytes(folder):
                progress.line(f"{target.noun[1]} take {num_bytes / 1e9:.1f} GB: read anew every epoch")
                return Plane(target, store, None)
            make_room(num_bytes)
            _build(folder, store, target, used, shape, progress, threads)
        touch(folder / "store.json")
        with hold(folder) as file:  # the mapping keeps hold of it
            mapping = mmap.mmap(file.fileno(), int(np.prod(shape)), access=mmap.ACCESS_READ)
    return Plane(target, store, np.frombuffer(mapping, np.uint8).reshape(shape), mapping)


def _in_memory(target: "Target", shape: tuple[int, ...], num_rows: int) -> ImageU8 | None:
    """The arrays of a target that lie in memory as its squares would, one a row of the store."""
    images = getattr(target, "images", None)
    array = images.array if isinstance(images, ArrayImages) else None
    return array if array is not None and array.shape == (num_rows, *shape) else None


def _key(store: Store, target: "Target", used: Indices) -> str:
    digest = hashlib.sha256(f"{store.key}\x1f{target.kind}\x1f{decoder_versions()}".encode())
    for index in used:
        digest.update(target.stamp(int(index)).encode("utf-8", "surrogateescape") + b"\x1e")
    return digest.hexdigest()


def _build(
    folder: Path, store: Store, target: "Target", used: Indices, shape: tuple[int, ...],
    progress: Progress, threads: int,
) -> None:  # fmt: skip
    def squares(part: Indices) -> list[npt.NDArray[np.uint8] | DataError]:
        return [_square(target, int(index), store) for index in part]

    bad: list[DataError] = []
    with (
        whole_folder(folder) as temporary,
        progress.bar(f"reading {target.noun[1]}", len(used)) as bar,
        ThreadPoolExecutor(threads) as pool,
        (temporary / "images.u8").open("xb") as file,
    ):
        parts = np.split(used, range(_CHUNK, len(used), _CHUNK))
        for found in (one for made in in_order(pool, squares, parts, 4 * threads) for one in made):
            if isinstance(found, DataError):
                bad.append(found)
            else:
                file.write(np.ascontiguousarray(found).data)
            bar.advance()
        if bad:
            raise combined(bad)
        write_json(temporary / "store.json", {"plane": target.kind, "shape": list(shape)})


def _square(target: "Target", index: int, store: Store) -> npt.NDArray[np.uint8] | DataError:
    try:
        return target.square(index, store.geometry)
    except DataError as problem:
        return problem


def _is_whole(folder: Path, shape: tuple[int, ...]) -> bool:
    try:
        info = read_json(folder / "store.json", "store", dict)
        return bool(info["shape"] == list(shape) and (folder / "images.u8").stat().st_size == np.prod(shape))
    except (UserError, OSError, KeyError):
        return False
