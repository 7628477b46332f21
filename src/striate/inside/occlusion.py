"""How much a score falls when a part of the image is covered (Zeiler and Fergus, arXiv:1311.2901, section 4.2)."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from striate.base.errors import SettingsError
from striate.task import Objective

from .explanation import Explanation, Report, batch_of, explanations, scores_of
from .tap import Probe

SHARE = 5  # patches of a fifth of the image's shorter side, by default


@dataclass(frozen=True)
class Cover:
    """One place of the patch: along each axis from `start` to `stop`, the ends left out."""

    start: tuple[int, ...]
    stop: tuple[int, ...]

    @property
    def window(self) -> tuple[slice, ...]:
        """The pixels that it covers."""
        return tuple(slice(*ends) for ends in zip(self.start, self.stop, strict=True))


def covers(size_hw: tuple[int, ...], patch: int, stride: int) -> tuple[list[Cover], tuple[int, ...]]:
    """Return the places of a patch that slides over an image or a volume, and how many there are along each axis.

    The last ones are cut off by the border where the patch does not fit.

    Raises:
        SettingsError: patch or stride are below 1, or the stride leaves pixels out.

    Example:
        >>> places, grid = covers((5, 4), 2, 2)
        >>> grid, places[-1]
        ((3, 2), Cover(start=(4, 2), stop=(5, 4)))
    """
    if patch < 1 or not 1 <= stride <= patch:
        fix = "give 1 <= stride <= patch"
        raise SettingsError(f"a patch of {patch} px with stride {stride}", where="occlusion", fix=fix)
    starts = [range(0, max(1, side - patch + stride), stride) for side in size_hw]
    places = [
        Cover(start, tuple(min(at + patch, side) for at, side in zip(start, size_hw, strict=True)))
        for start in product(*starts)
    ]
    return places, tuple(map(len, starts))


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
        patch: side of the patch in pixels; by default a fifth of the image's shorter side, of a series of its length.
        stride: pixels between places; by default half the patch, in volumes the patch, which has 8 times fewer places.
        fill: what the patch shows, normalised as the images are: 0 is the mean of the training images.

    Raises:
        SettingsError: patch and stride do not fit, see `covers`.
    """
    images = probe.ready(images)
    size_hw = tuple(images.shape[2:])
    patch = patch or max(1, min((side for side in size_hw if side > 1), default=1) // SHARE)
    stride = stride or (patch if len(size_hw) == 3 else max(1, patch // 2))
    places, grid = covers(size_hw, patch, stride)
    scores = scores_of(probe, images, objective)
    falls = torch.zeros(len(images), len(places), dtype=scores.dtype, device=scores.device)
    pairs = [(row, place) for row in range(len(images)) for place in range(len(places))]
    step = batch_of(images)
    for start in range(0, len(pairs), step):
        some = pairs[start : start + step]
        rows, at = torch.tensor(some, device=images.device).T
        covered = torch.stack([cover(images[row], places[place], fill) for row, place in some])
        falls[rows, at] = scores[rows] - scores_of(probe, covered, objective, rows)
        if report:
            report(min(start + step, len(pairs)), len(pairs))
    settings: dict[str, Any] = {"patch": patch, "stride": stride, "fill": fill if isinstance(fill, int | float) else ""}
    maps, coarse = _mean_over(falls, places, size_hw), falls.unflatten(1, grid)
    return explanations("occlusion", objective, scores, maps, is_signed=True, settings=settings, coarse=coarse)


def cover(image: Tensor, place: Cover, fill: Tensor | float = 0.0) -> Tensor:
    """Return a copy of an image (C, ...) with a patch on it."""
    covered = image.clone()
    covered[:, *place.window] = torch.as_tensor(fill).to(image)
    return covered


def _mean_over(falls: Tensor, places: list[Cover], size_hw: tuple[int, ...]) -> Tensor:
    """The mean (N, ...) of the falls (N, P) of the places that cover each pixel."""
    total = falls.new_zeros(len(falls), *size_hw)
    count = falls.new_zeros(size_hw)
    for index, place in enumerate(places):
        total[:, *place.window] += falls[:, index].view(-1, *[1] * len(size_hw))
        count[place.window] += 1
    return total / count.clamp(min=1)
