"""What is stored in a mask file, and which class each stored value means."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from striate.base.errors import DataError

from ..decode_reason import reason_of
from ..sample import IGNORE, ImageU8

BROKEN = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # what Pillow raises of a broken file
GREY_MODES, COLOUR_MODES = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"}, {"RGB", "RGBA", "P", "PA", "CMYK"}
FIX_UNKNOWN = "name its class in the list of classes, or leave it out of loss and scores: --ignore {}"
Stored = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Coding:
    """Which class each stored value of a mask means.

    Args:
        values: stored, ascending: levels, indices of a palette, or colours as 0xRRGGBB.
        classes: of each value, 255 where nobody knows.
        is_colour: whether values are colours.
        threshold: levels from this one on are the second of two classes, those below the first: 128 of black and white
            with blurred rims, 1 of numbered objects. There are no `values` then.
    """

    values: tuple[int, ...]
    classes: tuple[int, ...]
    is_colour: bool = False
    threshold: int | None = None

    @classmethod
    def of_levels(cls, classes: Sequence[int]) -> "Coding":
        """Return the coding of the levels 0, 1, 2, ... that mean these classes.

        Example:
            >>> Coding.of_levels((255, 0, 1)).apply(np.array([[1, 2], [0, 1]])).tolist()
            [[0, 1], [255, 0]]
        """
        return cls(tuple(range(len(classes))), tuple(classes))

    def apply(self, stored: npt.NDArray[np.integer], where: object = "") -> npt.NDArray[np.uint8]:
        """Return the class of each stored value, in the shape of `stored`.

        Raises:
            DataError: a value has none; the message has the first such pixel.
        """
        if self.threshold is not None:
            return np.array(self.classes, np.uint8)[(stored >= self.threshold).astype(np.intp)]
        found = self._looked_up(stored)
        if (found < 0).any():
            place = np.unravel_index(int((found < 0).argmax()), found.shape)
            value = self.text(int(stored[place]))
            at = f" (row {place[0]}, column {place[1]})" if len(place) == 2 else ""
            what = f"the mask holds {value}{at}, which is none of its {len(set(self.classes) - {IGNORE})} classes"
            raise DataError(what, where=where, fix=FIX_UNKNOWN.format(value))
        return found.astype(np.uint8)

    def knows(self, value: int) -> bool:
        """Return whether a stored value has a class."""
        return self.threshold is not None or value in self.values

    def text(self, value: int) -> str:
        """Return a stored value as a person writes it: a number, or a colour such as #8040ff."""
        return f"#{value:06x}" if self.is_colour else str(value)

    def renumbered(self, classes: Sequence[int]) -> "Coding":
        """Return the coding whose class k is `classes[k]`; 255 stays."""
        table = [*classes, *[IGNORE] * (IGNORE + 1 - len(classes))]
        return replace(self, classes=tuple(table[one] for one in self.classes))

    def _looked_up(self, stored: npt.NDArray[np.integer]) -> npt.NDArray[np.int16]:
        """The class of each value, -1 where it has none."""
        if stored.dtype == np.uint8:
            table = np.full(256, -1, np.int16)
            known = [(value, one) for value, one in zip(self.values, self.classes, strict=True) if value < 256]
            for value, one in known:
                table[value] = one
            return np.asarray(table[stored])
        values = np.array(self.values, np.int64)
        place = np.searchsorted(values, stored).clip(0, len(values) - 1)
        return np.where(values[place] == stored, np.array(self.classes, np.int16)[place], np.int16(-1))


LEVELS = Coding.of_levels(range(IGNORE + 1))  # the stored number itself


def read_stored(path: Path, is_colour: bool = False) -> npt.NDArray[np.integer]:
    """Return what a mask file holds (H, W): levels or indices of a palette, or colours as 0xRRGGBB.

    Raises:
        DataError: the file cannot be read, or is in colour where levels are wanted.
    """
    try:
        with Image.open(path) as opened:
            mode = opened.mode
            pixels = np.asarray(opened.convert("RGB") if is_colour or mode not in {*GREY_MODES, "P"} else opened)
    except BROKEN as problem:
        raise DataError(f"the mask cannot be read ({reason_of(problem)})", where=path, fix="replace it") from problem
    if mode not in GREY_MODES | COLOUR_MODES:
        fix = "save it as PNG with one channel, the number of the class in every pixel"
        raise DataError(f"a mask of {mode} pixels, which say no class", where=path, fix=fix)
    if pixels.ndim == 2:
        return pixels.astype(np.uint8) if pixels.dtype == bool else pixels
    if mode == "LA" and not is_colour:
        return pixels[..., 0]
    if is_colour:
        return packed(pixels)
    if (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all():
        return pixels[..., 0]
    fix = "save it as PNG with one channel, the number of the class in every pixel"
    raise DataError(f"a mask in colour ({mode}), which says no class", where=path, fix=fix)


def packed(pixels: ImageU8) -> Stored:
    """Return RGB pixels (..., 3) as 0xRRGGBB.

    Example:
        >>> packed(np.array([[255, 0, 16]], np.uint8)).tolist() == [0xFF0010]
        True
    """
    wide = pixels.astype(np.int64)
    return np.asarray((wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2])
