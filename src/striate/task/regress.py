"""One number an image, or a vector; an angle is two outputs, its sine and cosine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from striate.base.errors import DataError
from striate.data.sample import Batch
from striate.data.target import Number, Target
from striate.metric import Answers, Metric
from striate.metric.accuracy import within
from striate.metric.error import MEAN_ERROR_DEG, MEDIAN_ERROR_DEG, mae, per_field, r2, rmse
from striate.metric.loss import LOSS

from .defaults import Defaults, Sums, mean_scores, with_count
from .head import Vector
from .protocol import Decoded, Outputs


@dataclass(frozen=True)
class Regress(Sums, Defaults):
    """Predict D numbers. Loss: mean squared error of standardised numbers, or of sine and cosine for angles.

    Numbers keep float64 from the table to the scores: float32 has seven digits, coordinates and dates need more.
    Outputs are (N, D) standardised by the training split's `mean` and `std`; for angles (unit "deg") (N, 2 D), the
    sines before the cosines. The circle has no seam that way: 359 and 1 degree are two degrees apart.
    """

    unit: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    name: ClassVar[str] = "regress"
    kind: ClassVar[str] = "value"
    kinds: ClassVar[tuple[str, ...]] = ("value",)
    is_mixable: ClassVar[bool] = True

    @classmethod
    def fit(cls, targets: Mapping[str, Target], train: npt.NDArray[np.intp], **_: Any) -> Self:
        """Return the task with the scale of the training split.

        Raises:
            DataError: a value is not finite, or a field is constant on the training split.
        """
        ((name, target),) = targets.items()
        values = np.asarray(cast(Number, target).values[train], dtype=np.float64)
        if not np.isfinite(values).all():
            raise DataError("a value is not a finite number", where=name, fix="remove that row or fill in the number")
        std = values.std(0)
        names = target.names or (name,)
        if target.unit != "deg" and (std == 0).any():
            raise DataError(
                "the value is the same for every training image",
                where=names[int(np.argmin(std))],
                fix="choose another --target",
            )
        return cls(name, names, target.unit, tuple(values.mean(0).tolist()), tuple(std.tolist()))

    @property
    def is_angle(self) -> bool:
        """Whether the numbers are angles in degrees."""
        return self.unit == "deg"

    @property
    def monitor(self) -> str:
        """Mean error for angles, else the root of the mean squared error."""
        return "mean_error_deg" if self.is_angle else "rmse"

    @property
    def head(self) -> Vector:
        """D numbers, or 2 D for angles."""
        return Vector(len(self.names) * (2 if self.is_angle else 1))

    @property
    def metrics(self) -> Sequence[Metric]:  # type: ignore[override]
        """Errors over images and fields; angles also have their median and the share within 10 degrees."""
        shared = (rmse(self.unit), mae(self.unit), r2(self.unit), LOSS)
        return (*shared, MEAN_ERROR_DEG, MEDIAN_ERROR_DEG, within(10, "deg")) if self.is_angle else shared

    def details(self, answers: Answers) -> dict[str, Any]:
        """Return the errors of each field."""
        return {"per_field": per_field(answers, self.names, self.unit)}

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return {"squared_error": scalar}."""
        return {"squared_error": self.losses(outputs, batch).mean()}

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean squared error of each image (N,), on the scale of the outputs."""
        truth = batch.targets[self.target]
        return F.mse_loss(outputs.float(), self._encode(truth).float(), reduction="none").mean(1)

    def tally(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (loss, squared error, absolute error, within 10 degrees, images) as sums."""
        truth = batch.targets[self.target]
        error = self._error(self._decode(outputs), truth)
        near = (error < 10).float().mean(1).sum()
        sums = (self.losses(outputs, batch).sum(), error.square().mean(1).sum(), error.mean(1).sum(), near)
        return with_count(*sums, count=len(truth))

    def summarise(self, rows: Tensor | None) -> dict[str, float]:
        """Return {"loss", "rmse", "mae"}, for angles {"loss", "rmse", "mean_error_deg", "within_10_deg"}."""
        means = mean_scores(rows, ("loss", "squared", "absolute", "near"))
        scores = {"loss": means["loss"], "rmse": means["squared"] ** 0.5}
        if self.is_angle:
            return scores | {"mean_error_deg": means["absolute"], "within_10_deg": means["near"]}
        return scores | {"mae": means["absolute"]}

    def decode(self, outputs: Tensor) -> Decoded:
        """Return numbers (N, D) in the target's unit; angles in 0..360."""
        return Decoded(self._decode(outputs))

    def merge_views(self, outputs: Sequence[Outputs]) -> Outputs:
        """Refuse several views.

        Raises:
            DataError: always.
        """
        raise self._no_views("a number may change when the image is mirrored or moved")

    def _encode(self, truth: Tensor) -> Tensor:
        if self.is_angle:
            radians = torch.deg2rad(truth.double())
            return torch.cat([radians.sin(), radians.cos()], 1)
        truth = truth.double()
        return (truth - truth.new_tensor(self.mean)) / truth.new_tensor(self.std)

    def _decode(self, outputs: Tensor) -> Tensor:
        outputs = outputs.double()
        if self.is_angle:
            sine, cosine = outputs.chunk(2, 1)
            return torch.rad2deg(torch.atan2(sine, cosine)) % 360
        return outputs * outputs.new_tensor(self.std) + outputs.new_tensor(self.mean)

    def _error(self, predicted: Tensor, truth: Tensor) -> Tensor:
        error = (predicted - truth).abs()
        return torch.minimum(error % 360, 360 - error % 360) if self.is_angle else error
