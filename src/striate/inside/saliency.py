"""Which pixels a score hangs on, by gradients: plain, averaged over noise, and integrated from a baseline.

All are taken with respect to what the network gets: the image with its channels normalised, so that 0 is the mean of
the training images. `values` are the gradients themselves; the maps are over pixels:

- gradient: the largest |gradient| of a pixel's channels (Simonyan et al., arXiv:1312.6034).
- SmoothGrad: the same of the mean gradient over noisy copies (Smilkov et al., arXiv:1706.03825).
- integrated gradients: (image - baseline) x mean gradient on the straight way between them, summed over channels. The
  sum over all pixels is the score minus the baseline's (completeness; Sundararajan et al., arXiv:1703.01365).
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from striate.base.errors import SettingsError
from striate.base.text import plural
from striate.task import Objective

from .explanation import Explanation, Report, batch_of, explanations, gradient_of, scores_of
from .line import Line, Sample
from .tap import Probe

SAMPLES, NOISE = 25, 0.15
STEPS, MAX_STEPS = 32, 512


def gradient(probe: Probe, images: Tensor, objective: Objective, *, report: Report | None = None) -> list[Explanation]:
    """Return the gradient of each image's score."""
    images = probe.ready(images)
    parts = [
        gradient_of(probe, images[rows], objective, rows) for rows in torch.arange(len(images)).split(batch_of(images))
    ]
    values, scores = (torch.cat(some) for some in zip(*parts, strict=True))
    return explanations(
        "gradient", objective, scores, values.abs().amax(1), is_signed=False, settings={}, values=values
    )


def smoothgrad(
    probe: Probe,
    images: Tensor,
    objective: Objective,
    *,
    num: int = SAMPLES,
    noise: float = NOISE,
    seed: int = 0,
    report: Report | None = None,
) -> list[Explanation]:
    """Return the mean gradient over noisy copies of each image.

    Args:
        num: copies.
        noise: standard deviation of the noise, as a share of the range of each image's values.
        seed: of the noise, which is the same for every image.

    Raises:
        SettingsError: `num` is below 1, or `noise` below 0.
    """
    if num < 1 or noise < 0:
        raise SettingsError(f"{num} copies with noise {noise:g}", where="smoothgrad", fix="give num >= 1, noise >= 0")
    images = probe.ready(images)
    draws = torch.randn(num, *images.shape[1:], generator=torch.Generator().manual_seed(seed)).to(images)
    span = images.flatten(1).amax(1) - images.flatten(1).amin(1)
    total = torch.zeros_like(images)
    pairs = torch.cartesian_prod(torch.arange(len(images)), torch.arange(num))
    step = batch_of(images)
    for start in range(0, len(pairs), step):
        rows, copies = pairs[start : start + step].T.to(images.device)
        noisy = images[rows] + noise * _each(span[rows], images) * draws[copies]
        total.index_add_(0, rows, gradient_of(probe, noisy, objective, rows)[0])
        if report:
            report(min(start + step, len(pairs)), len(pairs))
    values = total / num
    settings = {"num": num, "noise": noise, "seed": seed}
    scores = scores_of(probe, images, objective)
    return explanations(
        "smoothgrad", objective, scores, values.abs().amax(1), is_signed=False, settings=settings, values=values
    )


def integrated(
    probe: Probe,
    images: Tensor,
    objective: Objective,
    *,
    steps: int = STEPS,
    baseline: Tensor | float = 0.0,
    baseline_text: str = "the mean of the training images",
    max_gap: float | None = None,
    report: Report | None = None,
) -> list[Explanation]:
    """Return integrated gradients, with steps where the gradient changes; `gap` says how far they are from complete.

    Args:
        steps: places on the way from the baseline to the image, both among them.
        baseline: an image (C, H, W) or a number, normalised as the images are; 0 is the mean of the training images.
        baseline_text: what that is, for readers.
        max_gap: where an image's `gap` is larger, steps are added until there are twice as many, up to 512.

    Raises:
        SettingsError: `steps` is below 2.
    """
    if steps < 2:
        raise SettingsError(f"{plural(steps, 'step')}", where="integrated", fix="give steps >= 2")
    images = probe.ready(images)
    start_at = torch.as_tensor(baseline, dtype=images.dtype, device=images.device).expand(images.shape[1:])
    lines = []
    for row in range(len(images)):
        line = Line(_sampler(probe, objective, row, start_at, images[row] - start_at), batch_of(images))
        line.extend(steps, _of_all(report, row, len(images), steps))
        while max_gap is not None and line.gap > max_gap and 2 * len(line) <= MAX_STEPS:
            line.extend(2 * len(line), _of_all(report, row, len(images), 2 * len(line)))
        lines.append((line.values, line.points[-1].score, line.gap, {"steps": len(line), "baseline": baseline_text}))
    parts, scores, gaps, settings = zip(*lines, strict=True)
    values = torch.stack(parts)
    found = explanations(
        "integrated", objective, torch.tensor(scores), values.sum(1), is_signed=True, values=values, gaps=gaps
    )
    return [replace(one, settings=own) for one, own in zip(found, settings, strict=True)]


def _sampler(probe: Probe, objective: Objective, row: int, start_at: Tensor, way: Tensor) -> Sample:
    """What gives gradients and scores at places on the way from a baseline (C, ...) to the objective's image `row`."""

    def sample(places: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.full((len(places),), row)
        found, scores = gradient_of(probe, start_at + _each(places.to(way), way[None]) * way, objective, rows)
        return found * way, scores

    return sample


def _of_all(report: Report | None, row: int, num: int, steps: int) -> Callable[[int], None]:
    """Reports the steps done of one image as steps of all."""
    return lambda done: report(row * steps + done, num * steps) if report else None


def _each(values: Tensor, images: Tensor) -> Tensor:
    """Numbers (M,), one for each image (C, ...)."""
    return values.view(-1, *[1] * (images.ndim - 1))
