"""Quality operations: what a poor lens, sensor or enlargement does to the finished image.

They act after geometry and colour, in the order given, on pixels of the network's input.
"""

import math
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from striate.base.seeds import rng_for
from striate.base.size import SizeHW

from ..sample import ImageU8
from .effect import Effect, on, sent, unless
from .operation import Draws, Numbers, Probability, between

if TYPE_CHECKING:
    import torch


class Quality(Effect):
    """An operation on the finished image."""

    num_draws: ClassVar[int] = 2


class Blur(Quality):
    """With probability `p` a Gaussian blur, its deviation uniform in 0..max_px pixels; the border is mirrored."""

    kind: Literal["blur"] = "blur"
    max_px: float = Field(1.5, gt=0, le=50)
    p: Probability = 0.5

    def values(self, draws: Draws) -> Numbers:
        """Return (B, 1) standard deviations in pixels."""
        return unless(draws[:, 0] >= self.p, np.maximum(between(0, self.max_px, draws[:, 1]), 1e-3))

    def kernels(self, std_px: Numbers, short_side_px: int) -> Numbers:
        """Return the normalised kernels (B, K) of standard deviations (B,); all are equally long."""
        reach = min(math.ceil(3 * self.max_px), short_side_px - 1)
        weights = np.exp(-((np.arange(-reach, reach + 1) / std_px[:, None]) ** 2) / 2)
        return np.asarray(weights / weights.sum(1, keepdims=True))

    def on_cpu(self, picture: ImageU8, values: Numbers) -> ImageU8:
        """See `Effect.on_cpu`."""
        kernel = self.kernels(values, min(picture.shape[:2]))[0]
        return np.asarray(cv2.sepFilter2D(picture, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101))

    def on_torch(self, pixels: "torch.Tensor", values: Numbers) -> "torch.Tensor":
        """See `Effect.on_torch`."""
        import torch.nn.functional as F

        shape, kernels = pixels.shape, self.kernels(values[:, 0], min(pixels.shape[2:]))
        weight = on(np.repeat(kernels, shape[1], axis=0), pixels)[:, None, None]
        reach = kernels.shape[1] // 2
        flat = F.pad(pixels.reshape(1, -1, *shape[2:]), (reach,) * 4, mode="reflect")
        flat = F.conv2d(F.conv2d(flat, weight, groups=len(weight)), weight.mT, groups=len(weight))
        return flat.view(shape)


