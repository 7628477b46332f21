"""One look at every image: can it be decoded, what is it, and the few numbers that the check compares."""

import hashlib
import io
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from striate.base.device import num_cpus
from striate.base.errors import DataError, ResourceError
from striate.base.files import write_bytes
from striate.base.progress import Progress
from striate.base.seeds import rng_for

from .. import decode
from ..bands import mode_of, shown_bands
from ..cache import cached
from ..decode import Probe
from ..levels import FULL
from ..sample import Dataset, ImageU8
from ..sources.images import ArrayImages, FileImages

VERSION = 4  # part of the cache key: raise it when a number below changes its meaning
THUMB_PX = 32
SHORT_SIDE_PX = 64  # a JPEG is decoded no larger than this needs: the whole stream is read all the same
MAX_DECODED, MAX_TIME_S = 50_000, 60.0
MAX_ARRAY, ARRAY_SAMPLE = 100_000, 20_000  # of more images in memory only so many are summed up, 0.14 ms each
CHUNK = 16
MAX_DIGEST_BYTES = 1 << 30
STATISTICS = (
    *("height", "width", "aspect", "bytes a pixel"),
    *("red", "green", "blue", "contrast"),
    *("border red", "border green", "border blue", "border contrast"),
)


@dataclass(frozen=True)
class Scan:
    """What one look said of N images.

    `digests` (N, 16) of the decoded pixels, see `_digest`; `thumbs` (N, 32, 32) grey; `statistics` (N, 12) named by
    STATISTICS, colours in 0..255; `is_decoded` (N,) is False where only the header was read. Of very many images in
    memory all have digests, but only a sample has thumbs and statistics: the others' heights there are 0.
    """

    probes: list[Probe]
    digests: npt.NDArray[np.uint8]
    thumbs: npt.NDArray[np.uint8]
    statistics: npt.NDArray[np.float32]
    is_decoded: npt.NDArray[np.bool_]

    @property
    def usable(self) -> npt.NDArray[np.intp]:
        """The indices of the images that were decoded without a problem."""
        return np.array([i for i, probe in enumerate(self.probes) if self.is_decoded[i] and not probe.problem], np.intp)

    @property
    def summed_up(self) -> npt.NDArray[np.intp]:
        """The usable ones that have thumbs and statistics."""
        usable = self.usable
        return np.asarray(usable[self.statistics[usable, 0] > 0])

    @classmethod
    def empty(cls, count: int) -> "Scan":
        """Return a scan of `count` images not looked at yet."""
        return cls(
            probes=[Probe()] * count,
            digests=np.zeros((count, 16), dtype=np.uint8),
            thumbs=np.zeros((count, THUMB_PX, THUMB_PX), dtype=np.uint8),
            statistics=np.zeros((count, len(STATISTICS)), dtype=np.float32),
            is_decoded=np.zeros(count, dtype=bool),
        )

    def copy_row(self, index: int, other: "Scan", row: int) -> None:
        """Take over row `row` of another scan."""
        self.probes[index] = other.probes[row]
        for name in ("digests", "thumbs", "statistics", "is_decoded"):
            getattr(self, name)[index] = getattr(other, name)[row]


def scan(dataset: Dataset, *, full: bool = False, is_anew: bool = False, progress: Progress | None = None) -> Scan:
    """Decode every image once and return what was seen; files that did not change since are not read again.

    Beyond 50,000 images or one minute the rest is looked at by header only, unless `full`; `is_anew` reads
    unchanged files too.
    """
    found = Scan.empty(len(dataset))
    images = dataset.images
    cache = _Cache(images) if isinstance(images, FileImages) else None
    todo = np.arange(len(dataset)) if cache is None or is_anew else cache.fill(found, dataset.ids)
    # in a random order, so that what is decoded in time is a fair sample
    order = rng_for(0, "scan").permutation(todo)
    if isinstance(images, ArrayImages):
        _digest_all(dataset, images, found)
        if len(order) > MAX_ARRAY and not full:
            order = order[:ARRAY_SAMPLE]
    if len(order):
        try:
            _look_at_all(dataset, found, order, None if full else time.monotonic() + MAX_TIME_S, full, progress)
        finally:  # after Ctrl-C too: what was seen need not be seen again
            if cache is not None:
                cache.save(found, dataset.ids)
    return found


