"""The regions that selective search proposes: a batch brings them along, moved with its images, or they are looked for.

R regions of an image at most.
"""

import numpy as np
import torch
from torch import Tensor

from striate.data.proposals import NAME, Search, selective_search
from striate.data.sample import Batch
from striate.data.target import Ragged

FEATURES = "features"  # of regions, where a batch has them in place of pixels


def regions_of(batch: Batch, most: int) -> list[Tensor]:
    """Return the regions (R, 4) of each image xyxy in its pixels; the whole image where there is none.

    Args:
        most: that are looked for in an image, where the batch has none.
    """
    images = batch.images
    given = batch.targets.get(NAME)
    found = list(given) if isinstance(given, Ragged) else [_searched(image, most) for image in images]
    whole = images.new_tensor([[0, 0, images.shape[3], images.shape[2]]], dtype=torch.float32)
    return [boxes.to(whole) if len(boxes) else whole for boxes in found]


def _searched(image: Tensor, most: int) -> Tensor:
    """The proposals of an image (C, H, W) of any levels."""
    pixels = image.detach().float().permute(1, 2, 0).cpu().numpy()
    low, high = float(pixels.min()), float(pixels.max())
    levels = np.rint((pixels - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)
    return torch.from_numpy(selective_search(levels, Search(max(levels.shape[:2]), most)))
