"""How images are spoiled: noise, fewer pixels, holes, no colours; or not at all, and what is hard is the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from torch import Tensor

from striate.base.errors import DataError
from striate.base.settings import Settings
from striate.data.geometry import coloured
from striate.model import zoo
from striate.task.series import Step

from . import baseline, degrade
from .baseline import Methods
from .restore import Restore, RestoreOptions

ImageU8 = npt.NDArray[np.uint8]


class DenoiseOptions(RestoreOptions):
    """`noise`: standard deviation of the Gaussian noise, in levels of 255."""

    noise: float = Field(25, gt=0, le=255)


@dataclass(frozen=True)
class Denoise(Restore):
    """Take Gaussian noise away."""

    noise: float = 25
    name: ClassVar[str] = "denoise"
    baselines: ClassVar[tuple[str, ...]] = ("median", "Gaussian", "bilateral", "non-local means")
    Options: ClassVar[type[Settings]] = DenoiseOptions

    def degrade(self, images: Tensor, keys: Tensor) -> Tensor:
        """Return images with noise."""
        return degrade.noised(images, keys, self.noise / 255)

    def methods(self, image: ImageU8, truth: ImageU8) -> Methods:
        """Return what filters make of a noisy image."""
        return baseline.for_noise(image, self.noise)


class SuperresolveOptions(RestoreOptions):
    """`scale`: how many times as high and wide the images become."""

    scale: Literal[2, 3, 4, 8] = 2


@dataclass(frozen=True)
class Superresolve(Restore):
    """Make images larger. `--size` is that of the large images; what comes in is smaller by the scale."""

    scale: int = 2
    steps: ClassVar[Sequence[Step]] = (
        Step(
            "transposed",
            zoo.TRANSPOSED,
            "restore",
            "enlarged by transposed convolution, whose windows overlap unevenly",
        ),
        Step("resize", zoo.RESIZED, "restore", "nearest neighbours, then a convolution"),
        Step("subpixel", zoo.RESTORING, "restore", "sub-pixel convolution: channels become pixels"),
    )
    name: ClassVar[str] = "superresolve"
    baselines: ClassVar[tuple[str, ...]] = ("nearest", "bilinear", "bicubic")
    Options: ClassVar[type[Settings]] = SuperresolveOptions

    def degrade(self, images: Tensor, keys: Tensor) -> Tensor:
        """Return images made smaller."""
        return degrade.shrunk(images, self.scale)

    def methods(self, image: ImageU8, truth: ImageU8) -> Methods:
        """Return what interpolation makes of a small image."""
        return baseline.for_size(image, self.scale)


class InpaintOptions(RestoreOptions):
    """`missing`: share of the pixels that are painted black, in squares of `square` pixels."""

    missing: float = Field(0.25, gt=0, lt=1)
    square: int = Field(8, ge=1, le=4096)


@dataclass(frozen=True)
class Inpaint(Restore):
    """Fill holes, which are black squares at places that the network is not told."""

    missing: float = 0.25
    square: int = 8
    name: ClassVar[str] = "inpaint"
    baselines: ClassVar[tuple[str, ...]] = ("mean colour", "spread from the edges")
    Options: ClassVar[type[Settings]] = InpaintOptions

    def degrade(self, images: Tensor, keys: Tensor) -> Tensor:
        """Return images with black squares."""
        return degrade.holed(images, keys, self.missing, self.square)

    def methods(self, image: ImageU8, truth: ImageU8) -> Methods:
        """Return the image filled in simple ways, where it is black and should not be."""
        return baseline.for_holes(image, (image == 0).all(2) & (truth != 0).any(2))


@dataclass(frozen=True)
class Colourise(Restore):
    """Give grey images their colours. What comes in is grey in all three channels."""

    name: ClassVar[str] = "colourise"
    baselines: ClassVar[tuple[str, ...]] = ("grey",)

    def with_levels(self, mean: Sequence[float], std: Sequence[float]) -> Self:
        """Return the task for images that are normalised by these numbers.

        Raises:
            DataError: the images have no colours.
        """
        if len(mean) != 3:
            raise DataError("the images are grey: nothing to learn colours from", fix="choose images in colour")
        return super().with_levels(mean, std)

    def degrade(self, images: Tensor, keys: Tensor) -> Tensor:
        """Return grey images."""
        return degrade.greyed(images)

    def taken(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the image without its colours, where it has some."""
        return coloured(coloured(image, 1), 3)

    def methods(self, image: ImageU8, truth: ImageU8) -> Methods:
        """Return the grey image as it is."""
        return {"grey": baseline.itself(image)}


@dataclass(frozen=True)
class Reconstruct(Restore):
    """Give the image itself back, through a narrow place: an autoencoder."""

    name: ClassVar[str] = "reconstruct"
    steps: ClassVar[Sequence[Step]] = tuple(
        Step(name.replace("_", "-"), name, "restore", "an image through a vector of so many numbers, 128 by default")
        for name in zoo.AUTOENCODERS
    )
    baselines: ClassVar[tuple[str, ...]] = ("mean colour", "8 x 8 pixels")

    def degrade(self, images: Tensor, keys: Tensor) -> Tensor:
        """Return the images as they are."""
        return images

    def methods(self, image: ImageU8, truth: ImageU8) -> Methods:
        """Return what is left of the image in a few numbers."""
        return {"mean colour": baseline.mean_colour(image), "8 x 8 pixels": baseline.tiny(image)}