def digests(dataset: Dataset, progress: Progress | None = None) -> dict[int, bytes]:
    """Return the digest of the pixels of every usable image, by its index: as in `scan`, but no more of arrays."""
    if isinstance(dataset.images, ArrayImages):
        found = Scan.empty(len(dataset))
        _digest_all(dataset, dataset.images, found)
    else:
        found = scan(dataset, progress=progress)
    return {int(index): found.digests[index].tobytes() for index in found.usable}


def _look_at_all(
    dataset: Dataset,
    found: Scan,
    order: npt.NDArray[np.intp],
    deadline: float | None,
    full: bool,
    progress: Progress | None,
) -> None:
    def work(start: int) -> int:
        late = deadline is not None and time.monotonic() > deadline
        chunk = order[start : start + CHUNK]
        for index in chunk:
            _look(dataset, found, int(index), header_only=late or (start >= MAX_DECODED and not full))
        return len(chunk)

    pool = ThreadPoolExecutor(num_cpus())
    try:
        with (progress or Progress("quiet")).bar("checking images", len(order)) as bar:
            for count in pool.map(work, range(0, len(order), CHUNK)):
                bar.advance(count)
    finally:
        pool.shutdown(cancel_futures=True)


def _look(dataset: Dataset, found: Scan, index: int, *, header_only: bool) -> None:
    """Fill row `index`; rows are separate, so threads do not meet."""
    images = dataset.images
    path = images.path(index)
    if path is None:
        pixels = images.read(index)
        if not found.is_decoded[index]:  # of arrays it is known
            found.probes[index] = Probe(mode=mode_of(dataset.channels), size_hw=pixels.shape[:2])
            found.digests[index] = np.frombuffer(bytes.fromhex(images.digest(index, MAX_DIGEST_BYTES)), dtype=np.uint8)
            found.is_decoded[index] = True
        if len(pixels) == 1:  # a series: nothing of it is seen in a thumb
            return
        found.thumbs[index], found.statistics[index] = _summary(pixels, pixels.shape[:2], 0)
        return
    if header_only:
        found.probes[index] = decode.header(path)
        return
    try:
        data = decode.read_bytes(path)
    except DataError as problem:
        found.probes[index] = Probe(problem=problem.what)
        return
    levels = images.levels if isinstance(images, FileImages) else FULL
    probe, decoded = decode.examine(
        data, name=path.name, channels=dataset.channels, short_side_px=SHORT_SIDE_PX, levels=levels
    )
    found.probes[index] = probe
    content = _digest(data, None if probe.used else decoded, probe.size_hw)
    found.digests[index] = np.frombuffer(content, dtype=np.uint8)
    if decoded is not None:
        found.thumbs[index], found.statistics[index] = _summary(decoded, probe.size_hw, len(data))
    found.is_decoded[index] = True  # last: an interrupted row is looked at again


def _digest_all(dataset: Dataset, images: ArrayImages, found: Scan) -> None:
    """Fill the digests of images in memory, 3 us each, and their probes, which are all the same."""
    array = images.array
    found.probes[:] = [Probe(mode=mode_of(dataset.channels), size_hw=array.shape[1:3])] * len(array)
    content = b"".join(_digest(b"", image, image.shape[:2]) for image in array)
    found.digests[:] = np.frombuffer(content, dtype=np.uint8).reshape(found.digests.shape)
    found.is_decoded[:] = True


