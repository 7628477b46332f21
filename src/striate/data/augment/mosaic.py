"""Mosaic: four images of a batch in one, each shrunk into a quarter of it, and their boxes with them."""

from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from striate.base.size import SizeHW

from .effect import on, sent
from .operation import Draws, Numbers, Operation, Probability

if TYPE_CHECKING:
    import torch

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float32]


class Mosaic(Operation):
    """With probability `p` four images of the batch in one, around a cross whose middle is drawn.

    Each fills its quarter without being stretched: it is shrunk until it covers it, and what is over is cut. `range` is
    where the middle lies, as a share of either side. The own image is at the top left; the others are those behind it
    in the cycle of the batch, so partners depend on who is in the batch, as those of mixup do.

    Reference: Bochkovskiy et al., YOLOv4, 2020, section 3.3.
    """

    kind: Literal["mosaic"] = "mosaic"
    p: Probability = 0.5
    low: float = Field(0.35, gt=0, lt=1)
    high: float = Field(0.65, gt=0, lt=1)
    num_draws: ClassVar[int] = 4
    way: ClassVar[str] = "tile"


@dataclass(frozen=True)
class Tiles:
    """Which images of a batch are made of four.

    Args:
        cycle: (B,) rows of the batch in the order in which they follow each other.
        is_tiled: (B,) whether a row is made of four; the others stay.
        middle: (B, 2) xy of the cross, whole pixels.
        size_hw: height and width of the images.
    """

    cycle: Rows
    is_tiled: npt.NDArray[np.bool_]
    middle: npt.NDArray[np.int64]
    size_hw: SizeHW

    @property
    def sources(self) -> Rows:
        """(B, 4) the row that fills each quarter: top left (itself), top right, bottom left, bottom right."""
        found = np.empty((len(self.cycle), 4), np.intp)
        for step in range(4):
            found[self.cycle, step] = np.roll(self.cycle, -step)
        return found

    @property
    def spots(self) -> npt.NDArray[np.int64]:
        """(B, 4, 4) xyxy pixels of the quarters."""
        height, width = self.size_hw
        x, y = self.middle.T
        none, right, bottom = np.zeros_like(x), np.full_like(x, width), np.full_like(y, height)
        quarters = ((none, none, x, y), (x, none, right, y), (none, y, x, bottom), (x, y, right, bottom))
        return np.stack([np.stack(sides, axis=1) for sides in quarters], axis=1)

    @property
    def matrices(self) -> Numbers:
        """(B, 4, 3) scale and shift (x, y) from an image to its quarter, in pixels from the outer corner."""
        height, width = self.size_hw
        spots = self.spots.astype(np.float64)
        sides = spots[..., 2:] - spots[..., :2]
        scale = (sides / [width, height]).max(-1)
        shift = (spots[..., :2] + spots[..., 2:]) / 2 - scale[..., None] * np.array([width, height]) / 2
        return np.concatenate([scale[..., None], shift], axis=-1)


def draw_mosaic(op: Mosaic, draws: Draws, size_hw: SizeHW) -> Tiles:
    """Return what an operation and its draws (B, 4) make of a batch."""
    sides = np.array(size_hw[::-1])
    middle = np.rint((op.low + (op.high - op.low) * draws[:, 2:4].astype(np.float64)) * sides).astype(np.int64)
    cycle = np.argsort(draws[:, 0], kind="stable")
    return Tiles(cycle, draws[:, 1] < op.p, middle.clip(1, np.maximum(1, sides - 1)), size_hw)


