"""Masks in files: the numbers of the classes as they are stored, not colours."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from striate.base.errors import DataError

from ..sample import ImageU8
from .images import FileImages

MODES = {"1", "L", "P", "I", "I;16"}
BROKEN = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # what Pillow raises of a broken file


@dataclass(frozen=True, repr=False)
class MaskFiles(FileImages):
    """Masks in files of one channel; of a palette image the indices are read, whatever their colours are.

    `classes` is the class of each stored number, for files that count from 1 or mark a border by 0, say; by default
    the number itself. It has at most 256 entries, 255 for what nobody knows.

    Example:
        >>> from pathlib import Path
        >>> MaskFiles(Path("trimaps"), ("cat.png",), 1, classes=(255, 0, 1)).read(0)  # doctest: +SKIP
    """

    classes: tuple[int, ...] | None = None

    def stamp(self, index: int) -> str:
        """Return a text that changes when the file does or is read as other classes."""
        return super().stamp(index) + self._mapping

    def digest(self, index: int, max_bytes: int) -> str:
        """Return a hash of the file's content and of the classes it is read as."""
        return super().digest(index, max_bytes) + self._mapping

    @property
    def _mapping(self) -> str:
        return f"-{self.classes}" if self.classes is not None else ""

    def read(self, index: int, short_side_px: int | None = None) -> ImageU8:
        """Return a mask (H, W, 1), always at its full size.

        Raises:
            DataError: the file cannot be read, is in colour, or holds a number without a class.
        """
        path = self.path(index)
        try:
            with Image.open(path) as opened:
                mode, levels = opened.mode, np.asarray(opened)
        except BROKEN as problem:
            raise DataError(f"the mask cannot be read ({str(problem)[:80]})", where=path, fix="replace it") from problem
        if mode not in MODES:
            fix = "save it as PNG with one channel, the number of the class in every pixel"
            raise DataError(f"a mask in colour ({mode}), which says no class", where=path, fix=fix)
        low, high = int(levels.min()), int(levels.max())
        most = 255 if self.classes is None else len(self.classes) - 1
        if low < 0 or high > most:
            what = f"the mask holds {low if low < 0 else high}; classes are 0 to {most}"
            raise DataError(what, where=path, fix="number the classes from 0, 255 for unknown")
        found = levels.astype(np.uint8)
        return (found if self.classes is None else np.array(self.classes, np.uint8)[found])[..., None]
