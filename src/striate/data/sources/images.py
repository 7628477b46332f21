"""Where images live: files below a root, or one array in memory."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..bands import in_depth
from ..decode import decode, decode_samples, read_bytes
from ..levels import FULL, Levels, to_sixteen, words
from ..raster import Samples
from ..sample import ImageU8

KNOWS_CHANGES = os.name == "posix"  # the system keeps when a file was last changed, in any way
NUM_PIECES = 16  # of a file that is too large to be read whole for its digest


@dataclass(frozen=True, repr=False)
class FileImages:
    """Images in files: `names` are paths relative to `root`; each is read as `channels` (1 grey, 3 RGB, or more).

    `levels` of images with 16 bits become 0 and 255.
    """

    root: Path
    names: tuple[str, ...]
    channels: int
    known: dict[tuple[str, str, int], str] = field(default_factory=dict, compare=False)  # digests of files seen before
    levels: Levels = FULL

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"FileImages({len(self):,} files below {str(self.root)!r}, {self.channels} channels)"

    def read(self, index: int, short_side_px: int | None = None) -> ImageU8:
        """Return image `index` as (H, W, C) uint8, upright; see `Images.read`."""
        return decode(self.path(index), channels=self.channels, short_side_px=short_side_px, levels=self.levels)

    def read_samples(self, index: int, short_side_px: int | None, depth: int) -> Samples:
        """Return image `index` as `read` does, in a depth of 8 or 16 bits."""
        path = self.path(index)
        data, channels, levels = read_bytes(path), self.channels, self.levels
        return decode_samples(
            data, depth, name=str(path), channels=channels, short_side_px=short_side_px, levels=levels
        )[0]

    def path(self, index: int) -> Path:
        """Return the image's file."""
        return self.root / self.names[index]

    def stamp(self, index: int) -> str:
        """Return a text that changes when the file is changed or replaced or read by other levels, or "missing".

        Size and modification time can be what they were; the time of the last change of any kind (ctime) and the inode
        are set by the system alone. Windows has no such time: there 64 KiB of the content stand for it.
        """
        try:
            status = self.path(index).stat()
        except OSError:
            return "missing"
        rest = f"{status.st_ctime_ns}-{status.st_ino}" if KNOWS_CHANGES else _digest(self.path(index), 1 << 16)
        levels = "" if self.levels == FULL else f"-{words(self.levels)}"
        return f"{status.st_size}-{status.st_mtime_ns}-{rest}{levels}"

    def digest(self, index: int, max_bytes: int) -> str:
        """Return a hash of the file's content, or of `max_bytes` of it in 16 pieces from first to last byte."""
        key = (self.names[index], self.stamp(index), max_bytes)
        if key not in self.known:
            self.known[key] = _digest(self.path(index), max_bytes)
        return self.known[key]

    def num_bytes(self) -> int:
        """Return the size of all files together; a missing one has none."""
        return sum(_size(self.path(index)) for index in range(len(self)))

    def in_channels(self, channels: int) -> "FileImages":
        """Return the same images, read as 1 (grey) or 3 (RGB) channels."""
        return replace(self, channels=channels)

    def take(self, indices: Sequence[int] | npt.NDArray[np.intp]) -> "FileImages":
        """Return some of the images, in the order of `indices`."""
        return replace(self, names=tuple(self.names[index] for index in indices))


@dataclass(frozen=True, repr=False)
class ArrayImages:
    """Images of one size in memory: `array` is (N, H, W, C) uint8.

    Of images that had 16 bits, `levels` became 0 and 255, `used` are the lowest and highest level, and `deep` (N, H, W,
    C) uint16 is what they were.
    """

    array: npt.NDArray[np.uint8]
    levels: Levels = FULL
    used: Levels | None = None
    deep: npt.NDArray[np.uint16] | None = None

    def __len__(self) -> int:
        return len(self.array)

    def __repr__(self) -> str:
        return f"ArrayImages({' x '.join(str(side) for side in self.array.shape)})"

    def read(self, index: int, short_side_px: int | None = None) -> ImageU8:
        """Return image `index` as (H, W, C) uint8, always at its full size."""
        return np.asarray(self.array[index])

    def read_samples(self, index: int, short_side_px: int | None, depth: int) -> Samples:
        """Return image `index` as `read` does, in a depth of 8 or 16 bits."""
        if depth == 8 or self.deep is None:
            return in_depth(self.array[index], depth)
        return to_sixteen(self.deep[index], self.levels if self.used else FULL)

    def path(self, index: int) -> None:
        """Return None: there is no file."""

    def stamp(self, index: int) -> str:
        """Return a hash of the pixels."""
        pixels = self.array if self.deep is None else self.deep
        return hashlib.blake2b(pixels[index].tobytes(), digest_size=16).hexdigest()

    def digest(self, index: int, max_bytes: int) -> str:
        """Return a hash of the pixels in eight bits, of all of them."""
        return hashlib.blake2b(self.array[index].tobytes(), digest_size=16).hexdigest()

    def num_bytes(self) -> int:
        """Return the size of the array."""
        return self.array.nbytes

    def in_channels(self, channels: int) -> "ArrayImages":
        """Return the same images in 1 (grey) or 3 (RGB) channels, or the first of more."""
        from ..geometry import coloured  # brings OpenCV, which opening a dataset does without

        deep = None if self.deep is None else np.stack([coloured(image, channels) for image in self.deep])
        return replace(self, array=np.stack([coloured(image, channels) for image in self.array]), deep=deep)

    def take(self, indices: Sequence[int] | npt.NDArray[np.intp]) -> "ArrayImages":
        """Return some of the images, in the order of `indices`."""
        chosen = np.asarray(indices, dtype=np.intp)
        return replace(self, array=self.array[chosen], deep=None if self.deep is None else self.deep[chosen])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _digest(path: Path, max_bytes: int) -> str:
    digest, size = hashlib.blake2b(digest_size=16), _size(path)
    if not path.is_file():  # a pipe may never end
        return "missing"
    digest.update(str(size).encode())
    try:
        with path.open("rb", buffering=0) as file:
            if size <= max_bytes:
                digest.update(file.read())
                return digest.hexdigest()
            piece = max_bytes // NUM_PIECES
            for place in range(NUM_PIECES):
                file.seek((size - piece) * place // (NUM_PIECES - 1))
                digest.update(file.read(piece))
    except OSError as problem:
        return f"unreadable: {problem.errno}"
    return digest.hexdigest()
