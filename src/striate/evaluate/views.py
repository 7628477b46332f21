"""Test-time augmentation: the same picture seen several ways, the probabilities averaged.

The views come in one fixed order, so `--views 2` is the picture and its mirror image, `--views 6` these two in place
and moved by a small step up-left and down-right, `--views 10` also to the two other corners. A step is 1/32 of the
side, at least a pixel; what moves in is the reflection of the picture at its edge. Mirror images are no help where
left and right mean something, such as in text.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.base.errors import DataError, SettingsError
from striate.task import Task

STEPS = ((0, 0), (-1, -1), (1, 1), (-1, 1), (1, -1))  # down, right
MAX_VIEWS = 2 * len(STEPS)  # each step plain and mirrored
TTA = 6  # what --tta means


def view(images: Tensor, number: int) -> Tensor:
    """Return view `number` (0 is the picture as it is) of images (N, C, H, W).

    Example:
        >>> view(torch.arange(3.0).reshape(1, 1, 1, 3), 1).tolist()
        [[[[2.0, 1.0, 0.0]]]]
    """
    step, is_mirrored = divmod(number, 2)
    down, right = STEPS[step]
    seen = images.flip(3) if is_mirrored else images
    if not (down or right):
        return seen
    height, width = images.shape[2:]
    size_px = max(1, round(width / 32))
    padded = F.pad(seen, (size_px,) * 4, mode="reflect")
    top, left = size_px * (1 - down), size_px * (1 - right)
    return padded[:, :, top : top + height, left : left + width]


class Averaged(nn.Module):
    """A network whose outputs are the logits of the mean probability over the first `num_views` views.

    Raises:
        SettingsError: there are not that many views.
        DataError: the task has no probabilities.

    Reference: Krizhevsky et al., "ImageNet classification with deep convolutional neural networks" (2012), section
    4.1, which averages over mirrored and shifted patches.
    """

    def __init__(self, network: nn.Module, task: Task, num_views: int) -> None:
        super().__init__()
        if not 1 <= num_views <= MAX_VIEWS:
            raise SettingsError(f"{num_views} views", where="--views", fix=f"choose 1 to {MAX_VIEWS}")
        if task.kind == "value":
            raise DataError(
                "a number may change when the picture is mirrored or moved", where=task.target, fix="leave --views out"
            )
        self.network, self.kind, self.num_views = network, task.kind, num_views

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) whose softmax (for tags: sigmoid) is the mean probability."""
        outputs = torch.stack([self.network(view(images, number)).float() for number in range(self.num_views)])
        if self.kind == "label":
            return _log_mean(outputs.log_softmax(2))
        return _log_mean(F.logsigmoid(outputs)) - _log_mean(F.logsigmoid(-outputs))


def _log_mean(logs: Tensor) -> Tensor:
    return logs.logsumexp(0) - math.log(len(logs))