def _digest(data: bytes, pixels: ImageU8 | None, size_hw: tuple[int, int]) -> bytes:
    """Return a digest of an image's pixels: equal for a PNG and a BMP of one image.

    Of the file's content where the pixels are not known, or only in part: a large JPEG is decoded at reduced size,
    and of 16 bits 8 are left, in which different images may be one.
    """
    if pixels is None or sorted(pixels.shape[:2]) != sorted(size_hw):
        return hashlib.blake2b(data, digest_size=16).digest()
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def _summary(pixels: ImageU8, size_hw: tuple[int, int], num_bytes: int) -> tuple[ImageU8, Sequence[float]]:
    """Return the grey thumbnail (32, 32) and the statistics of an image."""
    pixels = shown_bands(pixels)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    small = picture.resize((THUMB_PX, THUMB_PX), Image.Resampling.BILINEAR, reducing_gap=2.0)
    thumb = np.asarray(small.convert("L"))
    colour = np.asarray(small.convert("RGB")).reshape(-1, 3).mean(axis=0)
    ring = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    border = np.broadcast_to(ring.mean(axis=0), (3,))
    height, width = size_hw
    return thumb, (
        *(height, width, width / max(1, height), num_bytes / max(1, height * width)),
        *colour,
        thumb.std(),
        *border,
        ring.std(axis=0).mean(),
    )


class _Cache:
    """The scan of a root's files, kept by name, size and modification time."""

    def __init__(self, images: FileImages) -> None:
        key = (os.path.realpath(images.root), str(images.channels), str(VERSION), str(decode.VERSION))
        name = hashlib.sha256("\n".join(key).encode("utf-8", "surrogateescape")).hexdigest()[:24]
        self._path = cached("scans", f"{name}.npz")
        self._stamps = [images.stamp(index) for index in range(len(images))]
        self._names, self._old_stamps, self._old = _load(self._path)

    def fill(self, found: Scan, ids: Sequence[str]) -> npt.NDArray[np.intp]:
        """Copy what is known into `found` and return the indices of the rest."""
        row_of = {name: row for row, name in enumerate(self._names)}
        missing = []
        for index, name in enumerate(ids):
            row = row_of.get(name)
            if row is None or self._old_stamps[row] != self._stamps[index] or not self._old.is_decoded[row]:
                missing.append(index)
            else:
                found.copy_row(index, self._old, row)
        return np.array(missing, dtype=np.intp)

    def save(self, found: Scan, ids: Sequence[str]) -> None:
        """Write what was found, and what is known of other files below the same root; a read-only cache is no error."""
        known = set(ids)
        rows = [row for row, name in enumerate(self._names) if name not in known]
        texts = [[self._names[row], self._old_stamps[row], *astuple(self._old.probes[row])] for row in rows]
        for name, stamp, probe in zip(ids, self._stamps, found.probes, strict=True):
            texts.append([name, stamp, *astuple(probe)])
        buffer = io.BytesIO()
        np.savez(
            buffer,
            texts=np.frombuffer(json.dumps(texts).encode(), dtype=np.uint8),
            digests=np.concatenate([self._old.digests[rows], found.digests]),
            thumbs=np.concatenate([self._old.thumbs[rows], found.thumbs]),
            statistics=np.concatenate([self._old.statistics[rows], found.statistics]),
            is_decoded=np.concatenate([self._old.is_decoded[rows], found.is_decoded]),
        )
        with suppress(ResourceError, OSError):
            write_bytes(self._path, buffer.getvalue())


def _probe(values: Sequence[Any]) -> Probe:
    """A probe from JSON, which has lists for tuples."""
    plain: list[Any] = [tuple(value) if isinstance(value, list) else value for value in values]
    return Probe(*plain)


def _load(path: Path) -> tuple[list[str], list[str], Scan]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            rows = json.loads(archive["texts"].tobytes())
            probes = [_probe(row[2:]) for row in rows]
            found = Scan(probes, archive["digests"], archive["thumbs"], archive["statistics"], archive["is_decoded"])
        return [row[0] for row in rows], [row[1] for row in rows], found
    except Exception:  # missing or damaged: it can be made again
        return [], [], Scan.empty(0)
