"""What an explanation of an image is: a map over its pixels, of what, and how it was made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from striate.base.errors import ModelError
from striate.task import Objective

from .tap import Probe

Array = npt.NDArray[np.float32]
Report = Callable[[int, int], None]  # steps done, steps in all; what it raises ends the work
Method = Callable[..., "list[Explanation]"]  # of a probe, N images and their objective, an explanation of each
BATCH = 16  # images that go through the network at once
BATCH_PIXELS = BATCH * 224 * 224  # and no more pixels than these: their maps are kept for the gradient


@dataclass(frozen=True, eq=False)
class Explanation:
    """Which pixels one number of the network hangs on, by one method, for one image.

    Args:
        method: its name in `METHODS`.
        map: (H, W) over what the network saw; of volumes (D, H, W), and so with what follows.
        is_signed: whether numbers below 0 are for what lowers the score; else the map is 0 or above.
        subject: the class, tag or field that is explained.
        text: what the score is: "logit of cat".
        score: of the image.
        layer: whose map was used, "" where none was.
        gap: |sum of the map - (score - score of the baseline)| over |score - score of the baseline|, for methods that
            promise 0; else None.
        settings: of the method.
        values: (C, H, W) of each channel, None where the method has none.
        coarse: (h, w) the numbers as they were before they were laid over the image, None where that is the map.
    """

    method: str
    map: Array
    is_signed: bool
    subject: str
    text: str
    score: float
    layer: str = ""
    gap: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    values: Array | None = None
    coarse: Array | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what it is about, without its arrays."""
        more: dict[str, Any] = {"layer": self.layer} if self.layer else {}
        more |= {} if self.gap is None else {"gap": self.gap}
        return {
            "method": self.method,
            "target": self.subject,
            "score_of": self.text,
            "score": self.score,
            "settings": dict(self.settings),
            **more,
        }


def explanations(
    method: str,
    objective: Objective,
    scores: Tensor,
    maps: Tensor,
    *,
    is_signed: bool,
    settings: Mapping[str, Any] | None = None,
    values: Tensor | None = None,
    coarse: Tensor | None = None,
    gaps: Sequence[float] | None = None,
    layer: str = "",
) -> list[Explanation]:
    """Return one explanation an image from maps (N, H, W) and what else there is of each."""

    def array(of: Tensor | None, row: int) -> Array | None:
        return None if of is None else np.array(of[row].detach().float().cpu().numpy())

    return [
        Explanation(
            method,
            np.array(maps[row].detach().float().cpu().numpy()),
            is_signed,
            objective.names[row],
            objective.texts[row],
            float(scores[row]),
            layer,
            None if gaps is None else gaps[row],
            settings or {},
            array(values, row),
            array(coarse, row),
        )
        for row in range(len(objective))
    ]


def gradient_of(
    probe: Probe, images: Tensor, objective: Objective, rows: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the gradients (M, C, H, W) of the scores with respect to M images, and the scores (M,).

    Args:
        rows: (M,) which of the objective's images each is a version of.

    Raises:
        ModelError: the scores do not hang on the images, or not by a gradient.
    """
    leaf = images.detach().requires_grad_()
    scores = objective.score(probe(leaf), rows)
    if not scores.requires_grad:
        raise no_gradient(probe)
    (found,) = torch.autograd.grad(scores.sum(), leaf, allow_unused=True)
    if found is None:
        raise no_gradient(probe)
    return found, scores.detach()


def batch_of(images: Tensor) -> int:
    """Return how many of these images (N, C, ...) go through the network at once.

    Example:
        >>> batch_of(torch.empty(1, 3, 224, 224)), batch_of(torch.empty(1, 1, 64, 64, 64))
        (16, 3)
    """
    return max(1, min(BATCH, BATCH_PIXELS // images.shape[2:].numel()))


def no_gradient(probe: Probe) -> ModelError:
    """Return the error of a network through which no gradient flows."""
    what = "no gradient flows from the output to the image"
    return ModelError(what, where=type(probe.network).__name__, fix="explain it by occlusion")


def scores_of(probe: Probe, images: Tensor, objective: Objective, rows: Tensor | None = None) -> Tensor:
    """Return the scores (M,) of M images without gradients."""
    with torch.no_grad():
        return objective.score(probe(images), rows)
