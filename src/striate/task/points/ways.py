"""How the places of K points are made of a network's outputs: two numbers each, or a map each.

Places are shares (0 to 1) of the network's view, from its outer corner: (N, K, 2) xy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.base.size import SizeHW
from striate.model.blueprint import Blueprint

from ..head import Head, Map, Vector
from ..objective import Objective, Which, chosen, single
from ..views import View, log_mean, undo

REACH = 0.25  # of the view: an output of 1 is so far from the middle, about the spread of places
WINDOW = 3.0  # spreads around the highest pixel, from which a place between pixels is read


class Way(Protocol):
    """One way from outputs to places, and what it learns from."""

    loss_name: ClassVar[str]

    def head(self, num: int) -> Head:
        """Return what a network must give for so many points."""

    def losses(self, outputs: Tensor, places: Tensor) -> Tensor:
        """Return the training loss (N, K) of each point; that of points that are not marked means nothing."""

    def places(self, outputs: Tensor) -> Tensor:
        """Return the places (N, K, 2)."""

    def undo(self, outputs: Tensor, view: View, order: Sequence[int]) -> Tensor:
        """Return the outputs for a view of images as outputs for the images, see `task.views`.

        Args:
            order: which point of a mirrored image is each one of the image.
        """

    def merge(self, outputs: Tensor) -> Tensor:
        """Return one of the outputs (V, N, ...) of several views, undone."""

    def choices(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of the numbers that an explanation can be about."""

    def objective(self, outputs: Tensor, names: tuple[str, ...], which: Which) -> Objective:
        """Return the number that an explanation is about."""


