"""Steps that are left out because their gradient is not finite: how many, and how many are too many."""

import torch
from torch import Tensor

from .regularise import with_gradient

MAX_IN_A_ROW = 10  # one batch may be odd; a gradient that stays without bounds will not mend itself


def gradient_norm(parameters: list[Tensor]) -> Tensor:
    """Return the norm of the whole gradient, a scalar on its device; not finite where any of its numbers is not."""
    _, grads = with_gradient(parameters)
    return torch.stack(torch._foreach_norm(grads)).norm() if grads else torch.zeros(())


class Skips:
    """Counts the steps that are left out. They stay on the device, so that no step waits for it.

    Args:
        counts: (2,) int64: all of them so far, and those in a row up to now.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.counts = torch.zeros(2, dtype=torch.int64, device=device)

    @property
    def num(self) -> int:
        """All so far; on a GPU this waits for the device."""
        return int(self.counts[0])

    @property
    def num_in_a_row(self) -> int:
        """Those in a row up to now; on a GPU this waits for the device."""
        return int(self.counts[1])

    def add(self, is_finite: Tensor) -> None:
        """Count one more step, whose gradient is finite or is not."""
        is_lost = ~is_finite
        self.counts += is_lost
        self.counts[1].mul_(is_lost)  # `*=` would copy it once more
