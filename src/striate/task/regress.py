"""One number an image, or a vector; an angle is two outputs by default, its sine and cosine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from striate.base.errors import DataError, SettingsError
from striate.base.settings import Settings
from striate.data.sample import Batch
from striate.data.target import Number, Target
from striate.metric import Answers, Metric
from striate.metric.accuracy import within
from striate.metric.error import MEAN_ERROR_DEG, MEDIAN_ERROR_DEG, mae, per_field, r2, rmse
from striate.metric.loss import LOSS

from .defaults import Defaults, Sums, mean_scores, with_count
from .encoding import Encoding, PlainAngle, Sectors, SineCosine, Standardised, signed
from .head import Vector
from .objective import Objective, Which, chosen
from .protocol import Decoded, Outputs

Angles = Literal["sine-cosine", "plain", "classes"]


class RegressOptions(Settings):
    """How angles are learnt, see `task.encoding`; other numbers have one way."""

    angles: Angles = "sine-cosine"


@dataclass(frozen=True)
class Regress(Sums, Defaults):
    """Predict D numbers. Loss: mean squared error of standardised numbers; for angles see `task.encoding`.

    Numbers keep float64 from the table to the scores: float32 has seven digits, coordinates and dates need more.
    Outputs are (N, D) standardised by the training split's `mean` and `std`; for angles (unit "deg") by default
    (N, 2 D), the sines before the cosines: that circle has no seam, 359 and 1 degree are two degrees apart.
    """

    unit: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    angles: Angles = "sine-cosine"
    name: ClassVar[str] = "regress"
    kind: ClassVar[str] = "value"
    kinds: ClassVar[tuple[str, ...]] = ("value",)
    is_mixable: ClassVar[bool] = True
    Options: ClassVar[type[Settings]] = RegressOptions

    @classmethod
    def fit(
        cls, targets: Mapping[str, Target], train: npt.NDArray[np.intp],
        *, options: RegressOptions = RegressOptions(), **_: Any,
    ) -> Self:  # fmt: skip
        """Return the task with the scale of the training split.

        Raises:
            DataError: a value is not finite, or a field is constant on the training split.
            SettingsError: a way for angles is given, and the numbers are none.
        """
        ((name, target),) = targets.items()
        if options != RegressOptions() and target.unit != "deg":
            what = f"{name} has no angles: it is {target.describe()}"
            raise SettingsError(what, where="task.angles", fix="leave it out, or choose another --target")
        values = np.asarray(cast(Number, target).values[train], dtype=np.float64)
        if not np.isfinite(values).all():
            raise DataError("a value is not a finite number", where=name, fix="remove that row or fill in the number")
        if options.angles == "plain" and target.unit == "deg":
            values = signed(torch.from_numpy(values)).numpy()
        std = values.std(0)
        names = target.names or (name,)
        if target.unit != "deg" and (std == 0).any():
            raise DataError(
                "the value is the same for every training image",
                where=names[int(np.argmin(std))],
                fix="choose another --target",
            )
        return cls(name, names, target.unit, tuple(values.mean(0).tolist()), tuple(std.tolist()), options.angles)

    @property
    def is_angle(self) -> bool:
        """Whether the numbers are angles in degrees."""
        return self.unit == "deg"

    @property
    def monitor(self) -> str:
        """Mean error for angles, else the root of the mean squared error."""
        return "mean_error_deg" if self.is_angle else "rmse"

    @property
    def encoding(self) -> Encoding:
        """How the numbers become outputs."""
        if not self.is_angle:
            return Standardised(self.mean, self.std)
        plain = PlainAngle(self.mean, self.std)
        ways: dict[str, Encoding] = {"sine-cosine": SineCosine(), "plain": plain, "classes": Sectors()}
        return ways[self.angles]

    @property
    def head(self) -> Vector:
        """D numbers; for angles 2 D, D or 36 D."""
        return Vector(len(self.names) * self.encoding.width)

    @property
    def metrics(self) -> Sequence[Metric]:  # type: ignore[override]
        """Errors over images and fields; angles also have their median and the share within 10 degrees."""
        shared = (rmse(self.unit), mae(self.unit), r2(self.unit), LOSS)
        return (*shared, MEAN_ERROR_DEG, MEDIAN_ERROR_DEG, within(10, "deg")) if self.is_angle else shared

    def details(self, answers: Answers) -> dict[str, Any]:
        """Return the errors of each field."""
        return {"per_field": per_field(answers, self.names, self.unit)}

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return {"squared_error": scalar}, or {"cross_entropy": scalar} for classes of angles."""
        return {self.encoding.loss_name: self.losses(outputs, batch).mean()}

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the loss of each image (N,), on the scale of the outputs."""
        return self.encoding.losses(outputs, batch.targets[self.target])

    def tally(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (loss, squared error, absolute error, within 10 degrees, images) as sums."""
        truth = batch.targets[self.target]
        error = self._error(self.encoding.decode(outputs), truth)
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
        return Decoded(self.encoding.decode(outputs))

    @property
    def choices(self) -> tuple[str, ...]:
        """The fields."""
        return self.names

    def objective(self, outputs: Tensor, which: Which = None) -> Objective:
        """Return a field's number in the target's unit, by default the first's; of angles see `task.encoding`."""
        indices = chosen(self.names, which, torch.zeros(len(outputs), dtype=torch.int64), "field")
        weights, text = self.encoding.direction(outputs.detach().float(), indices.to(outputs.device))
        names = tuple(self.names[index] for index in indices.tolist())
        return Objective(names, tuple(f"{text} {name}" for name in names), indices, weights)

    def merge_views(self, outputs: Sequence[Outputs]) -> Outputs:
        """Refuse several views.

        Raises:
            DataError: always.
        """
        raise self._no_views("a number may change when the image is mirrored or moved")

    def _error(self, predicted: Tensor, truth: Tensor) -> Tensor:
        error = (predicted - truth).abs()
        return torch.minimum(error % 360, 360 - error % 360) if self.is_angle else error
