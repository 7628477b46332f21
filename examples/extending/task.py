"""A task of one's own: an ordered class, learned as "is it above level k?" for every k. `--plugin task.py --task order`."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from striate.metric import Metric
from striate.report.tasks import Sections, register as register_sections
from striate.task import Decoded, Defaults, Vector, register

STEPS_OFF = Metric(
    "steps_off",
    "mean number of levels off",
    "min",
    possible=(0, np.inf),
    record=lambda answers: np.abs(answers.truth - answers.values[:, 0]).reshape(-1, 1),
)


@register
@dataclass(frozen=True)
class Order(Defaults):
    """Predict one of K levels, of which neighbours are alike; outputs are K - 1 logits (N, K - 1)."""

    name: ClassVar[str] = "order"
    kinds: ClassVar[tuple[str, ...]] = ("label",)
    metrics: ClassVar[tuple[Metric, ...]] = (STEPS_OFF,)

    @property
    def head(self) -> Vector:
        """One logit for each step between two levels."""
        return Vector(len(self.names) - 1)

    def losses(self, outputs: Tensor, batch) -> Tensor:
        """Return the mean binary cross-entropy over the steps (N,)."""
        above = batch.targets[self.target][:, None] > torch.arange(len(self.names) - 1, device=outputs.device)
        return F.binary_cross_entropy_with_logits(outputs.float(), above.float(), reduction="none").mean(1)

    def decode(self, outputs: Tensor) -> Decoded:
        """Return how many steps are taken (N, 1)."""
        return Decoded((outputs > 0).sum(1, keepdim=True).double())


class OrderSections(Sections):
    """The report's row of figures."""

    def figures(self, run) -> tuple[str, ...]:
        """Return the keys of the scores below the headline."""
        return ("steps_off", "loss")


register_sections("order", OrderSections())
