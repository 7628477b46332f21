"""What a task needs of a network: a vector an image, a map of its size, an image, or maps at several strides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from striate.base.errors import SettingsError
from striate.base.text import plural, shown
from striate.model.blueprint import Blueprint
from striate.model.build import assemble
from striate.model.decoder import with_map, with_pyramid

MAX_ITEMS = 4  # of a tuple or dict that are described
NOUNS = {"label": ("class", "classes"), "tags": ("tag", "tags")}  # kind of answer -> what its names are
ANY_NOUN = ("number", "numbers")


class Head(Protocol):
    """What a network's outputs must be."""

    @property
    def outputs(self) -> int:
        """Numbers an image, or channels of a map."""

    @property
    def is_dense(self) -> bool:
        """Whether there are outputs for each place of an image, not for the image alone."""

    def fits(self, outputs: Any, images: Tensor) -> bool:
        """Return whether these are outputs for images (N, C, H, W)."""

    def wanted(self, images: Tensor) -> str:
        """Return in words what the outputs must be, such as "8x10"."""

    def extended(self, blueprint: Blueprint, *, channels: int, size_hw: tuple[int, ...]) -> Blueprint:
        """Return the blueprint with the rows that such outputs need; as it is where it has them.

        Raises:
            SettingsError: they cannot be made of this network.
        """


@dataclass(frozen=True)
class Vector:
    """So many numbers an image: (N, outputs)."""

    outputs: int
    is_dense: ClassVar[bool] = False

    def fits(self, outputs: Any, images: Tensor) -> bool:
        """Return whether it is one floating-point tensor (N, outputs)."""
        return _is_numbers(outputs, (len(images), self.outputs))

    def wanted(self, images: Tensor) -> str:
        """Return in words what the outputs must be."""
        return f"{len(images)}x{self.outputs}"

    def extended(self, blueprint: Blueprint, *, channels: int, size_hw: tuple[int, ...]) -> Blueprint:
        """Return the blueprint as it is."""
        return blueprint


@dataclass(frozen=True)
class Map:
    """So many numbers a pixel: (N, outputs, H, W), of the images' own size."""

    outputs: int
    is_dense: ClassVar[bool] = True

    def fits(self, outputs: Any, images: Tensor) -> bool:
        """Return whether it is one floating-point tensor (N, outputs, H, W)."""
        return _is_numbers(outputs, (len(images), self.outputs, *images.shape[2:]))

    def wanted(self, images: Tensor) -> str:
        """Return in words what the outputs must be."""
        return "x".join(map(str, (len(images), self.outputs, *images.shape[2:])))

    def extended(self, blueprint: Blueprint, *, channels: int, size_hw: tuple[int, ...]) -> Blueprint:
        """Return the blueprint with a decoder, where its last row is no map of the image's size."""
        last = assemble(blueprint, channels=channels, outputs=self.outputs, size_hw=size_hw).shapes[blueprint.names[-1]]
        if last == (self.outputs, *size_hw):
            return blueprint
        return with_map(blueprint, channels=channels, size_hw=size_hw)


@dataclass(frozen=True)
class Image(Map):
    """An image with so many channels, `scale` times as high and wide as the images that come in."""

    scale: int = 1

    def fits(self, outputs: Any, images: Tensor) -> bool:
        """Return whether it is one floating-point tensor (N, outputs, H * scale, W * scale)."""
        return _is_numbers(outputs, (len(images), self.outputs, *self._size_of(images.shape[2:])))

    def wanted(self, images: Tensor) -> str:
        """Return in words what the outputs must be."""
        return "x".join(map(str, (len(images), self.outputs, *self._size_of(images.shape[2:]))))

    def extended(self, blueprint: Blueprint, *, channels: int, size_hw: tuple[int, ...]) -> Blueprint:
        """Return the blueprint with a decoder where it needs one.

        Raises:
            SettingsError: the images are to be larger than what comes in, and the network makes none such.
        """
        if self.scale == 1:
            return super().extended(blueprint, channels=channels, size_hw=size_hw)
        last = assemble(blueprint, channels=channels, outputs=self.outputs, size_hw=size_hw).shapes[blueprint.names[-1]]
        if last != (self.outputs, *self._size_of(size_hw)):
            what = f"{blueprint.name} makes no images {self.scale} times as large as those that come in"
            raise SettingsError(what, where="model", fix="use --model residual_unet")
        return blueprint

    def _size_of(self, size_hw: Sequence[int]) -> tuple[int, ...]:
        return tuple(side * self.scale for side in size_hw)


