"""Colour operations. Each turns uniform draws into affine maps of RGB; a pipeline composes them into one 3x4 matrix.

A matrix (B, 3, 4) maps levels 0..255: new = matrix[:, :, :3] @ rgb + matrix[:, :, 3]. Levels are cut to 0..255 once,
after the whole composition. On grey images R = G = B, so saturation and hue do nothing.
"""

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from .operation import Draws, Matrices, Operation, Probability, between

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601
# RGB -> YIQ; the hue turns in the IQ plane, so luma is kept
_YIQ = np.array([[0.299, 0.587, 0.114], [0.59590059, -0.27455667, -0.32134392], [0.21153661, -0.52273617, 0.31119955]])
Amount = Annotated[float, Field(ge=0, le=1)]


class Colour(Operation):
    """An operation that changes colours."""

    def matrices(self, draws: Draws, mean_grey: npt.NDArray[np.float64]) -> Matrices:
        """Return (B, 3, 4) matrices for (B, num_draws) uniform numbers and the mean grey (B,) of each image."""
        raise NotImplementedError


class Brightness(Colour):
    """Multiply by a factor uniform in 1-amount..1+amount."""

    kind: Literal["brightness"] = "brightness"
    amount: Amount = 0.2

    def matrices(self, draws: Draws, mean_grey: npt.NDArray[np.float64]) -> Matrices:
        """See `Colour.matrices`."""
        return _blended(_factor(self.amount, draws), np.zeros((3, 3)))


class Contrast(Colour):
    """Blend with the image's mean grey by a factor uniform in 1-amount..1+amount.

    The mean is that of the whole stored image before tone operations, not of the part that a crop leaves visible.
    """

    kind: Literal["contrast"] = "contrast"
    amount: Amount = 0.2

    def matrices(self, draws: Draws, mean_grey: npt.NDArray[np.float64]) -> Matrices:
        """See `Colour.matrices`."""
        factor = _factor(self.amount, draws)
        found = _blended(factor, np.zeros((3, 3)))
        found[:, :, 3] = ((1 - factor) * mean_grey)[:, None]
        return found


class Saturation(Colour):
    """Blend with the grey image by a factor uniform in 1-amount..1+amount."""

    kind: Literal["saturation"] = "saturation"
    amount: Amount = 0.2

    def matrices(self, draws: Draws, mean_grey: npt.NDArray[np.float64]) -> Matrices:
        """See `Colour.matrices`."""
        return _blended(_factor(self.amount, draws), np.tile(LUMA, (3, 1)))


class Hue(Colour):
    """Turn the colours by an angle uniform in -max_deg..max_deg, luma kept.

    A rotation in the IQ plane of YIQ: linear, unlike a shift of HSV's hue, and close to it for small angles.
    """

    kind: Literal["hue"] = "hue"
    max_deg: float = Field(10, ge=0, le=180)

    def matrices(self, draws: Draws, mean_grey: npt.NDArray[np.float64]) -> Matrices:
        """See `Colour.matrices`."""
        angle = np.deg2rad(between(-self.max_deg, self.max_deg, draws[:, 0]))
        turn = np.tile(np.eye(3), (len(angle), 1, 1))
        turn[:, 1, 1] = turn[:, 2, 2] = np.cos(angle)
        turn[:, 2, 1] = np.sin(angle)
        turn[:, 1, 2] = -turn[:, 2, 1]
        return _with_offset(np.linalg.inv(_YIQ) @ turn @ _YIQ)


class Grey(Colour):
    """With probability `p` the grey image, in three equal channels."""

    kind: Literal["grey"] = "grey"
    p: Probability = 0.1

    def matrices(self, draws: Draws, mean_grey: npt.NDArray[np.float64]) -> Matrices:
        """See `Colour.matrices`."""
        return _blended((draws[:, 0] >= self.p).astype(np.float64), np.tile(LUMA, (3, 1)))


class Invert(Colour):
    """With probability `p` the negative: 255 - level."""

    kind: Literal["invert"] = "invert"
    p: Probability = 0.1

    def matrices(self, draws: Draws, mean_grey: npt.NDArray[np.float64]) -> Matrices:
        """See `Colour.matrices`."""
        is_negative = (draws[:, 0] < self.p).astype(np.float64)
        found = _with_offset((1 - 2 * is_negative)[:, None, None] * np.eye(3))
        found[:, :, 3] = 255 * is_negative[:, None]
        return found


def compose(first: Matrices, second: Matrices) -> Matrices:
    """Return the (B, 3, 4) matrices of `first`, then `second`."""
    found = second[:, :, :3] @ first
    found[:, :, 3] += second[:, :, 3]
    return found


def unchanged(num: int) -> Matrices:
    """Return (num, 3, 4) matrices that change nothing."""
    return np.tile(np.eye(3, 4), (num, 1, 1))


def mean_grey(matrices: Matrices, means: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the mean grey (B,) of images with channel means (B, 1 or 3) after `matrices`."""
    rgb = np.broadcast_to(means, (len(means), 3)).astype(np.float64)
    return np.asarray(((matrices[:, :, :3] @ rgb[:, :, None])[:, :, 0] + matrices[:, :, 3]) @ LUMA)


def for_grey(matrices: Matrices) -> Matrices:
    """Return the (B, 1, 2) scale and offset that `matrices` mean for an image with R = G = B."""
    return np.stack([matrices[:, 0, :3].sum(1), matrices[:, 0, 3]], axis=1)[:, None]


def _factor(amount: float, draws: Draws) -> npt.NDArray[np.float64]:
    return between(1 - amount, 1 + amount, draws[:, 0])


def _blended(factor: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> Matrices:
    """factor * rgb + (1 - factor) * other @ rgb."""
    weight = factor[:, None, None]
    return _with_offset(weight * np.eye(3) + (1 - weight) * other)


def _with_offset(linear: npt.NDArray[np.float64]) -> Matrices:
    return np.concatenate([linear, np.zeros((len(linear), 3, 1))], axis=2)
