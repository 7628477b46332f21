"""Several labels an image: one sigmoid a class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor

from striate.data.sample import Batch
from striate.data.target import Target
from striate.metric import Answers, Metric
from striate.metric.accuracy import EXACT_MATCH
from striate.metric.calibration import ECE, bins_of
from striate.metric.confusion import figures
from striate.metric.f1 import MACRO_F1_TAGS, MICRO_F1
from striate.metric.loss import LOSS
from striate.metric.ranking import AUC_TAGS, MEAN_AVERAGE_PRECISION, area_under_roc, average_precision
from striate.nn.constant import constants

from .defaults import Defaults, Sums, mean_scores, with_count
from .protocol import Decoded
from .temperature import Sigmoid
from .views import mean_sigmoid


@dataclass(frozen=True)
class Tag(Sums, Defaults):
    """Predict any number of K tags; outputs are logits (N, K), a tag is given at probability 0.5.

    Loss: binary cross-entropy, mean over tags and images; smoothing moves 0/1 towards 1/2; when balanced, a tag
    that an image has weighs as the tag's negatives per positive.
    """

    label_smoothing: float = 0.0
    positive_weights: tuple[float, ...] | None = None
    name: ClassVar[str] = "tag"
    kind: ClassVar[str] = "tags"
    kinds: ClassVar[tuple[str, ...]] = ("tags",)
    views: ClassVar[Any] = mean_sigmoid
    is_mixable: ClassVar[bool] = True
    temperature: ClassVar[Any] = Sigmoid()

    @classmethod
    def fit(
        cls,
        targets: Mapping[str, Target],
        train: npt.NDArray[np.intp],
        *,
        label_smoothing: float = 0.0,
        is_balanced: bool = False,
        **_: Any,
    ) -> Self:
        """Return the task; balanced weights are limited to 1..100."""
        ((name, target),) = targets.items()
        weights = None
        if is_balanced:
            share = target.counts(train) / len(train)
            weights = tuple(np.clip((1 - share) / np.maximum(share, 1e-9), 1, 100).tolist())
        return cls(name, target.names, label_smoothing, weights)

    @property
    def metrics(self) -> Sequence[Metric]:  # type: ignore[override]
        """`f1` is over all tags and images together, the others but the exact match are means over tags."""
        return (MICRO_F1, EXACT_MATCH, MACRO_F1_TAGS, MEAN_AVERAGE_PRECISION, AUC_TAGS, LOSS, ECE)

    def details(self, answers: Answers) -> dict[str, Any]:
        """Return the figures of each tag, and the bins of calibration."""
        assert answers.probabilities is not None
        true, given = np.asarray(answers.truth).astype(bool), np.asarray(answers.values).astype(bool)
        rows = figures((true & given).sum(0), true.sum(0), given.sum(0), self.names)
        for k, row in enumerate(rows):
            tag, score = true[:, k], answers.probabilities[:, k]
            row |= {"ap": average_precision(tag, score), "auc": area_under_roc(tag, score)}
        return {"per_class": rows, "calibration": bins_of(answers)}

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return {"binary_cross_entropy": scalar}.

        The weight goes by the true tag, between 1 and the positive's where images were mixed. Multiplying the
        positive term of a smoothed target instead (`pos_weight` of torch) gives a rare tag to every image.
        """
        truth, outputs = batch.targets[self.target].float(), outputs.float()
        smooth = truth * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        weight = 1 + (constants(self.positive_weights, outputs) - 1) * truth if self.positive_weights else None
        return {"binary_cross_entropy": F.binary_cross_entropy_with_logits(outputs, smooth, weight)}

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the plain binary cross-entropy of each image (N,), mean over tags."""
        truth = batch.targets[self.target]
        return F.binary_cross_entropy_with_logits(outputs.float(), truth.float(), reduction="none").mean(1)

    def tally(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (loss, exact matches, true positives, false positives, false negatives, images) as sums."""
        shares = batch.targets[self.target]  # 0 or 1, between them where images were mixed
        truth, given = shares >= 0.5, outputs > 0
        exact = (truth == given).all(1).sum()
        hits, extra, missed = (truth & given).sum(), (~truth & given).sum(), (truth & ~given).sum()
        return with_count(self.losses(outputs, batch).sum(), exact, hits, extra, missed, count=len(truth))

    def summarise(self, rows: Tensor | None) -> dict[str, float]:
        """Return {"loss", "exact_match", "f1"}; f1 is micro-averaged."""
        means = mean_scores(rows, ("loss", "exact_match", "hits", "extra", "missed"))
        total = 2 * means["hits"] + means["extra"] + means["missed"]
        f1 = 2 * means["hits"] / total if total else float("nan")
        return {"loss": means["loss"], "exact_match": means["exact_match"], "f1": f1}

    def decode(self, outputs: Tensor) -> Decoded:
        """Return 0/1 (N, K) and sigmoid probabilities (N, K)."""
        probabilities = outputs.float().sigmoid()
        return Decoded((probabilities > 0.5).long(), probabilities)
