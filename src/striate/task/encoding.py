"""How numbers become a network's outputs and its outputs numbers again: truth (N, D) float64, outputs (N, D x width).

An angle has three ways, which a study can compare: as the plain number of degrees, which tears neighbours apart at the
seam (-180 and 180) and treats a wrong side of it as the worst error; as its sine and cosine, which has no seam; or as
one of 36 sectors of 10 degrees, a classification that errs by up to half a sector even when it is right.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.nn.constant import constants

NUM_SECTORS = 36
SECTOR_DEG = 360 / NUM_SECTORS


class Encoding(Protocol):
    """The way of one kind of number."""

    @property
    def width(self) -> int:
        """Outputs a number."""

    @property
    def loss_name(self) -> str:
        """What the loss is called in the history."""

    def losses(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the loss of each image (N,), the mean over its numbers."""

    def decode(self, outputs: Tensor) -> Tensor:
        """Return numbers (N, D) in the target's unit, float64."""

    def direction(self, outputs: Tensor, index: Tensor) -> tuple[Tensor, str]:
        """Return weights like the outputs whose sum with them is what an explanation of number `index` (N,) is about,
        and what that is."""


@dataclass(frozen=True)
class Standardised:
    """Numbers minus the `mean` over the `std` of the training images; squared error on that scale."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    width: ClassVar[int] = 1
    loss_name: ClassVar[str] = "squared_error"

    def losses(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the mean squared error of each image (N,), on the scale of the outputs."""
        truth = truth.double()
        scaled = (truth - constants(self.mean, truth)) / constants(self.std, truth)
        return F.mse_loss(outputs.float(), scaled.float(), reduction="none").mean(1)

    def decode(self, outputs: Tensor) -> Tensor:
        """Return the numbers (N, D)."""
        outputs = outputs.double()
        return outputs * constants(self.std, outputs) + constants(self.mean, outputs)

    def direction(self, outputs: Tensor, index: Tensor) -> tuple[Tensor, str]:
        """Return weights that give the number in its unit, but for the mean."""
        return F.one_hot(index, outputs.shape[1]) * constants(self.std, outputs), "number"


@dataclass(frozen=True)
class PlainAngle(Standardised):
    """Degrees from -180 to 180 as numbers like any other."""

    def losses(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the mean squared error of each image (N,), the long way round too."""
        return super().losses(outputs, signed(truth.double()))

    def decode(self, outputs: Tensor) -> Tensor:
        """Return degrees (N, D) in 0..360."""
        return super().decode(outputs) % 360


@dataclass(frozen=True)
class SineCosine:
    """The point of each angle on the circle; the sines before the cosines."""

    width: ClassVar[int] = 2
    loss_name: ClassVar[str] = "squared_error"

    def losses(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the mean squared error of sines and cosines of each image (N,)."""
        radians = torch.deg2rad(truth.double())
        points = torch.cat([radians.sin(), radians.cos()], 1)
        return F.mse_loss(outputs.float(), points.float(), reduction="none").mean(1)

    def decode(self, outputs: Tensor) -> Tensor:
        """Return degrees (N, D) in 0..360."""
        sine, cosine = outputs.double().chunk(2, 1)
        return torch.rad2deg(torch.atan2(sine, cosine)) % 360

    def direction(self, outputs: Tensor, index: Tensor) -> tuple[Tensor, str]:
        """Return weights that give the length of the outputs along the direction that they name."""
        points = outputs.unflatten(1, (2, -1))  # N x (sine, cosine) x D
        points = points / points.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return (points * F.one_hot(index, points.shape[2])[:, None]).flatten(1), "length along the answer for"


@dataclass(frozen=True)
class Sectors:
    """One of 36 sectors of 10 degrees, the first from 0 to 10; an answer is the middle of the most probable one."""

    width: ClassVar[int] = NUM_SECTORS
    loss_name: ClassVar[str] = "cross_entropy"

    def losses(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the mean cross-entropy of each image's sectors (N,)."""
        sector = (truth.double() % 360 // SECTOR_DEG).long().clamp(max=NUM_SECTORS - 1)
        scores = outputs.float().unflatten(1, (-1, NUM_SECTORS)).transpose(1, 2)
        return F.cross_entropy(scores, sector, reduction="none").mean(1)

    def decode(self, outputs: Tensor) -> Tensor:
        """Return degrees (N, D), 5 above a multiple of 10."""
        sectors = outputs.unflatten(1, (-1, NUM_SECTORS)).argmax(2)
        return torch.mul(sectors.double() + 0.5, SECTOR_DEG)

    def direction(self, outputs: Tensor, index: Tensor) -> tuple[Tensor, str]:
        """Return weights that give the logit of the most probable sector."""
        sectors = outputs.unflatten(1, (-1, NUM_SECTORS))
        is_best = F.one_hot(sectors.argmax(2), NUM_SECTORS)
        return (is_best * F.one_hot(index, sectors.shape[1])[..., None]).flatten(1).float(), "logit of the sector of"


def signed(degrees: Tensor) -> Tensor:
    """Return angles in -180..180 degrees.

    Example:
        >>> signed(torch.tensor([350.0, 10.0])).tolist()
        [-10.0, 10.0]
    """
    return (degrees + 180) % 360 - 180
