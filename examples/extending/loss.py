"""A loss and a metric of one's own for classes: `striate train DATA --plugin loss.py --task careful`.

Everything else is that of classification: the head, the decoding, the other scores, the report.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F

from striate.metric import Metric
from striate.report.tasks import register as register_sections
from striate.report.tasks.classify import ClassifySections
from striate.task import register
from striate.task.classify import Classify

SURE_AND_WRONG = Metric(
    "sure_and_wrong",
    "share of images that are wrong with 90 % confidence",
    "min",
    form="percent",
    possible=(0, 1),
    record=lambda answers: ((answers.truth != answers.values) & (answers.probabilities.max(1) > 0.9))[:, None],
)


@register
@dataclass(frozen=True)
class Careful(Classify):
    """Classes by the poly-1 loss, cross-entropy + 1 - p of the true class (Leng et al. 2022, arXiv:2204.12511)."""

    name: ClassVar[str] = "careful"

    def loss(self, outputs, batch):
        """Return named parts, which are summed: means over the batch (N, K) of logits."""
        truth, outputs = batch.targets[self.target], outputs.float()
        shares = F.one_hot(truth, outputs.shape[1]).float() if truth.ndim == 1 else truth  # shares of mixed images
        missing = 1 - (shares * outputs.softmax(1)).sum(1)
        return {"cross_entropy": F.cross_entropy(outputs, shares), "poly": missing.mean()}

    @property
    def metrics(self):
        """The first one is what the best epoch is chosen by."""
        return (*super().metrics, SURE_AND_WRONG)


class CarefulSections(ClassifySections):
    """The report of classes, with the new score in its row of figures."""

    def figures(self, run):
        """Return the keys of the scores below the headline."""
        return (*super().figures(run), "sure_and_wrong")


register_sections("careful", CarefulSections())
