"""Decode once: every image as a rectangle of 8 or 16 bits, in one file that is mapped and shared by all runs."""

import hashlib
import mmap
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import metadata
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from striate.base.device import num_cpus
from striate.base.documents import read_json
from striate.base.errors import DataError, ResourceError, UserError, combined
from striate.base.files import whole_folder, write_json
from striate.base.progress import Progress
from striate.base.size import SizeHW

from .bands import band_names
from .cache import cached
from .decode import VERSION as DECODER
from .eviction import hold, limit_bytes, make_room, touch
from .geometry import VERSION as RESIZER
from .geometry import Geometry
from .raster import Samples
from .sample import Dataset, Images, ImageU8
from .sources.images import ArrayImages, FileImages
from .sources.series_images import SeriesImages
from .sources.volume_images import VolumeImages
from .turn import WAITING, turn

if TYPE_CHECKING:
    import torch

    from .planes import Plane

Indices = npt.NDArray[np.intp]
Item = TypeVar("Item")
Result = TypeVar("Result")
Decoded = tuple[ImageU8, list[float]]  # the stored image; its moments and the image's size
_CHUNK = 8  # images a thread decodes at a time: handing over a single one costs a tenth of its decoding
_SAMPLE = 2000  # images that statistics look at when there is no store to read


@dataclass(frozen=True)
class Rows:
    """What is known of each stored image, one row an image.

    `moments` (R, 2, C) float64: mean and deviation of its levels 0..255; `sizes_hw` (R, 2) as it was decoded; (R, 3) of
    volumes.
    """

    moments: npt.NDArray[np.float64]
    sizes_hw: npt.NDArray[np.int64]


class Store:
    """The images of a dataset as uint8 or uint16 rectangles of one geometry.

    `images` is the (R, H, W, C) array, mapped from disk or in memory, or None where images are decoded each time
    they are asked for. `row_of` (N,) maps an image of the dataset to its row, -1 for one that is not stored; `key`
    names content and geometry. Safe to read from several threads.
    """

    def __init__(
        self, geometry: Geometry, key: str, row_of: Indices, source: Images, *, full_size: bool,
        images: ImageU8 | None = None, rows: Rows | None = None, mapping: mmap.mmap | None = None,
    ) -> None:  # fmt: skip
        self.geometry, self.key, self.row_of, self.images, self.rows = geometry, key, row_of, images, rows
        self._source, self._mapping = source, mapping
        self._resident: torch.Tensor | None = None
        self._sizes_hw: dict[int, SizeHW] = {}  # of images that are decoded each time
        self._lock = Lock()
        self.planes: list[Plane] = []  # of targets that are images themselves, see `planes.open_plane`
        self._short_side_px = None if full_size else geometry.short_side_px

    def __repr__(self) -> str:
        kind = "streamed" if self.images is None else "in memory" if self._mapping is None else "mapped"
        shape = " x ".join(map(str, self.geometry.store_shape))
        return f"Store({(self.row_of >= 0).sum():,} x {shape}, {kind})"

    def image(self, index: int) -> ImageU8:
        """Return image `index` of the dataset as its (H, W, C) rectangle.

        Raises:
            DataError: it is decoded on the fly and its file has become unreadable.
        """
        if self.images is not None:
            return np.asarray(self.images[self.row_of[index]])
        pixels = read_at(self._source, index, self._short_side_px, self.geometry)
        if self._short_side_px is None:  # else it may have been decoded smaller than it is
            self._sizes_hw[index] = pixels.shape[:-1]
        return np.asarray(self.geometry.to_store(pixels))

    def means(self, indices: Indices, images_u8: Sequence[ImageU8]) -> npt.NDArray[np.float64]:
        """Return the (B, C) mean level of each image; `images_u8` are its rectangles, for when nothing is stored."""
        if self.rows is not None:
            return np.asarray(self.rows.moments[self.row_of[indices], 0])
        return np.stack([_moments(image)[0] for image in images_u8])

    def size_hw(self, index: int) -> SizeHW:
        """Return height and width of the image before it was fitted; one that is not stored is decoded once for it."""
        if self.rows is not None:
            return tuple(self.rows.sizes_hw[self.row_of[index]].tolist())
        if index not in self._sizes_hw:
            self._sizes_hw[index] = read_at(self._source, index, None, self.geometry).shape[:-1]
        return self._sizes_hw[index]

    def on_device(self, device: "torch.device") -> "torch.Tensor | None":
        """Return all images as one uint8 tensor on a GPU, the same for every caller; None if they do not fit.

        They fit when they take at most half of the memory that is free at the first call.
        """
        import torch

        with self._lock:
            if self._resident is None and self.images is not None:
                fits = self.images.nbytes <= torch.cuda.mem_get_info(device)[0] // 2
                self._resident = torch.tensor(self.images, device=device) if fits else None
            return self._resident

    def release(self) -> None:
        """Give the mapped pages back: they stay in the system's file cache but no longer count as our memory."""
        if self._mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._mapping.madvise(mmap.MADV_DONTNEED)
        for plane in self.planes:
            plane.release()


