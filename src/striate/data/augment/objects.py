"""Operations that look where the objects of an image are: crops that keep them."""

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from .operation import Draws, Matrices, Numbers, Operation, Probability, Range, between, ordered


@dataclass(frozen=True)
class Objects:
    """The boxes of the stored images of a batch.

    Args:
        xyxy: (T, 4) in half sides about the centre of the stored image, y down: -1..1 is the image.
        starts: (B + 1,) where the boxes of each image begin.
    """

    xyxy: Numbers
    starts: npt.NDArray[np.int64]


class ObjectCrop(Operation):
    """With probability `p` a part of the image that holds one of its objects fills the output.

    A part of `scale` of the area, of the output's aspect times `ratio`; its place is uniform among those that hold the
    object whole, or, where it is larger than the part, that lie in it. Which object it is, is drawn. An image without
    objects is cropped anywhere. The part is never larger than the image.
    """

    kind: Literal["object_crop"] = "object_crop"
    scale: Range = (0.3, 1.0)
    ratio: Range = (3 / 4, 4 / 3)
    p: Probability = 1.0
    num_draws: ClassVar[int] = 6

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if not (self.scale[0] > 0 and self.scale[1] <= 1 and self.ratio[0] > 0):
            raise ValueError("scale lies in 0..1 and ratio above 0")
        return ordered(ordered(self, *self.scale), *self.ratio)

    def matrices(self, draws: Draws, objects: Objects | None, before: Matrices) -> Matrices:
        """Return (B, 3, 3) matrices from output to input, see `geometric`.

        Args:
            draws: (B, 6) uniform numbers in 0..1.
            objects: where the objects of the stored images are; None where nobody knows.
            before: (B, 3, 3) from the input of this operation to the stored image.
        """
        area = between(*self.scale, draws[:, 0])
        ratio = np.exp(between(np.log(self.ratio[0]), np.log(self.ratio[1]), draws[:, 1]))
        half = np.stack([np.minimum(1, np.sqrt(area * ratio)), np.minimum(1, np.sqrt(area / ratio))], axis=1)
        low, high = half - 1, 1 - half  # where the middle of the part may lie
        if objects is not None:
            box, is_there = _chosen(draws[:, 2], objects, before)
            first, last = box[:, 2:] - half, box[:, :2] + half  # of parts that hold the box
            near, far = np.minimum(first, last), np.maximum(first, last)
            low = np.where(is_there[:, None], near.clip(low, high), low)
            high = np.where(is_there[:, None], far.clip(low, high), high)
        middle = low + (high - low) * draws[:, 3:5].astype(np.float64)
        is_cut = draws[:, 5] < self.p
        found = np.tile(np.eye(3), (len(draws), 1, 1))
        found[:, [0, 1], [0, 1]] = np.where(is_cut[:, None], half, 1)
        found[:, :2, 2] = np.where(is_cut[:, None], middle, 0)
        return found


def _chosen(draws: Draws, objects: Objects, before: Matrices) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """The box (B, 4) of a drawn object that is seen after the operations before, and whether there is one."""
    lengths = np.diff(objects.starts)
    row = np.repeat(np.arange(len(draws)), lengths)
    corners = objects.xyxy[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]
    places = np.concatenate([corners, np.ones((*corners.shape[:2], 1))], axis=2) @ np.linalg.inv(before)[row].transpose(
        0, 2, 1
    )
    moved = places[..., :2] / places[..., 2:]
    hulls = np.concatenate([moved.min(1), moved.max(1)], axis=1)
    centre = (hulls[:, :2] + hulls[:, 2:]) / 2
    is_seen = (np.abs(centre) < 1).all(1)
    found, is_there = np.zeros((len(draws), 4)), np.zeros(len(draws), bool)
    for index in range(len(draws)):
        own = np.flatnonzero(is_seen[objects.starts[index] : objects.starts[index + 1]]) + objects.starts[index]
        if len(own):
            found[index] = hulls[own[min(len(own) - 1, int(draws[index] * len(own)))]]
            is_there[index] = True
    return found.clip(-1, 1), is_there
