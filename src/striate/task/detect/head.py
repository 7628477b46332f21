"""What detection needs of a network: a detector's outputs."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from striate.model.blueprint import Blueprint

from .reading import Reading


@dataclass(frozen=True)
class Detector:
    """The outputs that a reading reads, of so many classes."""

    reading: Reading
    num_classes: int
    is_dense: ClassVar[bool] = True

    @property
    def outputs(self) -> int:
        """The width of the network's rows that have none."""
        return self.reading.outputs(self.num_classes)

    def fits(self, outputs: Any, images: Tensor) -> bool:
        """Return whether they are the outputs that are read."""
        return self.reading.fits(outputs, len(images), self.num_classes)

    def wanted(self, images: Tensor) -> str:
        """Return in words what the outputs must be."""
        return f"a list as of the network {self.reading.name} for {self.num_classes} classes"

    def extended(self, blueprint: Blueprint, *, channels: int, size_hw: tuple[int, ...]) -> Blueprint:
        """Return the blueprint with the detector's rows, where it has no ends."""
        return self.reading.extended(blueprint, channels=channels, size_hw=size_hw)