def open_store(
    dataset: Dataset, geometry: Geometry, progress: Progress | None = None, *, threads: int | None = None,
    max_bytes: int | None = None, skip_bad: bool = False,
) -> Store:  # fmt: skip
    """Return the store of the images in the dataset's splits, building it when it is not in the cache.

    Images in memory that already have the geometry's size and channels are used as they are. A store larger than
    `max_bytes` is not built: images are then decoded each time.

    Args:
        threads: decoding threads; by default one a core.
        max_bytes: by default half the free space of the cache's disk, and no more than the cache may hold.
        skip_bad: leave out images that cannot be decoded (`row_of` is -1) instead of stopping.

    Raises:
        DataError: images cannot be decoded; the message names the first, the details name all.
        ResourceError: the cache folder cannot be written.

    Example:
        >>> open_store(dataset, Geometry((128, 128), margin=1.15))  # doctest: +SKIP
        Store(25,000 x 147 x 147 x 3, mapped)
    """
    used = np.unique(np.concatenate([*dataset.splits.values(), np.empty(0, np.intp)])).astype(np.intp)
    full_size = any(target.has_places for target in dataset.targets.values())  # in full-size pixels
    if isinstance(dataset.images, ArrayImages) and _fits(dataset.images.array, geometry):
        return _in_memory(dataset.images, geometry, threads)
    key = _key(dataset, used, geometry, full_size)
    num_bytes = len(used) * geometry.num_bytes
    folder = cached("stores", key[:32])
    progress = progress or Progress()
    with turn(folder, lambda: progress.line(WAITING.format("images"))):
        if _info(folder) is not None:
            return _load(folder, dataset, used, geometry, key, full_size, skip_bad)
        if num_bytes > (most := room_bytes(folder) if max_bytes is None else max_bytes):
            need = f"decoded images take {num_bytes / 1e9:.1f} GB, {most / 1e9:.1f} GB are free for them"
            progress.line(f"{need}: decoding anew every epoch (STRIATE_CACHE, STRIATE_CACHE_LIMIT)")
            row_of = np.full(len(dataset), -1, np.intp)
            row_of[used] = np.arange(len(used))
            return Store(geometry, key, row_of, dataset.images, full_size=full_size)
        make_room(num_bytes)
        _build(folder, dataset, used, geometry, full_size, progress, threads, skip_bad)
        return _load(folder, dataset, used, geometry, key, full_size, skip_bad)


