"""Several labels an image: one sigmoid a class."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from striate.data.sample import Target

from .task import Decoded, Described, counted, mean_scores


@dataclass(frozen=True)
class Tag(Described):
    """Predict any number of K tags; outputs are logits (N, K), a tag is given at probability 0.5.

    Loss: binary cross-entropy, mean over tags and images; smoothing moves 0/1 towards 1/2; when balanced, a tag
    that an image has weighs as the tag's negatives per positive.
    """

    target: str
    names: tuple[str, ...]
    label_smoothing: float = 0.0
    positive_weights: tuple[float, ...] | None = None
    name: ClassVar[str] = "tag"
    kind: ClassVar[str] = "tags"
    unit: ClassVar[str] = ""
    monitor: ClassVar[str] = "f1"
    monitor_mode: ClassVar[str] = "max"

    @classmethod
    def fit(
        cls, name: str, target: Target, train_values: Any, *, label_smoothing: float = 0.0, is_balanced: bool = False
    ) -> Self:
        """Return the task; balanced weights are limited to 1..100."""
        weights = None
        if is_balanced:
            share = np.asarray(train_values, dtype=np.float64).mean(0)
            weights = tuple(np.clip((1 - share) / np.maximum(share, 1e-9), 1, 100).tolist())
        return cls(name, target.names, label_smoothing, weights)

    @property
    def num_outputs(self) -> int:
        """One logit a tag."""
        return len(self.names)

    def loss(self, outputs: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return {"binary_cross_entropy": scalar}.

        The weight goes by the true tag, between 1 and the positive's where images were mixed. Multiplying the
        positive term of a smoothed target instead (`pos_weight` of torch) gives a rare tag to every image.
        """
        truth, outputs = targets[self.target].float(), outputs.float()
        smooth = truth * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        weight = 1 + (outputs.new_tensor(self.positive_weights) - 1) * truth if self.positive_weights else None
        return {"binary_cross_entropy": F.binary_cross_entropy_with_logits(outputs, smooth, weight)}

    def losses(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the plain binary cross-entropy of each image (N,), mean over tags."""
        return F.binary_cross_entropy_with_logits(outputs.float(), truth.float(), reduction="none").mean(1)

    def tally(self, outputs: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Return (loss, exact matches, true positives, false positives, false negatives, images) as sums."""
        shares = targets[self.target]  # 0 or 1, between them where pictures were mixed
        truth, given = shares >= 0.5, outputs > 0
        exact = (truth == given).all(1).sum()
        hits, extra, missed = (truth & given).sum(), (~truth & given).sum(), (truth & ~given).sum()
        return counted(self.losses(outputs, shares).sum(), exact, hits, extra, missed, count=len(truth))

    def summarise(self, sums: Tensor) -> dict[str, float]:
        """Return {"loss", "exact_match", "f1"}; f1 is micro-averaged."""
        means = mean_scores(sums, ("loss", "exact_match", "hits", "extra", "missed"))
        total = 2 * means["hits"] + means["extra"] + means["missed"]
        f1 = 2 * means["hits"] / total if total else float("nan")
        return {"loss": means["loss"], "exact_match": means["exact_match"], "f1": f1}

    def decode(self, outputs: Tensor) -> Decoded:
        """Return 0/1 (N, K) and sigmoid probabilities (N, K)."""
        probabilities = outputs.float().sigmoid().cpu()
        return Decoded((probabilities > 0.5).long(), probabilities)
