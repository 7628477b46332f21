"""Mixing: every image of a batch with another one of it, and their targets in the same shares."""

import math
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from striate.base.errors import SettingsError
from striate.base.seeds import rng_for
from striate.base.size import SizeHW

from .effect import on, sent
from .mosaic import Mosaic
from .operation import Draws, Numbers, Operation, Probability

if TYPE_CHECKING:
    import torch

    from ..target import Target

Boxes = npt.NDArray[np.int32]
Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


class Mixing(Operation):
    """An operation on the images of a batch. Draws: place in the cycle of partners, chance, share, box (x, y)."""

    alpha: float = Field(1.0, gt=0, le=100)
    p: Probability = 1.0
    num_draws: ClassVar[int] = 5
    way: ClassVar[str]  # "blend" or "paste": a target says in which ways it can be mixed

    def draw(self, num_samples: int, seed: int, epoch: int, place: int) -> Draws:
        """Return (num_samples, 5); the third column is Beta(alpha, alpha), the others are uniform."""
        found = super().draw(num_samples, seed, epoch, place)
        found[:, 2] = rng_for(seed, "mix", epoch, place).beta(self.alpha, self.alpha, num_samples)
        return found


class Mixup(Mixing):
    """With probability `p` the image times a share plus another image of the batch times the rest.

    The share is Beta(alpha, alpha), drawn for each image. Several mixing operations of a pipeline never meet in one
    image: a later one takes what the earlier ones left. `[mixup(p=0.5), cutmix()]` is half of each.

    Reference: Zhang et al., mixup: beyond empirical risk minimization, 2017.
    """

    kind: Literal["mixup"] = "mixup"
    alpha: float = Field(0.2, gt=0, le=100)
    way: ClassVar[str] = "blend"


class Cutmix(Mixing):
    """With probability `p` a box of the image shows what another image of the batch has there.

    The box has the image's aspect and the area 1 - share, with the share Beta(alpha, alpha). Its centre is uniform,
    and what is beyond the border is cut. Targets mix by the pixels that are seen.

    Reference: Yun et al., CutMix, 2019.
    """

    kind: Literal["cutmix"] = "cutmix"
    way: ClassVar[str] = "paste"


@dataclass(frozen=True)
class Mix:
    """Who is mixed with whom, and how.

    Args:
        cycle: (B,) rows of the batch; each has the one after it as its partner, the last the first.
        weight: (B,) share of the own image in every pixel; 1 where a box is pasted.
        boxes: (B, 4) xyxy pixels that show the partner; empty where none is.
        size_hw: height and width of the images.
    """

    cycle: npt.NDArray[np.intp]
    weight: Numbers
    boxes: Boxes
    size_hw: SizeHW

    @property
    def partner(self) -> npt.NDArray[np.intp]:
        """(B,) row that each row is mixed with."""
        found = np.empty_like(self.cycle)
        found[self.cycle] = np.roll(self.cycle, -1)
        return found

    @property
    def share(self) -> npt.NDArray[np.float32]:
        """(B,) share of the own image in all pixels, and so in the target."""
        width, height = (self.boxes[:, 2:] - self.boxes[:, :2]).T
        return np.asarray((self.weight * (1 - width * height / math.prod(self.size_hw))).astype(np.float32))


def draw_mix(drawn: list[tuple[Mixing, Draws]], size_hw: SizeHW) -> Mix | None:
    """Return how the rows of a batch are mixed by operations and their draws (B, 5); None without operations.

    The cycle follows a drawn number of each sample, so it depends on who is in the batch, not on their order.
    """
    if not drawn:
        return None
    num = len(drawn[0][1])
    is_left, weight, boxes = np.ones(num, bool), np.ones(num), np.zeros((num, 4), np.int32)
    for op, draws in drawn:
        taken = is_left & (draws[:, 1] < op.p)
        is_left &= ~taken
        if isinstance(op, Cutmix):
            boxes[taken] = boxes_of(draws[taken], size_hw)
        else:
            weight[taken] = draws[taken, 2]
    return Mix(np.argsort(drawn[0][1][:, 0], kind="stable"), weight, boxes, size_hw)


def boxes_of(draws: Draws, size_hw: SizeHW) -> Boxes:
    """Return (B, 4) xyxy pixels of the boxes that cutmix pastes."""
    width_height = np.array(size_hw[::-1])
    half = np.rint(np.sqrt(1 - draws[:, 2:3].astype(np.float64)) * width_height) / 2
    centre = draws[:, 3:].astype(np.float64) * width_height
    edges = np.rint(np.concatenate([centre - half, centre + half], axis=1))
    return np.asarray(edges.clip(0, np.tile(width_height, 2)).astype(np.int32))


def mix_cpu(pixels: Pixels, mix: Mix, pool: Executor | None, parts: int) -> None:
    """Mix images (B, H, W, C) in place.

    Along the cycle an image is changed when the one before it has been done, so only the first of a piece is copied.
    """
    num = len(mix.cycle)
    parts = parts if pool else 1
    edges = [num * part // parts for part in range(parts + 1)]
    pieces = [piece for piece in pairwise(edges) if piece[0] < piece[1]]
    firsts = {start: pixels[mix.cycle[start]].copy() for start, _ in pieces}

    def work(start: int, end: int) -> None:
        for place in range(start, end):
            row, is_last = mix.cycle[place], place + 1 == end
            _mix_one(pixels[row], firsts[end % num] if is_last else pixels[mix.cycle[place + 1]], mix, row)

    if pool is None:
        work(0, num)
        return
    for future in [pool.submit(work, *piece) for piece in pieces]:
        future.result()


def _mix_one(own: Pixels, other: Pixels, mix: Mix, row: int) -> None:
    weight, (left, top, right, bottom) = mix.weight[row], mix.boxes[row]
    if weight < 1:
        cv2.addWeighted(own, weight, other, 1 - weight, 0, dst=own)
    own[top:bottom, left:right] = other[top:bottom, left:right]


def mix_torch(pixels: "torch.Tensor", mix: Mix, is_pasted: "torch.Tensor") -> "torch.Tensor":
    """Return mixed pixels (B, C, H, W); `is_pasted` (B, 1, H, W) is true in the boxes."""
    import torch

    other = pixels[sent(torch.from_numpy(mix.partner), pixels)]
    weight = on(mix.weight, pixels)[:, None, None, None] * ~is_pasted
    return torch.lerp(other, pixels, weight)


def refuse_unmixable(ops: tuple[Operation, ...], name: str, target: "Target") -> None:
    """Raise if an operation of a pipeline mixes images whose target cannot be mixed.

    Raises:
        SettingsError: angles cannot be mixed, numbers not by cutmix, masks not by mixup, boxes by mosaic only.
    """
    others = [op.model_fields["kind"].default for op in (Mixup, Cutmix, Mosaic) if op.way in target.mixes]
    for op in ops:
        if isinstance(op, Mixing | Mosaic) and op.way not in target.mixes:
            raise SettingsError(
                f"{getattr(op, 'kind', '')} cannot mix a target of kind {target.form}",
                where=f"augment, target {name}",
                fix=f"use {others[0]}" if others else "leave the mixing operation out",
            )