@dataclass(frozen=True)
class Pyramid:
    """A map of so many numbers a place for each of the network's strides, fine to coarse: (N, outputs, h, w) each."""

    outputs: int
    is_dense: ClassVar[bool] = True

    def fits(self, outputs: Any, images: Tensor) -> bool:
        """Return whether it is a list of floating-point maps."""
        is_list = isinstance(outputs, Sequence) and len(outputs) > 0
        return is_list and all(
            isinstance(one, Tensor) and one.ndim == 4 and _is_numbers(one, (len(images), self.outputs, *one.shape[2:]))
            for one in outputs
        )

    def wanted(self, images: Tensor) -> str:
        """Return in words what the outputs must be."""
        return f"a list of {len(images)}x{self.outputs}xhxw"

    def extended(self, blueprint: Blueprint, *, channels: int, size_hw: tuple[int, ...]) -> Blueprint:
        """Return the blueprint with a decoder, where it has no ends."""
        return blueprint if blueprint.ends else with_pyramid(blueprint, channels=channels, size_hw=size_hw)


@dataclass(frozen=True)
class Parts:
    """Several heads in one network of the user's own, which returns a dict of outputs by these names."""

    heads: tuple[tuple[str, Head], ...]

    @property
    def outputs(self) -> int:
        """All numbers together."""
        return sum(head.outputs for _, head in self.heads)

    @property
    def is_dense(self) -> bool:
        """Whether one of them is."""
        return any(head.is_dense for _, head in self.heads)

    def fits(self, outputs: Any, images: Tensor) -> bool:
        """Return whether it is a dict with outputs for each head."""
        is_dict = isinstance(outputs, dict) and set(outputs) == {name for name, _ in self.heads}
        return is_dict and all(head.fits(outputs[name], images) for name, head in self.heads)

    def wanted(self, images: Tensor) -> str:
        """Return in words what the outputs must be."""
        return f"a dict ({', '.join(f'{name} {head.wanted(images)}' for name, head in self.heads)})"

    def extended(self, blueprint: Blueprint, *, channels: int, size_hw: tuple[int, ...]) -> Blueprint:
        """Refuse networks of rows.

        Raises:
            SettingsError: always.
        """
        what = f"the task takes a dict of {', '.join(name for name, _ in self.heads)}, a network of rows gives none"
        raise SettingsError(what, where=blueprint.name, fix="hand in a module of your own from Python")


def _is_numbers(outputs: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(outputs, Tensor) and outputs.shape == shape and outputs.is_floating_point()


def text_of(outputs: object) -> str:
    """Return a tensor by its shape, a container by what is in it, anything else by its type."""
    if isinstance(outputs, Tensor):
        kind = "" if outputs.dtype == torch.float32 else f" {str(outputs.dtype).removeprefix('torch.')}"
        return ("x".join(map(str, outputs.shape)) or "one number") + kind
    name = type(outputs).__name__
    if isinstance(outputs, dict):
        parts = [f"{shown(key, 20)} {text_of(value)}" for key, value in list(outputs.items())[:MAX_ITEMS]]
    elif isinstance(outputs, tuple | list):
        parts = [text_of(value) for value in outputs[:MAX_ITEMS]]
    else:
        return name
    return f"a {name} ({', '.join(parts)}{', ...' if len(outputs) > MAX_ITEMS else ''})"


def noun_of(kind: str, count: int) -> str:
    """Return a count of classes, tags or numbers.

    Example:
        >>> noun_of("label", 1), noun_of("tags", 3), noun_of("value", 2)
        ('1 class', '3 tags', '2 numbers')
    """
    return plural(count, *NOUNS.get(kind, ANY_NOUN))


def nouns_of(kind: str) -> str:
    """Return the plural of what a task has names for: classes, tags or numbers."""
    return NOUNS.get(kind, ANY_NOUN)[1]
