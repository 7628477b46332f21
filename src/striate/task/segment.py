"""A class for every pixel: softmax, and a loss over the pixels whose class is known."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor

from striate.base.choose import choose
from striate.base.errors import DataError
from striate.base.settings import Settings
from striate.data.geometry import WayBack
from striate.data.sample import IGNORE, Batch
from striate.data.target import Mask, Target
from striate.metric import Answers, Metric
from striate.metric.boundary import boundary_f1, boundary_iou, interior_iou, tolerance_px
from striate.metric.iou import (
    class_accuracy,
    constant_answer,
    image_dice,
    mean_dice,
    mean_iou,
    per_class,
    pixel_accuracy,
)
from striate.metric.loss import LOSS
from striate.model import zoo
from striate.nn.constant import constants
from striate.nn.losses import GAMMA, LOSSES, LossOptions

from .defaults import Defaults, Sums
from .head import Map
from .protocol import Decoded
from .series import Question, Step
from .views import mean_softmax

MAX_NUMBERS = 1 << 18  # of logits at an image's own size that are held at once: they stay in a core's cache
MAX_MASKS = 300  # whose pixels say how rare a class is, about
RAREST = 1e-4  # share of a class that a network starts from, at least
Weights = Literal["inverse", "median", "root"]
ENCODER = "model.encoder={base}"


class SegmentOptions(Settings):
    """How classes of pixels are learnt.

    `loss`: cross-entropy, dice, focal, lovasz or boundary, or a sum such as "cross-entropy+dice"; see `nn.losses`.
    `gamma` is that of focal. `class_weights` in the loss: "inverse" of each class's share of the training masks'
    pixels, or "median": the median share over its own, each of the masks that have the class (Eigen and Fergus 2015),
    or "root": the square root of the latter, which finds rare classes and takes less from the others.
    """

    loss: str = "cross-entropy"
    gamma: float = Field(GAMMA, ge=0, le=20)
    class_weights: Literal["none"] | Weights = "none"

    @field_validator("loss", mode="after")
    @classmethod
    def _known(cls, loss: str) -> str:
        for part in loss.split("+"):
            choose("loss", part, LOSSES, where="loss")
        return loss


@dataclass(frozen=True)
class Segment(Sums, Defaults):
    """Predict one of K classes for each pixel; outputs are logits (N, K, H, W), pixels whose truth is 255 do not count.

    Of volumes the same with one axis more: (N, K, D, H, W).

    Scores are of all pixels of a split together: mean IoU, which chooses the best epoch, Dice, class accuracy and pixel
    accuracy; boundary F1 is the mean over images. The loss in scores and history is plain cross-entropy, whatever is
    trained with: the mean over images of the mean over their known pixels, 0 of an image without any.
    """

    label_smoothing: float = 0.0
    criterion: str = "cross-entropy"
    gamma: float = GAMMA
    class_weights: tuple[float, ...] | None = None
    shares: tuple[float, ...] | None = None
    name: ClassVar[str] = "segment"
    kinds: ClassVar[tuple[str, ...]] = ("mask",)
    views: ClassVar[Any] = mean_softmax
    is_mixable: ClassVar[bool] = True
    usual_fit: ClassVar[str] = "squash"  # "crop" leaves a quarter of a photograph's pixels without an answer
    Options: ClassVar[type[Settings]] = SegmentOptions
    steps: ClassVar[Sequence[Step]] = (
        Step("strided", zoo.STRIDED, "baseline", "convolutions with stride, transposed convolutions"),
        Step("unpooling", zoo.UNPOOLING, "baseline", "pooling, unpooling to the remembered positions"),
        Step("nearest", zoo.NEAREST, "baseline", "pooling, nearest-neighbour unpooling"),
        Step(zoo.WITH_SKIPS, zoo.WITH_SKIPS, "baseline", "U-Net: pooling, transposed convolutions, skip connections"),
    )
    more_steps: ClassVar[Sequence[Step]] = (
        Step(
            "unet-regularized",
            zoo.WITH_SKIPS,
            "regularized",
            "U-Net + augmentation, dropout, weight decay, smooth labels",
        ),
    )
    pretrained_steps: ClassVar[Sequence[Step]] = (
        Step("encoder", zoo.WITH_SKIPS, "baseline", "U-Net on {base}, from scratch", (ENCODER,)),
        Step(
            "encoder-weights",
            zoo.WITH_SKIPS,
            "baseline",
            "U-Net on {base} that starts from its weights",
            (ENCODER, "transfer.weights={weights}"),
        ),
    )
    regions: ClassVar[tuple[str, str]] = ("boundary_iou", "interior_iou")
    questions: ClassVar[Sequence[Question]] = (
        Question("skip connections", zoo.WITH_SKIPS, ("unpooling", "nearest", "strided")),
        Question("the encoder's weights", "encoder-weights", ("encoder",), is_same_recipe=False),
        Question("regularization", "unet-regularized", (zoo.WITH_SKIPS,), is_same_recipe=False),
    )

    @classmethod
    def fit(
        cls,
        targets: Mapping[str, Target],
        train: npt.NDArray[np.intp],
        *,
        label_smoothing: float = 0.0,
        options: SegmentOptions = SegmentOptions(),
        **_: Any,
    ) -> Self:
        """Return the task.

        Raises:
            DataError: the classes of the masks have no names.
        """
        ((name, target),) = targets.items()
        if len(target.names) < 2:
            raise DataError("masks need the names of two classes or more", where=name, fix="name every class")
        mask, weights = cast(Mask, target), None
        if options.class_weights != "none":
            weights = weights_of(options.class_weights, mask.class_pixels[train])
        shares = shares_of(mask, train, weights)
        return cls(name, target.names, label_smoothing, options.loss, options.gamma, weights, shares)

    def region_text(self, size_hw: tuple[int, ...]) -> str:
        """Return within how many pixels of a boundary a pixel is near it."""
        return f"within {tolerance_px(size_hw)} px of a boundary of the truth"

    @property
    def head(self) -> Map:
        """A number a class for each pixel."""
        return Map(len(self.names))

    @property
    def prior(self) -> tuple[float, ...] | None:
        """The shares of the classes in the loss: where few pixels are of a class, that is not to be learnt first."""
        return self.shares

    @property
    def metrics(self) -> Sequence[Metric]:  # type: ignore[override]
        """The first four are of the same counts of pixels."""
        num = len(self.names)
        pixels = (mean_iou(num), pixel_accuracy(num), mean_dice(num), class_accuracy(num))
        return (*pixels, boundary_f1(num), boundary_iou(num), interior_iou(num), LOSS)

    def details(self, answers: Answers) -> dict[str, Any]:
        """Return the figures of each class, its Dice as a mean over images, and the best constant answer's scores."""
        records = self.metrics[0].records(answers)
        return {
            "per_class": per_class(records, self.names),
            "image_dice": image_dice(records, self.names),
            "constant": constant_answer(records, self.names),
        }

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return a scalar for each part of the loss, such as {"cross_entropy", "dice"}; 0 where no pixel is known."""
        outputs = outputs.float()
        weights = constants(self.class_weights, outputs) if self.class_weights else None
        options = LossOptions(weights, self.label_smoothing, self.gamma, IGNORE)
        truth = batch.targets[self.target]
        parts = self.criterion.split("+")
        return {part.replace("-", "_"): LOSSES[part](outputs, truth, options) for part in parts}

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the cross-entropy of each image (N,), mean over its known pixels."""
        truth: Tensor = batch.targets[self.target]
        pixels = F.cross_entropy(outputs.float(), truth, ignore_index=IGNORE, reduction="none")
        return pixels.flatten(1).sum(1) / (truth != IGNORE).flatten(1).sum(1).clamp(min=1)

    def tally(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (loss, images, the K x K counts of pixels, true classes as rows) as sums, float64."""
        truth, num = batch.targets[self.target], len(self.names)
        cells = (truth * num + most_probable(outputs)).masked_fill(truth == IGNORE, num * num).flatten()
        counts = torch.zeros(num * num + 1, dtype=torch.int64, device=cells.device)
        counts.scatter_add_(0, cells, torch.ones_like(cells))  # unlike bincount it does not wait for a GPU
        losses = self.losses(outputs, batch).double()
        return torch.cat([losses.sum()[None], losses.new_full((1,), len(truth)), counts[:-1].double()])

    def summarise(self, rows: Tensor | None) -> dict[str, float]:
        """Return {"loss", "mean_iou", "pixel_accuracy", "mean_dice", "class_accuracy"}."""
        num, known = len(self.names), self.metrics[:4]
        loss, count, *cells = [0.0] * (2 + num**2) if rows is None else rows.cpu().tolist()
        counts = np.array(cells).reshape(num, num)
        records = np.concatenate([np.diag(counts), counts.sum(1), counts.sum(0)])[None]
        scores = {metric.key: metric.score(records) for metric in known}
        found = {key: math.nan if score is None else score for key, score in scores.items()}
        return {"loss": loss / count if count else math.nan, **found}

    def decode(self, outputs: Tensor) -> Decoded:
        """Return class indices (N, H, W) uint8."""
        return Decoded(most_probable(outputs).to(torch.uint8))

    def truth(self, batch: Batch) -> Tensor:
        """Return the masks (N, H, W) uint8."""
        truth: Tensor = batch.targets[self.target]
        return truth.to(torch.uint8)

    def at_own_size(self, outputs: Tensor, ways: Sequence[WayBack]) -> list[npt.NDArray[Any]]:
        """Return class maps (H, W) uint8 of the images' own pixels, from logits between pixels; 255 where not seen."""
        return [own_classes(logits.float(), way) for logits, way in zip(outputs, ways, strict=True)]


def weights_of(way: Weights, pixels: npt.NDArray[np.int64]) -> tuple[float, ...]:
    """Return the weights of K classes from counts of pixels (N, K) of masks; 0 of a class that is nowhere.

    Example:
        >>> counts = np.array([[30, 10, 0], [60, 0, 0]])
        >>> [[round(one, 3) for one in weights_of(way, counts)] for way in ("inverse", "median", "root")]
        [[0.556, 5.0, 0.0], [0.639, 2.3, 0.0], [0.799, 1.517, 0.0]]
    """
    total = pixels.sum(0)
    is_there = total > 0
    among = total.sum() if way == "inverse" else ((pixels > 0) * pixels.sum(1, keepdims=True)).sum(0)
    shares = np.where(is_there, total / np.maximum(among, 1), 1.0)
    usual = 1 / max(1, is_there.sum()) if way == "inverse" else np.median(shares[is_there])
    weights = np.where(is_there, usual / shares, 0.0)
    return tuple((np.sqrt(weights) if way == "root" else weights).tolist())


def shares_of(mask: Mask, train: npt.NDArray[np.intp], weights: Sequence[float] | None) -> tuple[float, ...]:
    """Return the shares of K classes in the loss: of the pixels of a few hundred training masks, by their weights."""
    step = 1 + len(train) // MAX_MASKS
    counts = np.zeros(len(mask.names))
    for index in train[::step]:
        with suppress(DataError):  # such images are left out of training too
            counts += mask.pixels(int(index))[: len(counts)] * (1.0 if weights is None else np.array(weights))
    shares = np.maximum(counts / max(counts.sum(), 1.0), RAREST)
    return tuple((shares / shares.sum()).tolist())


def most_probable(logits: Tensor) -> Tensor:
    """Return the class (N, H, W) with the largest of logits (N, K, H, W)."""
    return logits.max(1).indices  # on a CPU argmax takes 2 to 7 times as long


def own_classes(logits: Tensor, way: WayBack) -> npt.NDArray[np.uint8]:
    """Return the most probable class of each of an image's own pixels, from logits (K, h, w) of the network's view.

    Logits are interpolated linearly between pixel centres, those of volumes are of their own voxels; 255 where the
    network saw nothing.
    """
    if logits.ndim == 4:
        return way.mask(most_probable(logits[None])[0].to(torch.uint8).cpu().numpy())
    y, x = way.places((logits.shape[1], logits.shape[2]))
    (top, bottom, down), (left, right, along) = _between(logits, 1, y), _between(logits, 2, x)
    wide = torch.lerp(logits[:, :, left], logits[:, :, right], along)
    size = max(1, MAX_NUMBERS // (len(logits) * len(x)))
    parts = (slice(start, start + size) for start in range(0, len(y), size))
    rows = (torch.lerp(wide[:, top[part]], wide[:, bottom[part]], down[part, None])[None] for part in parts)
    classes = torch.cat([most_probable(one)[0].to(torch.uint8) for one in rows]).cpu().numpy()
    return np.where(way.is_seen, classes, np.uint8(IGNORE))


def _between(logits: Tensor, axis: int, places: npt.NDArray[np.float64]) -> tuple[Tensor, Tensor, Tensor]:
    """The pixels before and after each place along an axis, and the share of the latter, on the logits' device."""
    last = logits.shape[axis] - 1
    at = (places - 0.5).clip(0, last)
    low = np.floor(at).astype(np.int64)
    numbers = (low, np.minimum(low + 1, last), (at - low).astype(np.float32))
    before, after, share = (torch.from_numpy(one).to(logits.device) for one in numbers)
    return before, after, share
