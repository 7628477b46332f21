"""Masks that are drawn when they are read: polygons, run lengths and circles, as annotation files have them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..sample import IGNORE, ImageU8

Points = npt.NDArray[np.float64]


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


def fill(mask: npt.NDArray[np.uint8], polygon_xy: Points, value: int) -> None:
    """Write a value into the pixels whose centres lie inside a polygon (P, 2) by the even-odd rule.

    Example:
        >>> mask = np.zeros((3, 4), np.uint8)
        >>> fill(mask, np.array([[1.0, 0], [4, 0], [4, 2], [1, 2]]), 7)
        >>> mask.tolist()
        [[0, 7, 7, 7], [0, 7, 7, 7], [0, 0, 0, 0]]
    """
    height, width = mask.shape
    x0, y0 = polygon_xy.T
    x1, y1 = np.roll(polygon_xy, -1, axis=0).T
    top, bottom = (int(np.clip(np.ceil(y - 0.5), 0, height)) for y in (y0.min(), y0.max()))
    centre = np.arange(top, bottom)[:, None] + 0.5
    row, edge = np.nonzero((y0 <= centre) != (y1 <= centre))
    if not len(row):
        return
    share = (centre[row, 0] - y0[edge]) / (y1[edge] - y0[edge])
    column = np.ceil(x0[edge] + share * (x1[edge] - x0[edge]) - 0.5).clip(0, width).astype(np.intp)
    turns = np.zeros((bottom - top, width + 1), np.int32)
    np.add.at(turns, (row, column), 1)
    mask[top:bottom][(np.cumsum(turns, axis=1)[:, :width] & 1).astype(bool)] = value


def area_of(polygon_xy: Points) -> float:
    """Return the area of a polygon (P, 2) that does not cross itself.

    Example:
        >>> area_of(np.array([[0.0, 0], [4, 0], [4, 2]]))
        4.0
    """
    x, y = polygon_xy.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def covered_by(runs: Sequence[int], size_hw: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return the pixels (H, W) that run lengths cover: of 0 and 1 in turn, down the columns.

    Example:
        >>> covered_by((1, 2, 3), (2, 3)).astype(int).tolist()
        [[0, 1, 0], [1, 0, 0]]
    """
    is_covered = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return is_covered.reshape(size_hw[1], size_hw[0]).T


def run_lengths(text: str) -> list[int]:
    """Return the run lengths that COCO writes as a text: five bits a character, differences from the third on.

    Raises:
        ValueError: it ends inside a number, or has characters that none is written with.

    Example:
        >>> run_lengths("123")
        [1, 2, 3]
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"character {character!r}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        value -= (1 << shift) if bits & 16 else 0
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("it ends inside a number")
    return runs
