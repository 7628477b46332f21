"""Images in memory, each of its own size: what masks and partners can be that are not in files."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from ..sample import ImageU8


@dataclass(frozen=True)
class ListImages:
    """Images in memory: `arrays` are (H, W, C) uint8, each of its own size."""

    arrays: tuple[ImageU8, ...]

    def __len__(self) -> int:
        return len(self.arrays)

    def read(self, index: int, short_side_px: int | None = None) -> ImageU8:
        """Return an image, always at its full size."""
        return self.arrays[index]

    def path(self, index: int) -> None:
        """Return None: there is no file."""

    def stamp(self, index: int) -> str:
        """Return a hash of the size and the pixels."""
        image = np.ascontiguousarray(self.arrays[index])
        return hashlib.blake2b(repr(image.shape).encode() + image.tobytes(), digest_size=16).hexdigest()

    def digest(self, index: int, max_bytes: int) -> str:
        """Return a hash of the size and the pixels, of all of them."""
        return self.stamp(index)

    def num_bytes(self) -> int:
        """Return the size of all arrays together."""
        return sum(image.nbytes for image in self.arrays)

    def take(self, indices: Sequence[int] | npt.NDArray[np.intp]) -> Self:
        """Return some of the images, in the order of `indices`."""
        return type(self)(tuple(self.arrays[index] for index in indices))
