"""What every operation is: typed settings, and its columns of the epoch's table of random numbers."""

from typing import Annotated, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from striate.base.seeds import rng_for
from striate.base.settings import Settings

Draws = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]
Matrices = npt.NDArray[np.float64]
Probability = Annotated[float, Field(ge=0, le=1)]
Range = tuple[float, float]
Checked = TypeVar("Checked", bound=Settings)


class Operation(Settings):
    """One row of a pipeline."""

    num_draws: ClassVar[int] = 1

    def draw(self, num_samples: int, seed: int, epoch: int, place: int) -> Draws:
        """Return (num_samples, num_draws) numbers, uniform in 0..1; row i does not depend on `num_samples`.

        Args:
            num_samples: rows.
            seed: the run's seed.
            epoch: from 0.
            place: the operation's place in its pipeline.
        """
        return rng_for(seed, "augment", epoch, place).random((num_samples, self.num_draws), np.float32)


def between(low: float, high: float, draws: Draws) -> Numbers:
    """Return draws from 0..1 brought to low..high."""
    return low + (high - low) * draws.astype(np.float64)


def ordered(op: Checked, low: float, high: float) -> Checked:
    """Return `op` if low <= high (pydantic turns the ValueError into a settings error naming the field)."""
    if low > high:
        raise ValueError(f"the range {low}..{high} is upside down")
    return op
