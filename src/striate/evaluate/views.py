"""Test-time augmentation: the same image seen several ways, the probabilities averaged.

The views come in one fixed order, so `--views 2` is the image and its mirror image, `--views 6` these two in place
and moved by a small step up-left and down-right, `--views 10` also to the two other corners. A step is 1/32 of
the side, at least a pixel; what moves in is the reflection of the image at its edge. Mirror images are no help where
left and right mean something, such as in text.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from striate.base.errors import SettingsError
from striate.base.size import SizeHW
from striate.task import Outputs, Task, View
from striate.task.protocol import require_views
from striate.task.views import each

STEPS = ((0, 0), (-1, -1), (1, 1), (-1, 1), (1, -1))  # down, right
MAX_VIEWS = 2 * len(STEPS)  # each step plain and mirrored
TTA = 6  # what --tta means


def view(images: Tensor, number: int) -> Tensor:
    """Return view `number` (0 is the image as it is) of images (N, C, H, W).

    Example:
        >>> import torch
        >>> view(torch.arange(3.0).reshape(1, 1, 1, 3), 1).tolist()
        [[[[2.0, 1.0, 0.0]]]]
    """
    height, width = images.shape[2:]
    how = view_of(number, (height, width))
    seen = images.flip(3) if how.is_mirrored else images
    if not (how.down_px or how.right_px):
        return seen
    across, down = abs(how.right_px), abs(how.down_px)
    padded = F.pad(seen, (across, across, down, down), mode="reflect")
    top, left = down - how.down_px, across - how.right_px
    return padded[:, :, top : top + height, left : left + width]


def view_of(number: int, size_hw: SizeHW) -> View:
    """Return how view `number` sees images of this height and width.

    Example:
        >>> view_of(3, (64, 64))
        View(is_mirrored=True, down_px=-2, right_px=-2)
    """
    step, is_mirrored = divmod(number, 2)
    down, right = STEPS[step]
    return View(bool(is_mirrored), down * _step_px(size_hw[0]), right * _step_px(size_hw[1]), size_hw)


def _step_px(side_px: int) -> int:
    return max(1, round(side_px / 32))


class Averaged(nn.Module):
    """A network whose outputs are those of the first `num_views` views, merged by the task: for classes and tags the
    logits of the mean probability.

    Raises:
        SettingsError: there are not that many views.
        DataError: the task cannot merge views, see `Task.merge_views`.

    Reference: Krizhevsky et al., "ImageNet classification with deep convolutional neural networks" (2012), section
    4.1, which averages over mirrored and shifted patches.
    """

    def __init__(self, network: nn.Module, task: Task, num_views: int) -> None:
        super().__init__()
        if not 1 <= num_views <= MAX_VIEWS:
            raise SettingsError(f"{num_views} views", where="--views", fix=f"choose 1 to {MAX_VIEWS}")
        require_views(task, num_views)
        self.network, self.task, self.num_views = network, task, num_views

    def forward(self, images: Tensor) -> Outputs:
        """Return the merged outputs of all views, as the task merges them; of classes and tags logits (N, K)."""
        views = []
        for number in range(self.num_views):
            outputs = each(Tensor.float, self.network(view(images, number)))
            views.append(self.task.undo_view(outputs, view_of(number, (images.shape[2], images.shape[3]))))
        return self.task.merge_views(views)
