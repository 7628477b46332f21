"""An export is a contract: what was written answers like the run, on real images, or it is not kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.base.text import plural
from striate.model.network import Network

Answers = Sequence[npt.NDArray[Any]]
MOST = 1e-3  # largest difference of a number from the run's, relative to the largest of them, and of a probability
MIN_EQUAL = 0.999  # share of classes that must be equal, where the run's two best are not closer than MOST


@dataclass(frozen=True)
class Agreement:
    """How much an export's answers differ from the run's.

    `difference` is the largest of probabilities, or of numbers relative to the largest number; `equal` the share of
    images, or of pixels, with the same class; 1 where there are no classes.
    """

    num_images: int
    difference: float
    equal: float

    @property
    def holds(self) -> bool:
        """Whether it is the same network, up to rounding."""
        return self.difference <= MOST and self.equal >= MIN_EQUAL

    @property
    def text(self) -> str:
        """What was measured, in a line."""
        return (
            f"{plural(self.num_images, 'image')}: largest difference {self.difference:.2g}, "
            f"{self.equal:.1%} of the answers equal"
        )

    def to_json(self) -> dict[str, Any]:
        """Return a plain document."""
        return {"num_images": self.num_images, "difference": self.difference, "equal": self.equal}


def compare(wanted: Answers, given: Answers) -> Agreement:
    """Return how two answers to the same N images agree, output by output.

    Whole numbers are classes: they count where the run's probabilities are not a tie.

    Example:
        >>> one = [np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]])]
        >>> compare(one, [np.array([0, 0]), one[1]]).equal
        0.5
    """
    difference, equal = 0.0, 1.0
    is_clear = _clear(wanted)
    for mine, other in zip(wanted, given, strict=True):
        if mine.shape != other.shape:
            return Agreement(len(mine), float("inf"), 0.0)
        if mine.dtype.kind in "iub":
            same = (mine == other).reshape(len(mine), -1)
            equal = min(equal, float(same[is_clear].mean()) if is_clear.any() else 1.0)
            continue
        is_there = ~np.isnan(mine)  # of ragged answers the rest is nan
        if not np.array_equal(is_there, ~np.isnan(other)):
            return Agreement(len(mine), float("inf"), 0.0)
        size = max(1.0, float(np.abs(mine[is_there]).max(initial=0)))
        gap = np.abs(mine[is_there].astype(np.float64) - other[is_there]) / size
        difference = max(difference, float(np.where(np.isfinite(gap), gap, np.inf).max(initial=0)))
    return Agreement(len(wanted[0]), difference, equal)


def _clear(wanted: Answers) -> npt.NDArray[np.bool_]:
    """The images (N,) of which the best two probabilities are not a tie."""
    if len(wanted) < 2 or wanted[1].ndim != 2 or wanted[1].shape[1] < 2:
        return np.ones(len(wanted[0]), bool)
    best = np.sort(wanted[1], axis=1)
    return np.asarray(best[:, -1] - best[:, -2] > MOST)


def require_equal(found: Agreement, what: str, where: object, name_row: Callable[[], str | None]) -> Agreement:
    """Return how they agree.

    Args:
        found: what `compare` says.
        where: the run.
        name_row: finds the first row of the network whose numbers differ.

    Raises:
        ModelError: they do not.
    """
    if not found.holds:
        row = name_row()
        place = f", first in row {row}" if row else ""
        raise ModelError(
            f"{what} answers otherwise than the run{place}; nothing was kept",
            where=where, fix="export with another --to", details=(found.text,),
        )  # fmt: skip
    return found


class Rows(nn.Module):
    """A network that answers with the output of each of its rows, in the order in which they ran."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.parts = dict(network.rows.items() if isinstance(network, Network) else network.named_children())

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return the tensor that each row gives, by its name."""
        found: dict[str, Tensor] = {}

        def keep(name: str) -> Callable[..., None]:
            return lambda _module, _inputs, out: found.update({name: out} if isinstance(out, Tensor) else {})

        hooks = [row.register_forward_hook(keep(name)) for name, row in self.parts.items()]
        try:
            self.network(images)
        finally:
            for hook in hooks:
                hook.remove()
        return found

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors that the rows give."""
        return tuple(self.outputs(images).values())


@torch.inference_mode()
def first_difference(network: nn.Module, images: Tensor, run: Callable[[nn.Module, Tensor], Answers]) -> str | None:
    """Return the name of the first row whose output, written and run again, differs; None where none does.

    Args:
        run: writes a module and returns its outputs for images.
    """
    module = Rows(network)
    wanted = module.outputs(images)
    for (name, mine), other in zip(wanted.items(), run(module, images), strict=True):
        if not compare([mine.numpy()], [other]).holds:
            return name
    return None