@dataclass(frozen=True)
class Direct:
    """Outputs (N, 2 K): x of all points, then y, from the middle of the view. Loss: smooth L1, mean of both.

    Example:
        >>> Direct().places(torch.tensor([[0.0, 1.0, 0.0, -1.0]])).tolist()
        [[[0.5, 0.5], [0.75, 0.25]]]
    """

    loss_name: ClassVar[str] = "smooth_l1"

    def head(self, num: int) -> Vector:
        """Return two numbers a point."""
        return Vector(2 * num)

    def losses(self, outputs: Tensor, places: Tensor) -> Tensor:
        """Return the smooth L1 (N, K) in the outputs' scale."""
        wanted = (places - 0.5) / REACH
        losses: Tensor = F.smooth_l1_loss(_pairs(outputs), wanted, reduction="none", beta=0.1).mean(2)
        return losses

    def places(self, outputs: Tensor) -> Tensor:
        """Return the places, cut at the border of the view."""
        return (0.5 + REACH * _pairs(outputs)).clamp(0, 1)

    def undo(self, outputs: Tensor, view: View, order: Sequence[int]) -> Tensor:
        """Return the places moved back, and of a mirrored image mirrored back, those of pairs for each other."""
        height, width = view.size_hw
        x, y = outputs.float().chunk(2, 1)
        x, y = x - view.right_px / width / REACH, y - view.down_px / height / REACH
        return torch.cat([-x[:, order], y[:, order]] if view.is_mirrored else [x, y], 1)

    def merge(self, outputs: Tensor) -> Tensor:
        """Return the mean."""
        return outputs.mean(0)

    def choices(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return both coordinates of each point."""
        return tuple(f"{axis}_{name}" for axis in "xy" for name in names)

    def objective(self, outputs: Tensor, names: tuple[str, ...], which: Which) -> Objective:
        """Return a coordinate, by default the first."""
        choices = self.choices(names)
        usual = torch.zeros(len(outputs), dtype=torch.int64)
        return single(outputs, choices, chosen(choices, which, usual, "coordinate"), "value of")


def _pairs(outputs: Tensor) -> Tensor:
    return torch.stack(outputs.float().chunk(2, 1), 2)


@dataclass(frozen=True)
class Maps(Head):
    """A map a point, of the image's size; the answer is no map, but a place in each."""

    maps: Map
    is_dense: ClassVar[bool] = True

    @property
    def outputs(self) -> int:
        """Channels of the maps."""
        return self.maps.outputs

    def fits(self, outputs: object, images: Tensor) -> bool:
        """Return whether it is one floating-point tensor (N, K, H, W)."""
        return self.maps.fits(outputs, images)

    def wanted(self, images: Tensor) -> str:
        """Return in words what the outputs must be."""
        return self.maps.wanted(images)

    def extended(self, blueprint: Blueprint, *, channels: int, size_hw: tuple[int, ...]) -> Blueprint:
        """Return the blueprint with a decoder, where its last row is no map of the image's size."""
        return self.maps.extended(blueprint, channels=channels, size_hw=size_hw)


@dataclass(frozen=True)
class HeatMaps:
    """Outputs (N, K, H, W): a softmax over the pixels of each map is where the point may be.

    Loss: cross-entropy with a bell around the true place. The place is the mean of the softmax over a window around its
    highest pixel, so that it lies between pixels and another bump does not pull it away.

    Reference: Nibali et al., "Numerical coordinate regression with convolutional neural networks", arXiv:1801.07372.

    Args:
        spread: standard deviation of the bell as a share of the view's longer side; at least one pixel.
    """

    spread: float
    loss_name: ClassVar[str] = "cross_entropy"

    def head(self, num: int) -> Maps:
        """Return a map a point."""
        return Maps(Map(num))

    def losses(self, outputs: Tensor, places: Tensor) -> Tensor:
        """Return the cross-entropy (N, K)."""
        height, width = outputs.shape[2:]
        logs = outputs.float().flatten(2).log_softmax(2).view(outputs.shape)
        spread_px = self._spread_px((height, width))
        along = _bell(places[..., 0] * width, width, spread_px)
        down = _bell(places[..., 1] * height, height, spread_px)
        return -torch.einsum("nkh,nkhw,nkw->nk", down, logs, along)

    def places(self, outputs: Tensor) -> Tensor:
        """Return the places."""
        height, width = outputs.shape[2:]
        shares = outputs.float().flatten(2).softmax(2)
        peak = shares.max(2).indices
        shares = shares.view(outputs.shape)
        reach_px = WINDOW * self._spread_px((height, width))
        x, y = (torch.arange(side, device=outputs.device) for side in (width, height))
        is_along = ((peak % width)[..., None] - x).abs() <= reach_px
        is_down = ((peak // width)[..., None] - y).abs() <= reach_px
        near = shares * is_down[..., None] * is_along[:, :, None]
        total = near.sum((2, 3)).clamp(min=torch.finfo(near.dtype).tiny)
        means = [(near.sum(axis) * (at + 0.5)).sum(2) / total for axis, at in ((2, x), (3, y))]
        return torch.stack([means[0] / width, means[1] / height], 2)

    def _spread_px(self, size_hw: SizeHW) -> float:
        return max(1.0, self.spread * max(size_hw))

    def undo(self, outputs: Tensor, view: View, order: Sequence[int]) -> Tensor:
        """Return the logarithms of the probabilities moved and mirrored back; nan where the view did not see."""
        logs = outputs.float().flatten(2).log_softmax(2).view(outputs.shape)
        moved = undo(logs, view)
        return moved[:, order] if view.is_mirrored else moved

    def merge(self, outputs: Tensor) -> Tensor:
        """Return the logarithm of the mean probability of each pixel, over the views that see it."""
        return log_mean(outputs)

    def choices(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the points."""
        return names

    def objective(self, outputs: Tensor, names: tuple[str, ...], which: Which) -> Objective:
        """Return the logit of a point at the pixel where it is highest; by default of the point with the highest."""
        flat = outputs.flatten(2)
        indices = chosen(names, which, flat.amax(2).argmax(1).cpu(), "point")
        rows, points = torch.arange(len(flat)), indices
        at = flat[rows, points].argmax(1)
        weights = torch.zeros_like(flat, dtype=torch.float32)
        weights[rows, points, at] = 1.0
        found = tuple(names[index] for index in indices.tolist())
        texts = tuple(f"highest logit of {name}" for name in found)
        return Objective(found, texts, indices, weights.view(outputs.shape))


def _bell(middle_px: Tensor, num: int, spread_px: float) -> Tensor:
    """A bell (N, K, num) over pixels that sums to 1; middles (N, K) are from the outer corner."""
    pixels = torch.arange(num, device=middle_px.device) + 0.5
    return (-((pixels - middle_px[..., None]) ** 2) / (2 * spread_px**2)).softmax(2)
