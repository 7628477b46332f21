"""Masks in files: levels, indices of a palette or colours, read as the classes that they mean."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..sample import ImageU8
from ..upright import upright
from .images import FileImages
from .mask_coding import LEVELS, Coding, read_stored
from .mask_scan import Tally

UNTURNED = 4  # EXIF orientations up to this one leave width and height as they are


@dataclass(frozen=True, repr=False)
class MaskFiles(FileImages):
    """Masks in files, each read by a coding; by default the stored number is the class.

    Args:
        coding: which class each stored value means.
        turns: the EXIF orientation of each image whose mask lies as the image does in its file; by default 1.
        tallies: what is known of each file that was read before.

    Example:
        >>> from pathlib import Path
        >>> trimaps = MaskFiles(Path("trimaps"), ("cat.png",), 1, coding=Coding.of_levels((255, 0, 1)))
        >>> trimaps.read(0)  # doctest: +SKIP
    """

    coding: Coding = LEVELS
    turns: tuple[int, ...] = ()
    tallies: tuple[Tally, ...] = ()

    def stamp(self, index: int) -> str:
        """Return a text that changes when the file does or is read as other classes."""
        return super().stamp(index) + self._reading(index)

    def digest(self, index: int, max_bytes: int) -> str:
        """Return a hash of the file's content and of the classes it is read as."""
        return super().digest(index, max_bytes) + self._reading(index)

    def _reading(self, index: int) -> str:
        turn = f"-{self.turns[index]}" if self.turns else ""
        return turn + (f"-{self.coding}" if self.coding != LEVELS else "")

    def read(self, index: int, short_side_px: int | None = None) -> ImageU8:
        """Return a mask (H, W, 1), always at its full size.

        Raises:
            DataError: the file cannot be read, is in colour, or holds a value without a class.
        """
        path = self.path(index)
        found = self.coding.apply(read_stored(path, self.coding.is_colour), path)[..., None]
        return np.ascontiguousarray(upright(found, self.turns[index])) if self.turns else found

    def class_counts(self, index: int) -> npt.NDArray[np.int64]:
        """Return how many pixels have each class (256,); a file that was counted when it was opened is not read again.

        Raises:
            DataError: see `read`.
        """
        tally = self.tallies[index] if self.tallies else None
        if tally is None or tally.problem or not all(map(self.coding.knows, tally.values)):
            return np.bincount(self.read(index).ravel(), minlength=256)
        found = np.zeros(256, np.int64)
        np.add.at(found, self.coding.apply(np.array(tally.values, np.int64)), np.array(tally.counts, np.int64))
        return found

    def size_hw(self, index: int) -> tuple[int, int]:
        """Return height and width of a mask.

        Raises:
            DataError: see `read`.
        """
        if not self.tallies or self.tallies[index].problem:
            height, width = self.read(index).shape[:2]
            return height, width
        height, width = self.tallies[index].size_hw
        return (width, height) if self.turns and self.turns[index] > UNTURNED else (height, width)

    def take(self, indices: Sequence[int] | npt.NDArray[np.intp]) -> "MaskFiles":
        """Return some of the masks, in the order of `indices`."""
        turns = tuple(self.turns[index] for index in indices) if self.turns else ()
        tallies = tuple(self.tallies[index] for index in indices) if self.tallies else ()
        return replace(self, names=tuple(self.names[index] for index in indices), turns=turns, tallies=tallies)
