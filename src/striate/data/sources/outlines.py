"""Masks that are drawn when they are read: polygons, run lengths and circles, as annotation files have them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.base.runs import covered_by

from ..sample import IGNORE, ImageU8
from ..target.extent import Points, fill


@dataclass(frozen=True)
class Outline:
    """One thing: its class and what it covers, polygons (P, 2) in pixels from the outer corner, or runs of pixels.

    `runs` are the lengths of 0, 1, 0, ... down the columns of the image. `area` decides what lies on top.
    """

    label: int
    area: float
    polygons: tuple[Points, ...] = ()
    runs: tuple[int, ...] = ()

    def draw(self, mask: npt.NDArray[np.uint8]) -> None:
        """Write the class into the pixels of a mask (H, W) that the thing covers."""
        for polygon in self.polygons:
            fill(mask, polygon, self.label)
        if self.runs:
            mask[covered_by(self.runs, mask.shape)] = self.label

    def to_bytes(self) -> bytes:
        """Return what a fingerprint must know."""
        points = b"".join(np.ascontiguousarray(polygon).tobytes() + b"\x1e" for polygon in self.polygons)
        return f"{self.label} {self.area:g} {self.runs}".encode() + points + b"\x1f"


@dataclass(frozen=True, repr=False)
class OutlineMasks:
    """Masks (H, W, 1) of outlines: background 0 below them, 255 of those that stand for many things, small ones on top.

    Args:
        sizes_hw: height and width of each.
        outlines: of each, in any order.
        file: the annotation file they come from.
    """

    sizes_hw: tuple[tuple[int, int], ...]
    outlines: tuple[tuple[Outline, ...], ...]
    file: Path

    def __len__(self) -> int:
        return len(self.sizes_hw)

    def __repr__(self) -> str:
        return f"OutlineMasks({len(self):,} masks of {str(self.file)!r})"

    def read(self, index: int, short_side_px: int | None = None) -> ImageU8:
        """Return a mask (H, W, 1), always at its full size."""
        mask = np.zeros(self.sizes_hw[index], np.uint8)
        for outline in sorted(self.outlines[index], key=lambda one: (one.label != IGNORE, -one.area)):
            outline.draw(mask)
        return mask[..., None]

    def rough_counts(self, index: int) -> npt.NDArray[np.int64]:
        """Return about how many pixels have each class (256,), by the areas; nothing is drawn."""
        found = np.zeros(256, np.int64)
        for outline in self.outlines[index]:
            found[outline.label] += int(outline.area)
        height, width = self.sizes_hw[index]
        found[0] += max(0, height * width - int(found.sum()))
        return found

    def size_hw(self, index: int) -> tuple[int, int]:
        """Return height and width of a mask."""
        return self.sizes_hw[index]

    def path(self, index: int) -> Path:
        """Return the annotation file."""
        return self.file

    def stamp(self, index: int) -> str:
        """Return a hash of the size and the outlines."""
        content = b"".join(outline.to_bytes() for outline in self.outlines[index])
        return hashlib.blake2b(repr(self.sizes_hw[index]).encode() + content, digest_size=16).hexdigest()

    def digest(self, index: int, max_bytes: int) -> str:
        """Return a hash of the size and the outlines."""
        return self.stamp(index)

    def num_bytes(self) -> int:
        """Return the size of the masks as they are drawn."""
        return sum(height * width for height, width in self.sizes_hw)

    def take(self, indices: Sequence[int] | npt.NDArray[np.intp]) -> "OutlineMasks":
        """Return some of the masks, in the order of `indices`."""
        sizes_hw = tuple(self.sizes_hw[index] for index in indices)
        return replace(self, sizes_hw=sizes_hw, outlines=tuple(self.outlines[index] for index in indices))