class Noise(Quality):
    """With probability `p` add Gaussian noise, its deviation uniform in 0..max_std levels of 255.

    The noise is a window of one fixed field of twice the sides, at a drawn place: equal on every device, and an
    addition instead of a generator's work. Channels are independent of each other.
    """

    kind: Literal["noise"] = "noise"
    max_std: float = Field(12, ge=0, le=255)
    p: Probability = 0.5
    num_draws: ClassVar[int] = 4

    def values(self, draws: Draws) -> Numbers:
        """Return (B, 3): standard deviation in levels, place of the window (x, y) in 0..1."""
        columns = draws[:, 2:].astype(np.float64).T
        return unless(draws[:, 0] >= self.p, between(0, self.max_std, draws[:, 1]), *columns)

    def on_cpu(self, picture: ImageU8, values: Numbers) -> ImageU8:
        """See `Effect.on_cpu`."""
        window = self.window(picture.shape, values)
        noisy = cv2.scaleAdd(window, values[0], picture.astype(np.float32)).clip(0, 255)
        return np.asarray(noisy.round() if picture.dtype == np.uint8 else noisy, picture.dtype)

    def on_torch(self, pixels: "torch.Tensor", values: Numbers) -> "torch.Tensor":
        """See `Effect.on_torch`."""
        strength = on(values[:, 0], pixels)[:, None, None, None]
        return (pixels + strength * self.windows(pixels, values)).clamp(0, 255)

    def window(self, shape: tuple[int, ...], values: Numbers) -> npt.NDArray[np.float32]:
        """Return standard normal noise for one image of this shape."""
        (height, width), channels = shape[:2], math.prod(shape[2:])
        left, top = (values[1:] * (width + 1, height + 1)).astype(int)
        field = noise_field((height, width), channels)
        return field[top : top + height, left : left + width].reshape(shape)

    def windows(self, pixels: "torch.Tensor", values: Numbers) -> "torch.Tensor":
        """Return standard normal noise (B, C, H, W) for a batch."""
        import torch

        channels, height, width = pixels.shape[1:]
        start = sent(torch.from_numpy((values[:, 1:] * (width + 1, height + 1)).astype(np.int64)), pixels)
        columns = start[:, 0, None] + torch.arange(width, device=pixels.device)
        rows = start[:, 1, None] + torch.arange(height, device=pixels.device)
        field = on(noise_field((height, width), channels), pixels)
        return field[rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


@lru_cache(maxsize=4)
def noise_field(size_hw: SizeHW, channels: int) -> npt.NDArray[np.float32]:
    """Return the (2 H, 2 W, C) standard normal numbers in which the windows of images (H, W, C) lie."""
    return rng_for("noise field").standard_normal((2 * size_hw[0], 2 * size_hw[1], channels), np.float32)


class Resolution(Quality):
    """With probability `p` shrink to a share of each side, uniform in min_frac..1, and enlarge again."""

    kind: Literal["resolution"] = "resolution"
    min_frac: float = Field(0.4, gt=0, le=1)
    p: Probability = 0.5

    def values(self, draws: Draws) -> Numbers:
        """Return (B, 1) shares of the sides."""
        return unless(draws[:, 0] >= self.p, between(self.min_frac, 1, draws[:, 1]))

    def on_cpu(self, picture: ImageU8, values: Numbers) -> ImageU8:
        """See `Effect.on_cpu`."""
        height, width = picture.shape[:2]
        size = _fewer(width, values[0]), _fewer(height, values[0])
        small = _by_four(picture, size, cv2.INTER_AREA)
        return _by_four(small, (width, height), cv2.INTER_LINEAR)

    def on_torch(self, pixels: "torch.Tensor", values: Numbers) -> "torch.Tensor":
        """See `Effect.on_torch`."""
        down, across = (on(_coarse(side, values[:, 0]), pixels)[:, None] for side in pixels.shape[2:])
        return down @ pixels @ across.mT


def _by_four(picture: ImageU8, size: tuple[int, int], way: int) -> ImageU8:
    """The resized image; OpenCV takes four channels at most."""
    channels = range(0, math.prod(picture.shape[2:]), 4)
    if len(channels) == 1:
        return np.asarray(cv2.resize(picture, size, interpolation=way))
    parts = [cv2.resize(np.ascontiguousarray(picture[..., at : at + 4]), size, interpolation=way) for at in channels]
    return np.concatenate([part.reshape(size[1], size[0], -1) for part in parts], axis=2)


def _fewer(side_px: int, share: float) -> int:
    return max(1, round(side_px * share))


def _coarse(side_px: int, shares: Numbers) -> Numbers:
    """(B, S, S) matrices that shrink an axis to these shares and enlarge it again."""
    fewer = [_fewer(side_px, share) for share in shares]
    return np.stack([enlarging(few, side_px) @ shrinking(side_px, few) for few in fewer])


def shrinking(num: int, fewer: int) -> Numbers:
    """Return the (fewer, num) matrix of which each row averages the pixels that its own pixel covers."""
    edges, at = np.arange(fewer + 1) * (num / fewer), np.arange(num)
    covered = np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at)
    return np.asarray(np.maximum(covered, 0) * (fewer / num))


def enlarging(num: int, more: int) -> Numbers:
    """Return the (more, num) matrix of linear interpolation between pixel centres, held at the ends."""
    place = ((np.arange(more) + 0.5) * (num / more) - 0.5).clip(0, num - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(place[:, None] - np.arange(num))))


class Sharpness(Quality):
    """Blend with the image smoothed over 3 x 3 pixels by a factor uniform in 1-amount..1+amount; above 1 sharpens.

    The outermost pixels stay. Kernel and border are Pillow's and torchvision's.
    """

    kind: Literal["sharpness"] = "sharpness"
    amount: float = Field(0.5, ge=0, le=1)
    num_draws: ClassVar[int] = 1

    def values(self, draws: Draws) -> Numbers:
        """Return (B, 1) factors."""
        return between(1 - self.amount, 1 + self.amount, draws[:, :1])

    def on_cpu(self, picture: ImageU8, values: Numbers) -> ImageU8:
        """See `Effect.on_cpu`."""
        smooth = cv2.filter2D(picture, -1, _SMOOTH).reshape(picture.shape)
        changed = picture.copy()
        inner = slice(1, -1), slice(1, -1)
        blended = cv2.addWeighted(picture, values[0], smooth, 1 - values[0], 0).reshape(picture.shape)
        changed[inner] = blended[inner] if picture.dtype == np.uint8 else blended[inner].clip(0, 255)
        return changed

    def on_torch(self, pixels: "torch.Tensor", values: Numbers) -> "torch.Tensor":
        """See `Effect.on_torch`."""
        import torch.nn.functional as F

        weight = on(_SMOOTH, pixels).expand(pixels.shape[1], 1, 3, 3)
        smooth = F.conv2d(pixels, weight, groups=pixels.shape[1]).round()
        factor, changed = on(values[:, 0], pixels)[:, None, None, None], pixels.clone()
        changed[:, :, 1:-1, 1:-1] = (factor * pixels[:, :, 1:-1, 1:-1] + (1 - factor) * smooth).clamp(0, 255)
        return changed


_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
