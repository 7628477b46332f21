"""How much a score falls when a part of the image is covered (Zeiler and Fergus, arXiv:1311.2901, section 4.2)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from striate.base.errors import SettingsError
from striate.task import Objective

from .explanation import BATCH, Explanation, Report, explanations, scores_of
from .tap import Probe

SHARE = 5  # patches of a fifth of the image's shorter side, by default


@dataclass(frozen=True)
class Cover:
    """One place of the patch: rows `top` to `bottom`, columns `left` to `right`, ends left out."""

    top: int
    bottom: int
    left: int
    right: int


def covers(size_hw: tuple[int, int], patch: int, stride: int) -> tuple[list[Cover], tuple[int, int]]:
    """Return the places of a patch that slides over an image, and how many there are below and beside each other.

    The last ones are cut off by the border where the patch does not fit.

    Raises:
        SettingsError: patch or stride are below 1, or the stride leaves pixels out.

    Example:
        >>> places, grid = covers((5, 4), 2, 2)
        >>> grid, places[-1]
        ((3, 2), Cover(top=4, bottom=5, left=2, right=4))
    """
    if patch < 1 or not 1 <= stride <= patch:
        fix = "give 1 <= stride <= patch"
        raise SettingsError(f"a patch of {patch} px with stride {stride}", where="occlusion", fix=fix)
    tops, lefts = (range(0, max(1, side - patch + stride), stride) for side in size_hw)
    height, width = size_hw
    places = [Cover(top, min(top + patch, height), left, min(left + patch, width)) for top in tops for left in lefts]
    return places, (len(tops), len(lefts))


def occlusion(
    probe: Probe,
    images: Tensor,
    objective: Objective,
    *,
    patch: int | None = None,
    stride: int | None = None,
    fill: Tensor | float = 0.0,
    report: Report | None = None,
) -> list[Explanation]:
    """Return, for each pixel, the mean fall of the score over the places of a patch that cover it.

    `coarse` has the fall at each place.

    Args:
        patch: side of the patch in pixels; by default a fifth of the image's shorter side.
        stride: pixels between places; by default half the patch.
        fill: what the patch shows, normalised as the images are: 0 is the mean of the training images.

    Raises:
        SettingsError: patch and stride do not fit, see `covers`.
    """
    images = probe.ready(images)
    size_hw = (images.shape[2], images.shape[3])
    patch = patch or max(1, min(size_hw) // SHARE)
    stride = stride or max(1, patch // 2)
    places, grid = covers(size_hw, patch, stride)
    scores = scores_of(probe, images, objective)
    falls = torch.zeros(len(images), len(places), dtype=scores.dtype, device=scores.device)
    pairs = [(row, place) for row in range(len(images)) for place in range(len(places))]
    for start in range(0, len(pairs), BATCH):
        some = pairs[start : start + BATCH]
        rows, at = torch.tensor(some, device=images.device).T
        covered = torch.stack([cover(images[row], places[place], fill) for row, place in some])
        falls[rows, at] = scores[rows] - scores_of(probe, covered, objective, rows)
        if report:
            report(min(start + BATCH, len(pairs)), len(pairs))
    settings: dict[str, Any] = {"patch": patch, "stride": stride, "fill": fill if isinstance(fill, int | float) else ""}
    maps, coarse = _mean_over(falls, places, size_hw), falls.unflatten(1, grid)
    return explanations("occlusion", objective, scores, maps, is_signed=True, settings=settings, coarse=coarse)


def cover(image: Tensor, place: Cover, fill: Tensor | float = 0.0) -> Tensor:
    """Return a copy of an image (C, H, W) with a patch on it."""
    covered = image.clone()
    covered[:, place.top : place.bottom, place.left : place.right] = torch.as_tensor(fill).to(image)
    return covered


def _mean_over(falls: Tensor, places: list[Cover], size_hw: tuple[int, int]) -> Tensor:
    """The mean (N, H, W) of the falls (N, P) of the places that cover each pixel."""
    total = falls.new_zeros(len(falls), *size_hw)
    count = falls.new_zeros(size_hw)
    for index, place in enumerate(places):
        window = slice(place.top, place.bottom), slice(place.left, place.right)
        total[:, window[0], window[1]] += falls[:, index, None, None]
        count[window] += 1
    return total / count.clamp(min=1)
