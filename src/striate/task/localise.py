"""One object an image: its class and the box around it, from one network with two losses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from striate.base.errors import DataError
from striate.base.settings import Settings
from striate.base.size import SizeHW
from striate.base.text import plural, verb
from striate.data.sample import Batch
from striate.data.target import Boxes, Ragged, Target
from striate.data.target.palette import colour_of, line_px
from striate.metric import Metric
from striate.metric.box import BOTH_RIGHT, BOX_IOU, BOX_RIGHT, CLASS_RIGHT
from striate.metric.loss import LOSS
from striate.nn.boxes import pair_giou
from striate.nn.constant import constants

from .answer import Answer
from .defaults import Defaults
from .head import Vector
from .objective import Objective, Which, chosen, single
from .protocol import Decoded

TRUE_COLOUR = (0, 200, 0)
NUM_SIDES = 4


class LocaliseOptions(Settings):
    """What the losses of the class and of the box count for in their sum."""

    class_weight: float = Field(1.0, ge=0, le=1000)
    box_weight: float = Field(2.0, ge=0, le=1000)


@dataclass(frozen=True)
class Localise(Defaults):
    """Predict the class and the box of the one object in an image.

    Outputs are (N, K + 4): logits of K classes, then the box's middle (x, y), width and height, each a share of what
    the network sees once a sigmoid is taken. Losses: cross-entropy, and |difference| of the four sides (mean, as
    shares) + 1 - GIoU (Rezatofighi et al., arXiv:1902.09630); each with its weight. Truth and answers are (N, 5):
    class, x0, y0, x1, y1, sides as shares of the network's view.

    An image of which augmentation cuts the object away teaches nothing in that epoch.
    """

    class_weight: float = 1.0
    box_weight: float = 2.0
    name: ClassVar[str] = "localise"
    kind: ClassVar[str] = "place"
    kinds: ClassVar[tuple[str, ...]] = ("box",)
    metrics: ClassVar[Sequence[Metric]] = (BOTH_RIGHT, CLASS_RIGHT, BOX_RIGHT, BOX_IOU, LOSS)
    Options: ClassVar[type[Settings]] = LocaliseOptions
    is_placed: ClassVar[bool] = True
    usual_fit: ClassVar[str] = "squash"  # "crop" cuts boxes, and the whole of some objects

    @classmethod
    def fit(
        cls, targets: Mapping[str, Target], train: npt.NDArray[np.intp], *, options: Any = None, **settings: Any
    ) -> Self:
        """Return the task.

        Raises:
            DataError: an image has not exactly one box.
            SettingsError: see `Defaults.fit`.
        """
        ((name, target),) = targets.items()
        odd = int((np.diff(cast(Boxes, target).starts) != 1).sum())
        if odd:
            what = f"{odd:,} of {plural(len(target), 'image')} {verb(odd, 'has', 'have')} no box, or several, not one"
            raise DataError(what, where=name, fix="leave these images out, or choose another --task")
        weights = (options or LocaliseOptions()).model_dump()
        task = super().fit(targets, train, **settings)
        return cls(name, task.names or (name,), **weights)

    @property
    def head(self) -> Vector:
        """A number a class, and four of the box."""
        return Vector(len(self.names) + NUM_SIDES)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return {"class": scalar, "box": scalar}, weighted, means over the images whose object is seen."""
        return {part: losses.sum() / max(1, len(losses)) for part, losses in self._parts(outputs, batch)[0].items()}

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the weighted sum of both losses of each image (N,); 0 where the object is not seen."""
        parts, rows = self._parts(outputs, batch)
        return outputs.new_zeros(len(outputs), dtype=torch.float32).index_add(0, rows, parts["class"] + parts["box"])

    def _parts(self, outputs: Tensor, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """The losses of the M images whose object is seen (M,), and which images these are."""
        boxes: Ragged = batch.targets[self.target]
        rows, num = boxes.rows, len(self.names)
        outputs = outputs[rows].float()
        true, given = _shares(boxes.values, batch.size_hw), _xyxy(outputs[:, num:])
        of_class = F.cross_entropy(outputs[:, :num], boxes.fields["labels"], reduction="none")
        of_box = (true - given).abs().mean(1) + 1 - pair_giou(true, given)
        return {"class": self.class_weight * of_class, "box": self.box_weight * of_box}, rows

    def decode(self, outputs: Tensor) -> Decoded:
        """Return (N, 5) class and box, and the probabilities of the classes."""
        outputs, num = outputs.float(), len(self.names)
        label = outputs[:, :num].argmax(1, keepdim=True)
        return Decoded(torch.cat([label.float(), _xyxy(outputs[:, num:])], 1), outputs[:, :num].softmax(1))

    def truth(self, batch: Batch) -> Tensor:
        """Return (N, 5) class and box.

        Raises:
            DataError: what the network sees of an image cuts its object away.
        """
        boxes: Ragged = batch.targets[self.target]
        if lost := boxes.lengths.count(0):
            what = f"{plural(lost, 'image')} whose object lies outside what the network sees"
            raise DataError(what, where=self.target, fix="let the network see whole images: --fit letterbox")
        return torch.cat([boxes.fields["labels"][:, None].float(), _shares(boxes.values, batch.size_hw)], 1)

    @property
    def choices(self) -> tuple[str, ...]:
        """The classes."""
        return self.names

    def objective(self, outputs: Tensor, which: Which = None) -> Objective:
        """Return the logit of the object's class."""
        outputs = outputs.detach()
        return single(outputs, self.names, chosen(self.names, which, outputs[:, : len(self.names)].argmax(1)))

    def answers(self, decoded: Decoded) -> list[Answer]:
        """Return the class of each image, its probabilities, and the box as shares of what the network saw."""
        assert decoded.probabilities is not None
        return [
            Answer((self.names[int(label)],), (), dict(zip(self.names, shares, strict=True)), box=tuple(box))
            for (label, *box), shares in zip(decoded.values.tolist(), decoded.probabilities.tolist(), strict=True)
        ]

    def draw(self, image_u8: npt.NDArray[np.uint8], truth: Any, values: Any) -> npt.NDArray[np.uint8]:
        """Return an image (H, W, 3) with the true box (green) and the predicted one in the colour of its class."""
        import cv2

        drawn = np.repeat(image_u8, 3, axis=2) if image_u8.shape[2] == 1 else image_u8[:, :, :3].copy()
        size = np.array([drawn.shape[1], drawn.shape[0]] * 2)
        for (label, *box), colour in ((truth, TRUE_COLOUR), (values, None)):
            left, top, right, bottom = np.rint(np.array(box) * size).astype(int).tolist()
            line = colour or colour_of(int(label))
            cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), line, line_px(drawn))
        return drawn


def _shares(xyxy: Tensor, size_hw: SizeHW) -> Tensor:
    """Boxes in pixels of the network's input as shares of it."""
    height, width = size_hw
    return xyxy.float() / constants((width, height, width, height), xyxy)


def _xyxy(sides: Tensor) -> Tensor:
    """The boxes (N, 4) of a network's four numbers, cut at the border of its view."""
    middle, size = sides.sigmoid().chunk(2, 1)
    return torch.cat([middle - size / 2, middle + size / 2], 1).clamp(0, 1)
