"""A task of one's own, an ordered class: `striate train DATA --plugin task.py --task order`.

It is learned as "is it above level k?" for every k.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from striate.metric import Metric
from striate.report.tasks import Sections
from striate.report.tasks import register as register_sections
from striate.task import Decoded, Defaults, Vector, register

STEPS_OFF = Metric(
    "steps_off",
    "mean number of levels off",
    "min",
    possible=(0, np.inf),
    record=lambda answers: np.abs(answers.truth - answers.values),
)


@register
@dataclass(frozen=True)
class Order(Defaults):
    """Predict one of K levels, of which neighbours are alike; outputs are K - 1 logits (N, K - 1)."""

    num_levels: int = 2
    name: ClassVar[str] = "order"
    kinds: ClassVar[tuple[str, ...]] = ("label",)
    metrics: ClassVar[tuple[Metric, ...]] = (STEPS_OFF,)

    @classmethod
    def fit(cls, targets, train, **settings):
        """Return the task for a target with classes, which are the levels in their order."""
        ((name, target),) = targets.items()
        return cls(name, ("level",), len(target.names))

    @property
    def head(self) -> Vector:
        """One logit for each step between two levels."""
        return Vector(self.num_levels - 1)

    def losses(self, outputs: Tensor, batch) -> Tensor:
        """Return the mean binary cross-entropy over the steps (N,)."""
        above = batch.targets[self.target][:, None] > torch.arange(self.num_levels - 1, device=outputs.device)
        return F.binary_cross_entropy_with_logits(outputs.float(), above.float(), reduction="none").mean(1)

    def truth(self, batch) -> Tensor:
        """Return the levels as numbers (N, 1), laid out like the values of `decode`."""
        return batch.targets[self.target][:, None].double()

    def decode(self, outputs: Tensor) -> Decoded:
        """Return how many steps are taken (N, 1)."""
        return Decoded((outputs > 0).sum(1, keepdim=True).double())


class OrderSections(Sections):
    """The report's row of figures."""

    def figures(self, run) -> tuple[str, ...]:
        """Return the keys of the scores below the headline."""
        return ("steps_off", "loss")


register_sections("order", OrderSections())
