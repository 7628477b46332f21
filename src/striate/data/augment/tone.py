"""Tone operations: a table of 256 new levels for each image.

They act on the stored square before anything moves, so on whole levels and on the histogram of the whole image:
then a threshold that lies between two levels cannot fall differently on a CPU and on a GPU.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import cv2
import numpy as np
from pydantic import Field

from ..sample import ImageU8
from .effect import Effect, on, unless
from .operation import Draws, Numbers, Probability, between

if TYPE_CHECKING:
    import torch

Table = Any  # integers (..., 256) of numpy or of torch: `table` is written with what both have


class Tone(Effect):
    """An operation that gives every level a new one."""

    needs_counts: ClassVar[bool] = False

    def table(self, levels: Table, values: Any, counts: Table) -> Table:
        """Return the new levels (B, C or 1, 256).

        Args:
            levels: 0..255, (256,).
            values: (B, 1, 1) setting of each image.
            counts: (B, C, 256) pixels of each level, when the operation needs them.
        """
        raise NotImplementedError

    def on_cpu(self, picture: ImageU8, values: Numbers) -> ImageU8:
        """See `Effect.on_cpu`."""
        counts = None
        if self.needs_counts:
            channels = range(picture.shape[2])
            found = [cv2.calcHist([picture], [channel], None, [256], [0, 256]) for channel in channels]
            counts = np.stack([count.ravel() for count in found])[None].astype(np.int64)
        table = self.table(np.arange(256), values[:1].reshape(1, 1, 1), counts)[0]
        changed = cv2.LUT(picture, np.ascontiguousarray(table.T[None], np.uint8))
        return np.asarray(changed, np.uint8).reshape(picture.shape)

    def on_torch(self, pixels: "torch.Tensor", values: Numbers) -> "torch.Tensor":
        """See `Effect.on_torch`."""
        import torch

        found, counts = pixels.flatten(2).long(), None
        if self.needs_counts:
            counts = torch.zeros(*found.shape[:2], 256, dtype=torch.long, device=pixels.device)
            counts.scatter_add_(2, found, torch.ones_like(found))
        table = self.table(torch.arange(256, device=pixels.device), on(values[:, :1, None], pixels), counts)
        toned: torch.Tensor = table.expand(*found.shape[:2], 256).gather(2, found).to(pixels.dtype)
        return toned.view_as(pixels)


class Posterise(Tone):
    """With probability `p` keep only the upper bits of each level, as many as are drawn from min_bits..8."""

    kind: Literal["posterise"] = "posterise"
    min_bits: int = Field(4, ge=1, le=8)
    p: Probability = 0.5
    num_draws: ClassVar[int] = 2

    def values(self, draws: Draws) -> Numbers:
        """Return (B, 1) levels that become one."""
        bits = np.rint(between(8, self.min_bits, draws[:, 1]))
        return unless(draws[:, 0] >= self.p, 2 ** (8 - bits))

    def table(self, levels: Table, values: Any, counts: Table) -> Table:
        """See `Tone.table`."""
        return levels // values * values


class Solarise(Tone):
    """With probability `p` invert the levels from a threshold on, which is uniform in min_level..256."""

    kind: Literal["solarise"] = "solarise"
    min_level: int = Field(128, ge=0, le=256)
    p: Probability = 0.5
    num_draws: ClassVar[int] = 2

    def values(self, draws: Draws) -> Numbers:
        """Return (B, 1) thresholds."""
        return unless(draws[:, 0] >= self.p, between(256, self.min_level, draws[:, 1]))

    def table(self, levels: Table, values: Any, counts: Table) -> Table:
        """See `Tone.table`."""
        return levels + (levels >= values) * (255 - 2 * levels)


class Autocontrast(Tone):
    """With probability `p` stretch each channel so that its least level becomes 0 and its greatest 255."""

    kind: Literal["autocontrast"] = "autocontrast"
    p: Probability = 0.5
    needs_counts: ClassVar[bool] = True

    def values(self, draws: Draws) -> Numbers:
        """Return (B, 1) ones."""
        return unless(draws[:, 0] >= self.p, np.ones(len(draws)))

    def table(self, levels: Table, values: Any, counts: Table) -> Table:
        """See `Tone.table`."""
        low, high = _ends(counts)
        is_flat = (low == high) * 1
        stretched = ((levels - low) * 255 // (high - low + is_flat)).clip(0, 255)
        return stretched * (1 - is_flat) + levels * is_flat


class Equalise(Tone):
    """With probability `p` spread the levels of each channel so that all become about equally frequent."""

    kind: Literal["equalise"] = "equalise"
    p: Probability = 0.5
    needs_counts: ClassVar[bool] = True

    def values(self, draws: Draws) -> Numbers:
        """Return (B, 1) ones."""
        return unless(draws[:, 0] >= self.p, np.ones(len(draws)))

    def table(self, levels: Table, values: Any, counts: Table) -> Table:
        """See `Tone.table`."""
        last = (counts * (levels == _ends(counts)[1])).sum(-1)[..., None]
        step = (counts.sum(-1)[..., None] - last) // 255  # pixels a new level, the greatest one left out
        is_still = (step == 0) * 1
        below = counts.cumsum(-1) - counts
        spread = ((below + step // 2) // (step + is_still)).clip(0, 255)
        return spread * (1 - is_still) + levels * is_still


def _ends(counts: Table) -> tuple[Table, Table]:
    """Least and greatest level of each channel, (B, C, 1)."""
    below = counts.cumsum(-1)
    low = (below == 0).sum(-1)[..., None]
    return low, 256 - (below == below[..., -1:]).sum(-1)[..., None]