def tile_cpu(pixels: Pixels, tiles: Tiles, pool: Executor | None, parts: int) -> Pixels:
    """Return images (B, H, W, C), those that are made of four in place of themselves."""
    found = pixels.copy()
    sources, spots, matrices, rows = tiles.sources, tiles.spots, tiles.matrices, np.flatnonzero(tiles.is_tiled)

    def work(start: int, end: int) -> None:
        for row in rows[start:end]:
            for source, (left, top, right, bottom), (scale, x, y) in zip(
                sources[row], spots[row], matrices[row], strict=True
            ):
                # from a pixel's centre in the quarter to one in the image
                shift = [(left + 0.5 - x) / scale - 0.5, (top + 0.5 - y) / scale - 0.5]
                matrix = np.array([[1 / scale, 0, shift[0]], [0, 1 / scale, shift[1]]])
                flags, size = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, (int(right - left), int(bottom - top))
                part = cv2.warpAffine(pixels[source], matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
                found[row, top:bottom, left:right] = part.reshape(*part.shape[:2], pixels.shape[3])

    parts = parts if pool else 1
    edges = [len(rows) * part // parts for part in range(parts + 1)]
    if pool is None:
        work(0, len(rows))
    else:
        for future in [pool.submit(work, *piece) for piece in pairwise(edges)]:
            future.result()
    pixels[...] = found
    return pixels


def tile_torch(pixels: "torch.Tensor", tiles: Tiles) -> "torch.Tensor":
    """Return images (B, C, H, W) as `tile_cpu` makes them, on their device."""
    import torch

    height, width = pixels.shape[2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=pixels.device) + 0.5, torch.arange(width, device=pixels.device) + 0.5, indexing="ij"
    )
    found = pixels.clone()
    sources = sent(torch.from_numpy(tiles.sources), pixels)
    matrices, spots = on(tiles.matrices, pixels), on(tiles.spots, pixels)
    is_tiled = on(tiles.is_tiled, pixels).bool()
    for quarter in range(4):
        scale, shift_x, shift_y = (part[:, None, None] for part in matrices[:, quarter].unbind(1))
        grid = torch.stack([2 * (x - shift_x) / scale / width - 1, 2 * (y - shift_y) / scale / height - 1], dim=-1)
        own = pixels[sources[:, quarter]]
        moved = torch.nn.functional.grid_sample(own, grid, padding_mode="border", align_corners=False)
        left, top, right, bottom = (edge[:, None, None] for edge in spots[:, quarter].unbind(1))
        is_here = (x >= left) & (x < right) & (y >= top) & (y < bottom) & is_tiled[:, None, None]
        found = torch.where(is_here[:, None], moved, found)
    return found


def tile_boxes(whole_xyxy: Floats, seen_xyxy: Floats, rows: Rows, tiles: Tiles) -> tuple[Floats, Floats, Rows, Rows]:
    """Return the boxes of images as they are shown when some images are made of four.

    Args:
        whole_xyxy: (T, 4) in output pixels, beyond the output too.
        seen_xyxy: (T, 4) the parts of them in the output.
        rows: (T,) the row of the batch that each belongs to, ascending.

    Returns:
        The whole boxes (M, 4), the parts of them that are seen (M, 4), the row of the batch that shows each (M,),
        ascending, and which of the T boxes it is (M,).
    """
    from ..target.rows import rows_of

    starts = np.searchsorted(rows, np.arange(len(tiles.cycle) + 1))
    parts = [(row, part) for row in range(len(tiles.cycle)) for part in range(4 if tiles.is_tiled[row] else 1)]
    row, quarter = np.array(parts, np.intp).reshape(-1, 2).T
    is_tiled = tiles.is_tiled[row]
    source = np.where(is_tiled, tiles.sources[row, quarter], row)
    index, lengths = rows_of(starts.astype(np.int64), source)
    again = np.repeat(np.arange(len(row)), lengths)
    row, quarter, is_tiled = row[again], quarter[again], is_tiled[again]
    scale, shift = tiles.matrices[row, quarter, :1], np.tile(tiles.matrices[row, quarter, 1:], 2)
    both = (xyxy[index] for xyxy in (whole_xyxy, seen_xyxy))
    whole, seen = (np.where(is_tiled[:, None], xyxy * scale + shift, xyxy) for xyxy in both)
    frame = np.where(is_tiled[:, None], tiles.spots[row, quarter], [0, 0, *tiles.size_hw[::-1]])
    seen = np.clip(seen, np.tile(frame[:, :2], 2), np.tile(frame[:, 2:], 2))
    return whole.astype(np.float32), seen.astype(np.float32), row, index
