"""How alike two images are: PSNR in decibels, and structural similarity (SSIM). Images (N, H, W, C), C channels."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from .metric import Answers, Array, Floats, Metric, column

RADIUS_PX, SIGMA_PX = 5, 1.5  # an 11 x 11 window
K1, K2 = 0.01, 0.03
MOST_DB = 100.0  # of equal images, whose error is 0


def psnr(truth: Array, image: Array, data_range: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio of one image in decibels, at most 100.

    Args:
        data_range: from the least to the largest value that a pixel can have: 1 or 255.

    Example:
        >>> round(psnr(np.zeros((8, 8, 1)), np.full((8, 8, 1), 0.1)), 6)
        20.0
    """
    error = float(((np.asarray(truth, dtype=np.float64) - np.asarray(image, dtype=np.float64)) ** 2).mean())
    return min(MOST_DB, float(10 * np.log10(data_range**2 / error))) if error > 0 else MOST_DB


def ssim(truth: Array, image: Array, data_range: float = 1.0) -> float:
    """Return the structural similarity of one image, -1 to 1, mean over channels and places of the window.

    The window is a Gaussian of 11 x 11 pixels, standard deviation 1.5; only places where it lies inside count, so an
    image must have 11 x 11 pixels.

    Args:
        truth, image: (H, W, C).

    Reference: Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 13
    (2004).
    """
    x, y = np.asarray(truth, dtype=np.float64), np.asarray(image, dtype=np.float64)
    mean_x, mean_y = _blurred(x), _blurred(y)
    spread_x, spread_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    shared = _blurred(x * y) - mean_x * mean_y
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    likeness = (2 * mean_x * mean_y + c1) * (2 * shared + c2)
    return float((likeness / ((mean_x**2 + mean_y**2 + c1) * (spread_x + spread_y + c2))).mean())


def checkerboard(truth: Array, image: Array, period_px: int) -> float:
    """Return the share of an image's error that lies in one pattern repeated every `period_px` pixels, 0 to 1.

    That is the share of the error's energy, its mean left out, at the frequencies k / period: where windows of an
    upsampling overlap unevenly, they leave their grid there. Errors without a grid have (period^2 - 1) / pixels.

    Args:
        truth, image: (H, W, C); what is left over a whole number of periods is cut off.

    Reference: Odena et al., "Deconvolution and Checkerboard Artifacts", Distill (2016).

    Example:
        >>> x, y = np.mgrid[:8, :8]
        >>> checkerboard(np.zeros((8, 8, 1)), ((x + y) % 2)[..., None], 2)
        1.0
    """
    error = np.asarray(image, dtype=np.float64) - truth
    high, wide = (side // period_px for side in error.shape[:2])
    error = error[: high * period_px, : wide * period_px]
    error = error - error.mean((0, 1))
    pattern = error.reshape(high, period_px, wide, period_px, -1).mean((0, 2))
    energy = float((error**2).mean())
    return float((pattern**2).mean()) / energy if energy > 0 else 0.0


def _blurred(image: Floats) -> Floats:
    """The Gaussian window's mean wherever it lies inside (H - 10, W - 10, C)."""
    from scipy.ndimage import correlate1d  # 0.2 s to load

    offsets = np.arange(-RADIUS_PX, RADIUS_PX + 1)
    window = np.exp(-0.5 * (offsets / SIGMA_PX) ** 2)
    window /= window.sum()
    for axis in (0, 1):
        image = correlate1d(image, window, axis)
    return image[RADIUS_PX:-RADIUS_PX, RADIUS_PX:-RADIUS_PX]


def _record_psnr(answers: Answers, data_range: float) -> Array:
    pairs = zip(answers.truth, answers.values, strict=True)
    return column(np.array([psnr(truth, image, data_range) for truth, image in pairs]))


def _record_ssim(answers: Answers, data_range: float) -> Array:
    pairs = zip(answers.truth, answers.values, strict=True)
    return column(np.array([ssim(truth, image, data_range) for truth, image in pairs]))


def mean_psnr(data_range: float = 1.0) -> Metric:
    """Return the mean PSNR over images."""
    record = partial(_record_psnr, data_range=data_range)
    return Metric("psnr", "PSNR", unit="dB", possible=(-np.inf, MOST_DB), record=record, stream="quality")


def mean_ssim(data_range: float = 1.0) -> Metric:
    """Return the mean SSIM over images."""
    record = partial(_record_ssim, data_range=data_range)
    return Metric("ssim", "SSIM", possible=(-1.0, 1.0), record=record, stream="quality")


def mean_checkerboard() -> Metric:
    """Return the mean share of the error in a pattern of the upsampling."""
    name = "error in a grid of the scale"
    return Metric("checkerboard", name, "min", form="percent", possible=(0.0, 1.0), stream="quality")


def against(metric: Metric, record: Callable[[Answers], Array], name: str, place: int) -> Metric:
    """Return a mean over images whose records (N, S) have it in the column `place`, among columns of other metrics.

    Args:
        name: of the records in files.
    """
    value = partial(_mean_of, place=place)
    return replace(metric, record=record, record_name=name, value=value, closed=partial(_column_of, place=place))


def gain(metric: Metric, record: Callable[[Answers], Array], name: str, place: int, others: range) -> Metric:
    """Return by how much the mean in the column `place` is above the highest of the means in `others`.

    Which of the others that is follows anew from each choice of images, so that the interval allows for it.
    """
    return replace(
        metric,
        key=f"{metric.key}_gain",
        name=f"{metric.name} above the best simple method",
        possible=(-np.inf, np.inf),
        record=record,
        record_name=name,
        value=partial(_gain_of, place=place, others=others),
        closed=partial(_gains_of, place=place, others=others),
    )


def _column_of(records: Array, place: int) -> Floats:
    return np.asarray(records[:, place], dtype=np.float64)


def _mean_of(records: Array, weights: Array, place: int) -> Floats:
    return np.asarray(weights @ records[:, place] / weights.sum(1))


def _gain_of(records: Array, weights: Array, place: int, others: range) -> Floats:
    means = weights @ records / weights.sum(1)[:, None]
    return np.asarray(means[:, place] - means[:, others].max(1))


def _gains_of(records: Array, place: int, others: range) -> Floats:
    best = others[int(records[:, others].mean(0).argmax())]
    return np.asarray(records[:, place] - records[:, best])
