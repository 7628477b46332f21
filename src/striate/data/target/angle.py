"""Directions in an image, in degrees."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from .number import Number

if TYPE_CHECKING:
    from ..augment.plan import Plan


@dataclass(frozen=True)
class Angle(Number):
    """D directions an image: `values` (N, D) degrees, anticlockwise as seen on the screen from the direction right.

    They turn with the image and are not mixed: halfway between two directions points somewhere else.
    """

    unit: str = "deg"
    mixes: ClassVar[frozenset[str]] = frozenset()
    untrue_after: ClassVar[frozenset[str]] = frozenset({"flip", "alternating_flip"})  # a mirrored 2 has no upright
    is_round: ClassVar[bool] = True

    @property
    def form(self) -> str:
        """The word of messages on mixing."""
        return "angle"

    def moved(self, values: npt.NDArray[Any], plan: "Plan") -> npt.NDArray[np.float64]:
        """Return the directions (B, D) after the plan, in 0..360."""
        from ..augment.move import move_angles

        return move_angles(values.astype(np.float64), plan)