def statistics(
    store: Store, indices: Indices, threads: int | None = None, names: Sequence[str] = ()
) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each channel in 0..1, over all pixels of these images.

    Exact from a store; where images are decoded each time, from 2,000 of them evenly spread.

    Raises:
        DataError: a channel is constant, so it cannot be normalised; the message names it.
    """
    if store.rows is not None:
        rows = store.row_of[indices]
        moments = store.rows.moments[rows[rows >= 0]]
    else:
        chosen = indices[np.linspace(0, len(indices) - 1, min(len(indices), _SAMPLE)).astype(np.intp)]
        with ThreadPoolExecutor(threads or num_cpus()) as pool:
            moments = np.stack(list(pool.map(lambda index: _moments(store.image(int(index))), chosen)))
    mean = moments[:, 0].mean(0)
    variance = (moments[:, 1] ** 2 + moments[:, 0] ** 2).mean(0) - mean**2
    for name, value in zip(band_names(len(mean), names), variance, strict=True):
        if not value > 1e-6:
            option = "--levels auto for 16 bits" if len(mean) != 3 else "--channels 1 to read images as grey"
            what = f"the {name} channel is constant over the training split"
            raise DataError(what, where=f"channel {name}", fix="remove blank images", option=option)
    return (mean / 255).tolist(), (np.sqrt(variance) / 255).tolist()


def read_at(images: Images, index: int, short_side_px: int | None, geometry: Geometry) -> Samples:
    """Return an image as its source has it, with all its bits where the geometry keeps them."""
    if geometry.depth == 8 or not isinstance(images, FileImages | ArrayImages | SeriesImages | VolumeImages):
        return images.read(index, short_side_px)
    return images.read_samples(index, short_side_px, geometry.depth)


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Yield `work(item)` in order, with at most `ahead` items begun: memory stays bounded, a stop is quick."""
    begun: deque[Future[Result]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(work, item))
            if len(begun) >= ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        for future in begun:
            future.cancel()


def _fits(array: npt.NDArray[np.uint8], geometry: Geometry) -> bool:
    return geometry.depth == 8 and array.shape[1:] == geometry.store_shape


def _in_memory(source: ArrayImages, geometry: Geometry, threads: int | None) -> Store:
    array = np.ascontiguousarray(source.array)
    pixels = array.reshape(len(array), -1, geometry.channels)

    def moments(start: int) -> npt.NDArray[np.float64]:
        levels = pixels[start : start + 512].astype(np.float64)
        return np.stack([levels.mean(1), levels.std(1)], axis=1)

    with ThreadPoolExecutor(threads or num_cpus()) as pool:
        found = list(pool.map(moments, range(0, len(array), 512)))
    rows = Rows(np.concatenate(found), np.full((len(array), 2), array.shape[1:3], np.int64))
    key = hashlib.sha256(f"{geometry}".encode())
    key.update(array.data)
    return Store(
        geometry, key.hexdigest(), np.arange(len(array)), source, full_size=True, images=array, rows=rows
    )  # fmt: skip


def _key(dataset: Dataset, used: Indices, geometry: Geometry, full_size: bool) -> str:
    digest = hashlib.sha256()
    root = os.path.realpath(dataset.images.root) if isinstance(dataset.images, FileImages) else ""
    head = (root, dataset.channels, geometry, full_size, *decoder_versions())
    lines = (f"{dataset.ids[index]}\x1f{dataset.images.stamp(int(index))}" for index in used)
    for line in ("\x1f".join(map(str, head)), *lines):
        digest.update(line.encode("utf-8", "surrogateescape") + b"\x1e")
    return digest.hexdigest()


def decoder_versions() -> tuple[object, ...]:
    """What decodes and resizes: another version may round a pixel differently."""
    return DECODER, RESIZER, *map(metadata.version, ("pillow", "simplejpeg", "torch"))


