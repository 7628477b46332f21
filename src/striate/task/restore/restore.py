"""What all tasks of restoration share: the image is spoiled as the network gets it, and is what it is to give.

Outputs are normalised as the images are, so that a network may add what it makes to what came in. Scores are of 8 bits,
as a file has them, against what the best simple method makes of the same spoiled image.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from striate.base.choose import choose
from striate.base.errors import SettingsError
from striate.base.settings import Settings
from striate.data.augment.effect import sent
from striate.data.sample import Batch
from striate.data.target import Target
from striate.metric import Answers, Metric
from striate.metric.image_quality import (
    against,
    checkerboard,
    gain,
    mean_checkerboard,
    mean_psnr,
    mean_ssim,
    psnr,
    ssim,
)
from striate.metric.loss import LOSS
from striate.model import zoo
from striate.nn import similarity
from striate.nn.constant import constants
from striate.task.defaults import Defaults, Sums, mean_scores, with_count
from striate.task.head import Image
from striate.task.objective import Objective, Which
from striate.task.protocol import Decoded
from striate.task.series import Step
from striate.task.views import View, mean_outputs, undo

from .baseline import Methods
from .degrade import rounded

RECORDS = "quality"  # what they are called in files
SHARE = 0.84  # of SSIM in the mixed loss (Zhao et al., arXiv:1511.08861, section 3.4)
Loss = Callable[[Tensor, Tensor], Tensor]


def squared(truth: Tensor, images: Tensor) -> Tensor:
    """Return the mean squared error of each image (N,)."""
    return (truth - images).square().mean((1, 2, 3))


def absolute(truth: Tensor, images: Tensor) -> Tensor:
    """Return the mean absolute error of each image (N,)."""
    return (truth - images).abs().mean((1, 2, 3))


def mixed(truth: Tensor, images: Tensor) -> Tensor:
    """Return 0.84 (1 - SSIM) + 0.16 times the absolute error of each image (N,)."""
    return SHARE * (1 - similarity.ssim(truth, images)) + (1 - SHARE) * absolute(truth, images)


LOSSES: dict[str, Loss] = {"mse": squared, "mae": absolute, "ssim": mixed}


class RestoreOptions(Settings):
    """`loss`: mean squared error ("mse"), mean absolute error ("mae"), or mostly structural similarity ("ssim")."""

    loss: Literal["mse", "mae", "ssim"] = "mse"


@dataclass(frozen=True)
class Restore(Sums, Defaults):
    """Give an image back. A subclass says how it is spoiled, and what the simple methods make of that.

    `mean` and `std` of each channel, by which images are normalised, are known when the training images are.
    `baselines` are the names of the simple methods.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    loss_name: str = "mse"
    scale: int = 1
    kind: ClassVar[str] = "map"
    kinds: ClassVar[tuple[str, ...]] = ("itself",)
    views: ClassVar[Any] = mean_outputs
    Options: ClassVar[type[Settings]] = RestoreOptions
    steps: ClassVar[Sequence[Step]] = (
        Step("residual", zoo.RESTORING, "restore", "a U-Net that corrects what comes in"),
        Step("anew", zoo.WITH_SKIPS, "restore", "a U-Net that makes the image anew"),
    )
    baselines: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def fit(
        cls, targets: Mapping[str, Target], train: npt.NDArray[np.intp],
        *, options: Settings | None = None, **_: Any,
    ) -> Self:  # fmt: skip
        """Return the task with its settings."""
        values = (options or cls.Options()).model_dump()
        return cls(next(iter(targets)), loss_name=values.pop("loss"), **values)

    def with_levels(self, mean: Sequence[float], std: Sequence[float]) -> Self:
        """Return the task for images that are normalised by these means and deviations of each channel."""
        return replace(self, mean=tuple(mean), std=tuple(std))

    @property
    def head(self) -> Image:
        """An image."""
        return Image(len(self.mean), self.scale)

    @property
    def metrics(self) -> Sequence[Metric]:  # type: ignore[override]
        """PSNR and SSIM, and how much better they are than those of the best simple method."""
        num, record = 1 + len(self.baselines), partial(self.records)
        both = ((mean_psnr(), 0), (mean_ssim(), num))
        scores = (against(metric, record, RECORDS, place) for metric, place in both)
        gains = (gain(metric, record, RECORDS, place, range(place + 1, place + num)) for metric, place in both)
        grid = [against(mean_checkerboard(), record, RECORDS, 2 * num)] if self.scale > 1 else []
        return (*scores, *gains, *grid, LOSS)

    def degrade(self, images: Tensor, keys: Tensor) -> Tensor:
        """Return images (N, C, H, W) in 0..1 spoiled, (N, C, H / scale, W / scale); the result is rounded after that.

        Args:
            keys: (N,) whole numbers to draw from, one an image.
        """
        raise NotImplementedError

    def methods(self, image: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> Methods:
        """Return what each of `baselines` makes of a spoiled image (h, w, C), at its strengths.

        Args:
            truth: (H, W, C), for what has to be known of the damage, such as where the holes are.
        """
        raise NotImplementedError

    def see(self, batch: Batch, keys: npt.NDArray[np.int64]) -> Batch:
        """Return the batch with spoiled images; the target is the images as they were, in 0..1."""
        clean = self._levels(batch.images).clamp(0, 1)
        given = rounded(self.degrade(clean, sent(torch.from_numpy(keys), clean)))
        return replace(batch, images=self._normal(given), targets={**batch.targets, self.target: clean})

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return {the loss's name: scalar}."""
        return {self.loss_name: self.losses(outputs, batch).mean()}

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the loss of each image (N,), of levels in 0..1."""
        return self._loss(batch.targets[self.target], self._levels(outputs.float()))

    @property
    def _loss(self) -> Loss:
        return choose("loss", self.loss_name, LOSSES, where="task.loss")

    def tally(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (loss, PSNR, SSIM, images) as sums."""
        truth, images = batch.targets[self.target], self.decode(outputs).values
        scores = (self.losses(outputs, batch), similarity.psnr(truth, images), similarity.ssim(truth, images))
        return with_count(*(score.double().sum() for score in scores), count=len(truth))

    def summarise(self, rows: Tensor | None) -> dict[str, float]:
        """Return {"loss", "psnr", "ssim"}."""
        return mean_scores(rows, ("loss", "psnr", "ssim"))

    def decode(self, outputs: Tensor) -> Decoded:
        """Return images (N, C, H, W) in 0..1, as a file of 8 bits has them."""
        return Decoded(rounded(self.exact(outputs).values))

    def exact(self, outputs: Tensor) -> Decoded:
        """Return images (N, C, H, W) of which 0 is black and 1 white, neither rounded nor cut off."""
        return Decoded(self._levels(outputs.float()))

    def truth(self, batch: Batch) -> Tensor:
        """Return (N, 2 C, H, W) in 0..1: the images as they were, then those the network got, pixels repeated."""
        given = self._levels(batch.images).clamp(0, 1)
        given = given.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)
        return torch.cat([batch.targets[self.target], given], 1)

    def records(self, answers: Answers) -> npt.NDArray[np.float64]:
        """Return (N, 2 (1 + B)): PSNR of the network and of B simple methods, then SSIM of all of them.

        Where images become larger, the share of the network's error in a grid of that scale stands behind them.
        A method's image is that of the strength with the highest PSNR.
        """
        rows = [self._record(*pair) for pair in zip(answers.truth, answers.values, strict=True)]
        return np.array(rows).reshape(len(rows), -1)

    def _record(self, both: npt.NDArray[Any], image: npt.NDArray[Any]) -> list[float]:
        truth, given = (_pixels(part) for part in np.split(both, 2))
        made = self.methods(given[:: self.scale, :: self.scale], truth)
        best = [max(made[name], key=partial(psnr, truth, data_range=255)) for name in self.baselines]
        images = [_pixels(image), *best]
        scores = [score(truth, one, data_range=255) for score in (psnr, ssim) for one in images]
        return [*scores, checkerboard(truth, images[0], self.scale)] if self.scale > 1 else scores

    def details(self, answers: Answers) -> dict[str, Any]:
        """Return the scores of each simple method, best first."""
        records, num = self.metrics[0].records(answers), 1 + len(self.baselines)
        rows = [
            {"name": name, "psnr": float(records[:, place].mean()), "ssim": float(records[:, num + place].mean())}
            for place, name in enumerate(self.baselines, 1)
        ]
        return {"baselines": sorted(rows, key=lambda row: -float(row["psnr"]))} if len(records) else {}

    def taken(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return an image (H, W, C) of a user's own as the network is to get it: it is spoiled already."""
        return image

    def objective(self, outputs: Tensor, which: Which = None) -> Objective:
        """Refuse.

        Raises:
            SettingsError: always.
        """
        what = f"the task {self.name} answers with an image, not with a number that hangs on pixels"
        raise SettingsError(what, where="explain", fix="see its feature maps: Flow in `striate explore RUN`")

    def undo_view(self, outputs: Tensor, view: View) -> Tensor:
        """Return images moved and mirrored back; a pixel that came in is `scale` pixels here."""
        return undo(outputs, View(view.is_mirrored, view.down_px * self.scale, view.right_px * self.scale))

    def to_json(self) -> dict[str, Any]:
        """Return a plain description."""
        return super().to_json() | {"layout": "images"}

    def _levels(self, images: Tensor) -> Tensor:
        std, mean = (constants(values, images).view(1, -1, 1, 1) for values in (self.std, self.mean))
        return images * std + mean

    def _normal(self, images: Tensor) -> Tensor:
        std, mean = (constants(values, images).view(1, -1, 1, 1) for values in (self.std, self.mean))
        return (images - mean) / std


def _pixels(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """(C, H, W) in 0..1 as (H, W, C) levels of 8 bits."""
    return np.ascontiguousarray(np.rint(image * 255).astype(np.uint8).transpose(1, 2, 0))
