"""How alike images are, as something a network can learn: PSNR and SSIM of batches (N, C, H, W)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.base.errors import SettingsError

RADIUS_PX, SIGMA_PX = 5, 1.5  # an 11 x 11 window
K1, K2 = 0.01, 0.03
MOST_DB = 100.0  # of equal images, whose error is 0


def psnr(truth: Tensor, images: Tensor, data_range: float = 1.0) -> Tensor:
    """Return the peak signal-to-noise ratio of each image (N,) in decibels, at most 100.

    Example:
        >>> psnr(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.1)).tolist()
        [20.0]
    """
    error = (truth - images).square().mean((1, 2, 3))
    return (10 * torch.log10(data_range**2 / error)).clamp(max=MOST_DB)


def ssim(truth: Tensor, images: Tensor, data_range: float = 1.0) -> Tensor:
    """Return the structural similarity of each image (N,), as `striate.metric.image_quality.ssim` defines it.

    Raises:
        SettingsError: the images are smaller than the window.

    Reference: Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 13
    (2004).
    """
    side = 2 * RADIUS_PX + 1
    if min(truth.shape[2:]) < side:
        size = "x".join(map(str, truth.shape[2:]))
        raise SettingsError(
            f"SSIM looks at {side}x{side} px, images have {size}", where="data.size", fix="use --size 16"
        )
    maps = torch.cat([truth, images, truth * truth, images * images, truth * images], 1)
    mean_x, mean_y, square_x, square_y, product = _blurred(maps).chunk(5, 1)
    spread = square_x - mean_x**2 + square_y - mean_y**2
    shared = product - mean_x * mean_y
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    likeness = (2 * mean_x * mean_y + c1) * (2 * shared + c2)
    return (likeness / ((mean_x**2 + mean_y**2 + c1) * (spread + c2))).mean((1, 2, 3))


def _blurred(maps: Tensor) -> Tensor:
    """The Gaussian window's mean wherever it lies inside (H - 10, W - 10)."""
    offsets = torch.arange(-RADIUS_PX, RADIUS_PX + 1, dtype=maps.dtype, device=maps.device)
    window = torch.exp(-0.5 * (offsets / SIGMA_PX) ** 2)
    window = (window / window.sum()).view(1, 1, -1, 1)
    flat = maps.reshape(-1, 1, *maps.shape[2:])
    return F.conv2d(F.conv2d(flat, window), window.mT).view(*maps.shape[:2], maps.shape[2] - 10, maps.shape[3] - 10)