def room_bytes(folder: Path) -> int:
    """Return what a store may take: half the free space of the cache's disk, and no more than the cache may hold."""
    while not folder.exists():
        folder = folder.parent
    return min(shutil.disk_usage(folder).free // 2, limit_bytes())


def _build(
    folder: Path, dataset: Dataset, used: Indices, geometry: Geometry, full_size: bool, progress: Progress,
    threads: int | None, skip_bad: bool,
) -> None:  # fmt: skip
    threads, short_side_px = threads or num_cpus(), None if full_size else geometry.short_side_px

    def decode(index: int) -> Decoded | DataError:
        try:
            image = read_at(dataset.images, index, short_side_px, geometry)
            stored = geometry.to_store(image)
            return stored, [*_moments(stored).ravel(), *image.shape[:-1]]
        except DataError as problem:
            return problem

    try:
        with (
            whole_folder(folder) as temporary,
            progress.bar("decoding", len(used)) as bar,
            ThreadPoolExecutor(threads) as pool,
            (temporary / "images.u8").open("xb") as file,
        ):
            parts = np.split(used, range(_CHUNK, len(used), _CHUNK))
            decoded = in_order(pool, lambda part: [decode(int(index)) for index in part], parts, ahead=4 * threads)
            _write(temporary, file, chain.from_iterable(decoded), geometry, skip_bad, bar.advance)
    except ResourceError as problem:
        fix = "free space, or set STRIATE_CACHE to a folder on another disk"
        raise ResourceError(problem.what, where=problem.where, fix=fix) from problem


def _write(
    folder: Path, file: BinaryIO, decoded: Iterator[Decoded | DataError],
    geometry: Geometry, skip_bad: bool, advance: Callable[[], None],
) -> None:  # fmt: skip
    numbers, bad = [], {}
    for place, found in enumerate(decoded):
        if isinstance(found, DataError):
            bad[place] = found
        else:
            file.write(found[0].data)
            numbers.append(found[1])
        advance()
    if bad and not skip_bad:
        raise combined(list(bad.values()))
    table = np.array(numbers, np.float64).reshape(len(numbers), 2 * geometry.channels + len(geometry.size_hw))
    (folder / "rows.f64").write_bytes(table.tobytes())
    num_bytes = {"images.u8": file.tell(), "rows.f64": table.nbytes}
    write_json(folder / "store.json", {"geometry": asdict(geometry), "num_bytes": num_bytes, "bad": sorted(bad)})


def _info(folder: Path) -> dict[str, Any] | None:
    """The description of a whole store; None for one that is missing or damaged, and so is built again."""
    try:
        info: dict[str, Any] = read_json(folder / "store.json")
        whole = all((folder / name).stat().st_size == size for name, size in info["num_bytes"].items())
        return info if whole else None
    except (UserError, OSError, KeyError, TypeError, AttributeError):
        return None


def _load(
    folder: Path, dataset: Dataset, used: Indices, geometry: Geometry, key: str, full_size: bool, skip_bad: bool
) -> Store:
    info = _info(folder)
    assert info is not None, "the store was just built"
    if info["bad"] and not skip_bad:
        names = tuple(dataset.ids[used[place]] for place in info["bad"])
        raise DataError("file cannot be decoded", where=names[0], fix="replace or remove it", details=names)
    good = np.delete(used, info["bad"])
    row_of = np.full(len(dataset), -1, np.intp)
    row_of[good] = np.arange(len(good))
    shape = (len(good), *geometry.store_shape)
    num = 2 * geometry.channels
    table = np.fromfile(folder / "rows.f64").reshape(len(good), num + len(geometry.size_hw))
    rows = Rows(table[:, :num].reshape(len(good), 2, geometry.channels), table[:, num:].astype(np.int64))
    touch(folder / "store.json")
    with hold(folder) as file:  # the mapping keeps hold of it
        mapping = (
            mmap.mmap(file.fileno(), len(good) * geometry.num_bytes, access=mmap.ACCESS_READ) if len(good) else None
        )
    images: npt.NDArray[Any] = np.frombuffer(mapping or b"", geometry.dtype).reshape(shape)
    return Store(geometry, key, row_of, dataset.images, full_size=full_size, images=images, rows=rows, mapping=mapping)


def _moments(image_u8: ImageU8) -> npt.NDArray[np.float64]:
    """(2, C): mean and deviation of each channel in levels 0..255; OpenCV sums uint8 in integers, so both are exact."""
    flat = image_u8.reshape(len(image_u8), -1, image_u8.shape[-1])  # of volumes
    moments = np.array(cv2.meanStdDev(flat), np.float64)[:, :, 0]
    return moments if image_u8.dtype == np.uint8 else moments / 257
