"""One class an image: softmax and cross-entropy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from striate.base.settings import Settings
from striate.data.sample import Batch
from striate.data.target import Target
from striate.metric import Answers, Metric
from striate.metric.accuracy import ACCURACY, top
from striate.metric.calibration import ECE, bins_of
from striate.metric.confusion import KAPPA, MCC, balanced_accuracy, matrix, per_class
from striate.metric.f1 import macro_f1
from striate.metric.loss import LOSS
from striate.metric.ranking import AUC
from striate.nn.constant import constants
from striate.nn.losses import GAMMA, LOSSES, LossOptions

from .defaults import Defaults, Sums, mean_scores, with_count
from .protocol import Decoded
from .temperature import Softmax
from .views import mean_softmax


class ClassifyOptions(Settings):
    """The loss: cross-entropy, or focal with its `gamma`."""

    loss: Literal["cross-entropy", "focal"] = "cross-entropy"
    gamma: float = Field(GAMMA, ge=0, le=20)


@dataclass(frozen=True)
class Classify(Sums, Defaults):
    """Predict one of K classes; outputs are logits (N, K).

    Loss: cross-entropy or focal, with label smoothing; when balanced each image weighs as its class. See `nn.losses`.
    Targets are class indices (N,), or shares (N, K) where images were mixed: then the loss has them all, and a
    prediction is right when it names the class with the largest share.
    """

    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    criterion: str = "cross-entropy"
    gamma: float = GAMMA
    name: ClassVar[str] = "classify"
    kind: ClassVar[str] = "label"
    kinds: ClassVar[tuple[str, ...]] = ("label",)
    views: ClassVar[Any] = mean_softmax
    is_mixable: ClassVar[bool] = True
    temperature: ClassVar[Any] = Softmax()
    Options: ClassVar[type[Settings]] = ClassifyOptions

    @classmethod
    def fit(
        cls,
        targets: Mapping[str, Target],
        train: npt.NDArray[np.intp],
        *,
        label_smoothing: float = 0.0,
        is_balanced: bool = False,
        options: ClassifyOptions = ClassifyOptions(),
        **_: Any,
    ) -> Self:
        """Return the task; balanced class weights are N / (K x count), so their mean over images is 1."""
        ((name, target),) = targets.items()
        weights = None
        if is_balanced:
            counts = target.counts(train)
            present = max(1, int((counts > 0).sum()))
            weights = tuple(float(counts.sum() / (present * count)) if count else 0.0 for count in counts)
        return cls(name, target.names, label_smoothing, weights, options.loss, options.gamma)

    @property
    def metrics(self) -> Sequence[Metric]:  # type: ignore[override]
        """Top-5 accuracy where there are more than 5 classes; the area under the ROC curve is one against the rest."""
        num = len(self.names)
        several = (top(5),) if num > 5 else ()
        return (ACCURACY, balanced_accuracy(num), macro_f1(num), LOSS, *several, ECE, AUC, KAPPA, MCC)

    def details(self, answers: Answers) -> dict[str, Any]:
        """Return the confusion matrix, the figures of each class, and the bins of calibration."""
        counts = matrix(np.asarray(answers.truth, dtype=np.int64), np.asarray(answers.values), len(self.names))
        rows = per_class(counts, self.names)
        return {"confusion": counts.tolist(), "per_class": rows, "calibration": bins_of(answers)}

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return {"cross_entropy": scalar}, or {"focal"}: the mean over the batch, weighted by the true classes."""
        outputs = outputs.float()
        weights = constants(self.class_weights, outputs) if self.class_weights else None
        options = LossOptions(weights, self.label_smoothing, self.gamma)
        loss = LOSSES[self.criterion](outputs, batch.targets[self.target], options)
        return {self.criterion.replace("-", "_"): loss}

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the plain cross-entropy of each image (N,)."""
        return F.cross_entropy(outputs.float(), batch.targets[self.target], reduction="none")

    def tally(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (sum of plain losses, number right, number of images)."""
        truth = batch.targets[self.target]
        right = (outputs.argmax(1) == (truth if truth.ndim == 1 else truth.argmax(1))).sum()
        return with_count(self.losses(outputs, batch).sum(), right, count=len(truth))

    def summarise(self, rows: Tensor | None) -> dict[str, float]:
        """Return {"loss", "accuracy"}."""
        return mean_scores(rows, ("loss", "accuracy"))

    def decode(self, outputs: Tensor) -> Decoded:
        """Return class indices (N,) and softmax probabilities (N, K)."""
        probabilities = outputs.float().softmax(1)
        return Decoded(probabilities.argmax(1), probabilities)
