"""Numbers of an image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.seeds import rng_for
from striate.base.text import shown

from .target import BLEND, Indices, Values

if TYPE_CHECKING:
    import torch

    from ..augment.mix import Mix


@dataclass(frozen=True)
class Number(Values):
    """D numbers an image: `values` (N, D) float64, `names` the fields, `unit` of all of them; degrees are an `Angle`.

    A batch is (B, D) float64: float32 has seven digits, coordinates and dates need more.

    Raises:
        DataError: the unit is "deg".
    """

    unit: str = ""
    kind: ClassVar[str] = "value"
    noun: ClassVar[tuple[str, str]] = ("number", "numbers")
    tasks: ClassVar[tuple[str, ...]] = ("regress",)
    mixes: ClassVar[frozenset[str]] = frozenset({BLEND})
    untrue_after: ClassVar[frozenset[str]] = frozenset(  # a size after a zoom, a position after a mirror, a count
        {"flip", "alternating_flip", "rotate", "zoom", "shear", "crop", "perspective", "window"}
    )
    is_round: ClassVar[bool] = False  # whether the numbers start again after the highest, as angles do

    def __post_init__(self) -> None:
        if self.unit == "deg" and not self.is_round:
            raise DataError("numbers in degrees are angles", where=", ".join(self.names), fix="make it an Angle")

    def strata(self) -> npt.NDArray[np.int64]:
        """Return the tenth (N,) in which each image's first number lies; fewer parts for less than 100 images."""
        if not len(self):
            return np.zeros(0, dtype=np.int64)
        first = self.values[:, 0].astype(np.float64)
        edges = np.linspace(0, 1, max(1, min(10, len(first) // 10)) + 1)[1:-1]
        return np.searchsorted(np.quantile(first, edges), first).astype(np.int64)

    def as_known(self, names: tuple[str, ...], where: str, *, is_complete: bool) -> Self:
        """Return the numbers as they are: fields go by their place, whatever they are called."""
        return self

    def mix(self, values: npt.NDArray[Any], mix: "Mix") -> npt.NDArray[np.float64]:
        """Return the numbers (B, D) in their shares, in float64 as they came."""
        share, numbers = mix.share[:, None], values.astype(np.float64)
        return np.asarray(share * numbers + (1 - share) * numbers[mix.partner])

    def typed(self, values: "torch.Tensor", *, is_mixed: bool) -> "torch.Tensor":
        """Return the numbers as float64."""
        return values.double()

    def with_noise(self, ids: Sequence[str], indices: Indices, share: float, seed: int) -> Self:
        """Return the target with normal noise on the numbers of `indices`, of `share` times their own deviation."""
        values, num = self.values.copy(), len(self.names)
        deviation = share * values[indices].std(axis=0)
        for index in indices:
            noise = deviation * rng_for(seed, "label noise", ids[index]).normal(size=num)
            values[index] += noise.astype(values.dtype)
        return replace(self, values=values)

    def summary(self, name: str, splits: Mapping[str, Indices]) -> list[str]:
        """Return the range and median of each field and split."""
        lines = [f"target {shown(name, 40)}: numbers{' in degrees' if self.is_round else ''}"]
        for column, field in enumerate(self.names or (name,)):
            for split, rows in splits.items():
                values = self.values[rows, column]
                if len(values):
                    middle = f"{values.min():.4g} to {values.max():.4g}, median {np.median(values):.4g}"
                    lines.append(f"  {shown(field, 40)}, {split}: {middle}")
        return lines
