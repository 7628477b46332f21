"""Where pictures live: files below a root, or one array in memory."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..decode import decode
from ..sample import ImageU8


@dataclass(frozen=True, repr=False)
class FileImages:
    """Pictures in files: `names` are paths relative to `root`; each is read as `channels` (1 grey, 3 RGB)."""

    root: Path
    names: tuple[str, ...]
    channels: int

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"FileImages({len(self):,} files below {str(self.root)!r}, {self.channels} channels)"

    def read(self, index: int, short_side_px: int | None = None) -> ImageU8:
        """Return picture `index` as (H, W, C) uint8, upright; see `Images.read`."""
        return decode(self.path(index), channels=self.channels, short_side_px=short_side_px)

    def path(self, index: int) -> Path:
        """Return the picture's file."""
        return self.root / self.names[index]

    def stamp(self, index: int) -> str:
        """Return size and modification time of the file, or "missing"."""
        try:
            status = self.path(index).stat()
        except OSError:
            return "missing"
        return f"{status.st_size}-{status.st_mtime_ns}"

    def take(self, indices: Sequence[int] | npt.NDArray[np.intp]) -> "FileImages":
        """Return some of the pictures, in the order of `indices`."""
        return FileImages(self.root, tuple(self.names[index] for index in indices), self.channels)


@dataclass(frozen=True, repr=False)
class ArrayImages:
    """Pictures of one size in memory: `array` is (N, H, W, C) uint8, C = 1 or 3."""

    array: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.array)

    def __repr__(self) -> str:
        return f"ArrayImages({' x '.join(str(side) for side in self.array.shape)})"

    def read(self, index: int, short_side_px: int | None = None) -> ImageU8:
        """Return picture `index` as (H, W, C) uint8, always at its full size."""
        return self.array[index]

    def path(self, index: int) -> None:
        """Return None: there is no file."""

    def stamp(self, index: int) -> str:
        """Return a hash of the pixels."""
        return hashlib.blake2b(self.array[index].tobytes(), digest_size=16).hexdigest()

    def take(self, indices: Sequence[int] | npt.NDArray[np.intp]) -> "ArrayImages":
        """Return some of the pictures, in the order of `indices`."""
        return ArrayImages(self.array[np.asarray(indices, dtype=np.intp)])
