"""What an object covers of its image: polygons or run lengths, from which a mask is drawn where one is needed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from striate.base.runs import Bits, covered_by, runs_of

from ..upright import turned_points, upright

Points = npt.NDArray[np.float64]
GRID = 56  # cells a side in which a batch has an object's mask: twice those that mask heads answer in


@dataclass(frozen=True)
class Extent:
    """The pixels of an image of `size_hw` that an object covers.

    Args:
        polygons: (P, 2) each, in pixels from the outer corner; a pixel is covered whose centre lies in one of them.
        runs: lengths of 0, 1, 0, ... down the columns of the image.
    """

    size_hw: tuple[int, int]
    polygons: tuple[Points, ...] = ()
    runs: tuple[int, ...] = ()

    @classmethod
    def of(cls, mask: npt.NDArray[np.generic]) -> "Extent":
        """Return that of a mask (H, W)."""
        return cls((mask.shape[0], mask.shape[1]), runs=tuple(runs_of(mask)))

    def mask(self) -> Bits:
        """Return the pixels (H, W) that are covered."""
        if self.runs:
            return covered_by(self.runs, self.size_hw)
        mask = np.zeros(self.size_hw, np.uint8)
        for polygon in self.polygons:
            fill(mask, polygon, 1)
        return mask.astype(bool)

    def turned(self, orientation: int) -> "Extent":
        """Return what it is in the upright image, of one that lies by an EXIF orientation."""
        if self.runs:
            return Extent.of(upright(self.mask()[..., None], orientation)[..., 0])
        size_hw = self.size_hw[::-1] if orientation > 4 else self.size_hw
        return replace(
            self,
            size_hw=size_hw,
            polygons=tuple(turned_points(one, orientation, self.size_hw) for one in self.polygons),
        )

    def to_bytes(self) -> bytes:
        """Return what a fingerprint must know."""
        points = b"".join(np.ascontiguousarray(polygon).tobytes() + b"\x1e" for polygon in self.polygons)
        return f"{self.size_hw} {self.runs}".encode() + points + b"\x1f"


def sampled(extents: Sequence[Extent], points_xy: Points) -> npt.NDArray[np.uint8]:
    """Return 1 where T objects cover points (T, P, 2) of their images, pixels from the outer corner, else 0 (T, P)."""
    found = np.zeros(points_xy.shape[:2], np.uint8)
    for row, (extent, points) in enumerate(zip(extents, points_xy, strict=True)):
        mask, (x, y) = extent.mask(), np.floor(points).astype(np.intp).T
        is_inside = (x >= 0) & (y >= 0) & (x < mask.shape[1]) & (y < mask.shape[0])
        found[row, is_inside] = mask[y[is_inside], x[is_inside]]
    return found


def cells(xyxy: npt.NDArray[np.floating]) -> Points:
    """Return the middles (T, GRID * GRID, 2) of the cells that boxes (T, 4) are divided into, row by row."""
    share = (np.arange(GRID) + 0.5) / GRID
    low, sides = xyxy[:, None, :2], (xyxy[:, 2:] - xyxy[:, :2])[:, None]
    y, x = np.meshgrid(share, share, indexing="ij")
    return np.asarray(low + sides * np.stack([x.ravel(), y.ravel()], 1), np.float64)


def of_cells(mask: npt.NDArray[np.uint8], xyxy: npt.NDArray[np.floating], size_hw: Sequence[int]) -> Extent:
    """Return what is covered of an image of `size_hw`, by the nearest of the cells (GRID, GRID) of a box (4,)."""
    left, top, right, bottom = np.rint(xyxy).astype(int).tolist()
    found = np.zeros(tuple(size_hw), bool)
    rows, columns = (
        ((np.arange(low, high) + 0.5 - low) / max(1, high - low) * GRID).astype(np.intp)
        for low, high in ((top, bottom), (left, right))
    )
    found[top:bottom, left:right] = mask[rows[:, None], columns]
    return Extent.of(found)


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
