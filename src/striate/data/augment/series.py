"""Operations for series, which are images of height 1: time is the width. On an image they act along its rows."""

from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from ..sample import ImageU8
from .effect import Effect, on
from .geometric import Geometric
from .operation import Draws, Matrices, Numbers, Range, between, ordered
from .quality import Noise

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

NUM_SPEEDS = 5  # of a time warp: at both ends and three places between


class Window(Geometric):
    """A part of the series fills the whole length: of `scale` of it, at a place uniform along time.

    Reference: Le Guennec et al., Data Augmentation for Time Series Classification, 2016 (window slicing).
    """

    kind: Literal["window"] = "window"
    scale: Range = (0.9, 1.0)
    num_draws: ClassVar[int] = 2

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError("scale lies in 0..1")
        return ordered(self, *self.scale)

    def matrices(self, draws: Draws, aspect: float = 1.0) -> Matrices:
        """See `Geometric.matrices`."""
        share = between(*self.scale, draws[:, 0])
        moves = np.tile(np.eye(3), (len(draws), 1, 1))
        moves[:, 0, 0], moves[:, 0, 2] = share, (1 - share) * between(-1, 1, draws[:, 1])
        return moves


class Scale(Effect):
    """Stretch the values about the mean of each dimension by a factor uniform in 1-amount..1+amount."""

    kind: Literal["scale"] = "scale"
    amount: float = Field(0.1, ge=0, le=1)
    num_draws: ClassVar[int] = 1

    def values(self, draws: Draws) -> Numbers:
        """Return (B, 1) factors."""
        return between(1 - self.amount, 1 + self.amount, draws[:, :1])

    def on_cpu(self, picture: ImageU8, values: Numbers) -> ImageU8:
        """See `Effect.on_cpu`."""
        levels = picture.astype(np.float32)
        mean = levels.mean((0, 1), keepdims=True)
        return _as_before(mean + np.float32(values[0]) * (levels - mean), picture)

    def on_torch(self, pixels: "torch.Tensor", values: Numbers) -> "torch.Tensor":
        """See `Effect.on_torch`."""
        mean = pixels.mean((2, 3), keepdim=True)
        return (mean + on(values[:, 0], pixels)[:, None, None, None] * (pixels - mean)).clamp(0, 255)


class Jitter(Noise):
    """Add Gaussian noise; its deviation is a share, uniform in 0..max_std, of the dimension's own in this series."""

    kind: Literal["jitter"] = "jitter"  # type: ignore[assignment]
    max_std: float = Field(0.1, ge=0, le=10)
    p: float = Field(1.0, ge=0, le=1)

    def on_cpu(self, picture: ImageU8, values: Numbers) -> ImageU8:
        """See `Effect.on_cpu`."""
        noise = self.window(picture.shape, values)
        deviation = picture.astype(np.float32).std((0, 1), keepdims=True)
        return _as_before(picture + np.float32(values[0]) * deviation * noise, picture)

    def on_torch(self, pixels: "torch.Tensor", values: Numbers) -> "torch.Tensor":
        """See `Effect.on_torch`."""
        deviation = pixels.std((2, 3), correction=0, keepdim=True)
        noise = self.windows(pixels, values)
        return (pixels + on(values[:, 0], pixels)[:, None, None, None] * deviation * noise).clamp(0, 255)


class TimeWarp(Effect):
    """Let time run faster and slower: its speed goes linearly through 5 speeds, each uniform in 1-amount..1+amount.

    Both ends stay. Values between samples are interpolated linearly.

    Reference: Um et al., Data Augmentation of Wearable Sensor Data, arXiv:1706.00527 (there by splines).
    """

    kind: Literal["time_warp"] = "time_warp"
    amount: float = Field(0.2, ge=0, lt=1)
    num_draws: ClassVar[int] = NUM_SPEEDS

    def values(self, draws: Draws) -> Numbers:
        """Return (B, 5) speeds."""
        return between(1 - self.amount, 1 + self.amount, draws)

    def on_cpu(self, picture: ImageU8, values: Numbers) -> ImageU8:
        """See `Effect.on_cpu`."""
        left, share = _between_samples(warped_times(values[None], picture.shape[1]))
        levels = picture.astype(np.float32)
        weight = share[0].astype(np.float32).reshape(1, -1, *[1] * (picture.ndim - 2))
        return _as_before(levels[:, left[0]] * (1 - weight) + levels[:, left[0] + 1] * weight, picture)

    def on_torch(self, pixels: "torch.Tensor", values: Numbers) -> "torch.Tensor":
        """See `Effect.on_torch`."""
        left, share = _between_samples(warped_times(values, pixels.shape[3]))
        at = on(left, pixels).long()[:, None, None].expand(pixels.shape)
        weight = on(share, pixels)[:, None, None]
        return pixels.gather(3, at) * (1 - weight) + pixels.gather(3, at + 1) * weight


def warped_times(speeds: Numbers, length: int) -> Numbers:
    """Return (B, length) places of the samples, from 0 to length - 1, for speeds (B, K) at equal distances of time.

    Example:
        >>> warped_times(np.array([[1.0, 1.0, 1.0], [0.5, 1.0, 1.5]]), 5).round(2).tolist()
        [[0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 0.62, 1.5, 2.62, 4.0]]
    """
    knots, times = np.linspace(0, 1, speeds.shape[1]), np.linspace(0, 1, length)
    speed = np.stack([np.interp(times, knots, row) for row in speeds])
    way = np.concatenate([np.zeros((len(speeds), 1)), np.cumsum((speed[:, 1:] + speed[:, :-1]) / 2, axis=1)], axis=1)
    return np.asarray(way * ((length - 1) / np.maximum(way[:, -1:], 1e-12)))


def _between_samples(places: Numbers) -> "tuple[npt.NDArray[np.int64], Numbers]":
    """The sample before each place, never the last one, and how far it is to the next, 0..1."""
    left = np.floor(places).clip(0, max(0, places.shape[1] - 2)).astype(np.int64)
    return left, places - left


def _as_before(levels: Numbers, picture: ImageU8) -> ImageU8:
    """Levels cut to 0..255, in the kind of number that the image has."""
    cut = levels.clip(0, 255).reshape(picture.shape)
    return np.asarray(cut.round() if picture.dtype == np.uint8 else cut, picture.dtype)
