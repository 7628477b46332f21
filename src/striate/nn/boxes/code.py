"""Boxes as differences from others, as R-CNN and its heirs predict them."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..constant import constants

DELTA_WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of Fast R-CNN's second stage: about one over the deltas' deviation
LARGEST = math.log(1000 / 16)  # of a logarithm of a side: an untrained network's exponential must not overflow
UNIT = (1.0, 1.0, 1.0, 1.0)


def encode(xyxy: Tensor, anchors: Tensor, weights: Sequence[float] = UNIT) -> Tensor:
    """Return (..., 4) how boxes differ from their anchors, times `weights`.

    The middle's shift is in sides of the anchor, and sides are the logarithm of their ratio.

    Args:
        xyxy: boxes with an area.
        anchors: as many, with an area.

    Example:
        >>> encode(torch.tensor([[2.0, 0, 6, 4]]), torch.tensor([[0.0, 0, 4, 4]])).tolist()
        [[0.5, 0.0, 0.0, 0.0]]

    Reference: Girshick et al., "Rich feature hierarchies", CVPR 2014, appendix C.
    """
    (middle, sides), (anchor_middle, anchor_sides) = _middles(xyxy), _middles(anchors)
    deltas = torch.cat([(middle - anchor_middle) / anchor_sides, (sides / anchor_sides).log()], -1)
    return deltas * constants(weights, deltas)


def decode(deltas: Tensor, anchors: Tensor, weights: Sequence[float] = UNIT) -> Tensor:
    """Return the boxes (..., 4) that differ by `deltas` from their anchors; a side grows at most 62.5 times."""
    deltas = deltas / constants(weights, deltas)
    anchor_middle, anchor_sides = _middles(anchors)
    middle = deltas[..., :2] * anchor_sides + anchor_middle
    half = deltas[..., 2:].clamp(max=LARGEST).exp() * anchor_sides / 2
    return torch.cat([middle - half, middle + half], -1)


def _middles(xyxy: Tensor) -> tuple[Tensor, Tensor]:
    sides = xyxy[..., 2:] - xyxy[..., :2]
    return xyxy[..., :2] + sides / 2, sides
