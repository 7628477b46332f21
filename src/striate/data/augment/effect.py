"""Operations that no matrix expresses: they are applied image by image, to whom they are drawn for."""

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from ..sample import ImageU8
from .operation import Draws, Numbers, Operation

if TYPE_CHECKING:
    import torch


class Effect(Operation):
    """An operation on levels 0..255, written twice: for one image with OpenCV, for a batch with torch."""

    def values(self, draws: Draws) -> Numbers:
        """Return (B, V) settings of each image; NaN in the first column leaves an image as it is."""
        raise NotImplementedError

    def on_cpu(self, picture: ImageU8, values: Numbers) -> ImageU8:
        """Return the changed copy of an image (H, W) or (H, W, C) for values (V,)."""
        raise NotImplementedError

    def on_torch(self, pixels: "torch.Tensor", values: Numbers) -> "torch.Tensor":
        """Return changed pixels (B, C, H, W), whole levels in float32, for values (B, V) without NaN."""
        raise NotImplementedError


Drawn: TypeAlias = tuple[tuple[Effect, Numbers], ...]


def where_drawn(effects: Drawn, row: int, picture: ImageU8) -> ImageU8:
    """Return an image after the effects that row `row` of each of them asks for."""
    for effect, values in effects:
        if values[row, 0] == values[row, 0]:  # not NaN
            picture = effect.on_cpu(picture, values[row])
    return picture


def where_drawn_torch(effects: Drawn, pixels: "torch.Tensor", *, has_fractions: bool = False) -> "torch.Tensor":
    """Return pixels (B, C, H, W), levels 0..255, after the effects drawn for each image.

    Args:
        has_fractions: of levels, which eight bits do not have.
    """
    import torch

    for effect, values in effects:
        is_drawn = ~np.isnan(values[:, 0])
        if is_drawn.any():
            rows = sent(torch.from_numpy(np.flatnonzero(is_drawn)), pixels)
            chosen = pixels[rows] if has_fractions else pixels[rows].round()
            pixels = pixels.index_copy(0, rows, effect.on_torch(chosen, values[is_drawn]))
    return pixels


def on(values: npt.NDArray[np.generic], like: "torch.Tensor") -> "torch.Tensor":
    """Return a small table as float32 on the device."""
    import torch

    return sent(torch.from_numpy(np.ascontiguousarray(values, np.float32)), like)


def sent(table: "torch.Tensor", like: "torch.Tensor") -> "torch.Tensor":
    """Return a table on the device of `like`; pinned, so that the copy does not wait."""
    return table.pin_memory().to(like.device, non_blocking=True) if like.is_cuda else table.to(like.device)


def unless(is_off: npt.NDArray[np.bool_], *columns: Numbers) -> Numbers:
    """Return columns (B,) side by side, NaN in the first where `is_off`."""
    return np.stack([np.where(is_off, np.nan, columns[0]), *columns[1:]], axis=1)
