"""A class for every pixel: softmax and cross-entropy over the pixels whose class is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from striate.base.errors import DataError
from striate.data.sample import IGNORE, Batch
from striate.data.target import Target
from striate.metric import Answers, Metric
from striate.metric.iou import class_accuracy, mean_dice, mean_iou, per_class, pixel_accuracy
from striate.metric.loss import LOSS

from .defaults import Defaults, Sums
from .head import Map
from .protocol import Decoded
from .views import mean_softmax


@dataclass(frozen=True)
class Segment(Sums, Defaults):
    """Predict one of K classes for each pixel; outputs are logits (N, K, H, W), pixels whose truth is 255 do not count.

    Loss: cross-entropy, mean over all known pixels of a batch. Scores are of all pixels of a split together: mean IoU,
    which chooses the best epoch, Dice, class accuracy and pixel accuracy. An image without a known pixel has loss 0.
    """

    name: ClassVar[str] = "segment"
    kinds: ClassVar[tuple[str, ...]] = ("mask",)
    views: ClassVar[Any] = mean_softmax

    @classmethod
    def fit(cls, targets: Mapping[str, Target], train: npt.NDArray[np.intp], **settings: Any) -> Self:
        """Return the task.

        Raises:
            DataError: the classes of the masks have no names.
            SettingsError: see `Defaults.fit`.
        """
        ((name, target),) = targets.items()
        if len(target.names) < 2:
            raise DataError("masks need the names of two classes or more", where=name, fix="name every class")
        return super().fit(targets, train, **settings)

    @property
    def head(self) -> Map:
        """A number a class for each pixel."""
        return Map(len(self.names))

    @property
    def metrics(self) -> Sequence[Metric]:  # type: ignore[override]
        """All but the loss are of the same counts of pixels."""
        num = len(self.names)
        return (mean_iou(num), pixel_accuracy(num), mean_dice(num), class_accuracy(num), LOSS)

    def details(self, answers: Answers) -> dict[str, Any]:
        """Return the figures of each class."""
        return {"per_class": per_class(self.metrics[0].records(answers), self.names)}

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return {"cross_entropy": scalar}, the mean over the known pixels of the batch; 0 where none is known."""
        truth = batch.targets[self.target]
        total = F.cross_entropy(outputs.float(), truth, ignore_index=IGNORE, reduction="sum")
        return {"cross_entropy": total / (truth != IGNORE).sum().clamp(min=1)}

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the cross-entropy of each image (N,), mean over its known pixels."""
        truth: Tensor = batch.targets[self.target]
        pixels = F.cross_entropy(outputs.float(), truth, ignore_index=IGNORE, reduction="none")
        return pixels.sum((1, 2)) / (truth != IGNORE).sum((1, 2)).clamp(min=1)

    def tally(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (loss, images, the K x K counts of pixels, true classes as rows) as sums, float64."""
        truth, num = batch.targets[self.target], len(self.names)
        cells = (truth * num + outputs.argmax(1)).masked_fill(truth == IGNORE, num * num).flatten()
        counts = torch.zeros(num * num + 1, dtype=torch.int64, device=cells.device)
        counts.scatter_add_(0, cells, torch.ones_like(cells))
        losses = self.losses(outputs, batch).double()
        return torch.cat([torch.stack([losses.sum(), losses.new_tensor(len(truth))]), counts[:-1].double()])

    def summarise(self, rows: Tensor | None) -> dict[str, float]:
        """Return {"loss", "mean_iou", "pixel_accuracy", "mean_dice", "class_accuracy"}."""
        known = {metric.key: metric for metric in self.metrics}
        if rows is None:
            return dict.fromkeys(known, float("nan"))
        num = len(self.names)
        loss, count, *cells = rows.double().cpu().tolist()
        counts = np.array(cells).reshape(num, num)
        records = np.concatenate([np.diag(counts), counts.sum(1), counts.sum(0)])[None]
        scores = {key: metric.score(records) for key, metric in known.items() if key != "loss"}
        found = {key: float("nan") if score is None else score for key, score in scores.items()}
        return {"loss": loss / count if count else float("nan"), **found}

    def decode(self, outputs: Tensor) -> Decoded:
        """Return class indices (N, H, W) uint8."""
        return Decoded(outputs.argmax(1).to(torch.uint8))

    def truth(self, batch: Batch) -> Tensor:
        """Return the masks (N, H, W) uint8."""
        truth: Tensor = batch.targets[self.target]
        return truth.to(torch.uint8)
