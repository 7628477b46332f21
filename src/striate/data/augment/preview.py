"""A picture of what an augmentation does."""

import numpy as np

from ..geometry import Geometry
from ..sample import ImageU8
from .apply import apply_cpu
from .pipeline import Pipeline

_GAP_PX = 2


def preview(image_u8: ImageU8, pipeline: Pipeline, geometry: Geometry, count: int = 15, seed: int = 0) -> ImageU8:
    """Return an (H, W, 3) uint8 grid: first the picture as evaluation sees it, then `count` augmented draws of it.

    Args:
        image_u8: (H, W, C) picture, C = 1 or 3.
        pipeline: the augmentation.
        geometry: the resize policy.
        count: how many draws, the first `count` samples of epoch 0.
        seed: the run's seed.
    """
    stored = geometry.to_store(image_u8)
    means = np.tile(stored.mean((0, 1)), (count, 1))
    sides = geometry.store_px, geometry.size_px
    plain = apply_cpu([stored], Pipeline().matrices(np.empty((1, 0), np.float32), *sides, means[:1]))
    plan = pipeline.matrices(pipeline.draw(count, seed, 0), *sides, means)
    views = np.concatenate([plain, apply_cpu([stored] * count, plan)]) if count else plain
    return _grid(np.broadcast_to(views, (*views.shape[:3], 3)).astype(np.uint8))


def _grid(views: ImageU8) -> ImageU8:
    """Pictures (N, S, S, 3) row by row on white, about twice as wide as high."""
    across = min(len(views), max(1, round((2 * len(views)) ** 0.5)))
    step, rows = views.shape[1] + _GAP_PX, -(-len(views) // across)
    grid = np.full((rows * step - _GAP_PX, across * step - _GAP_PX, 3), 255, np.uint8)
    for number, view in enumerate(views):
        top, left = number // across * step, number % across * step
        grid[top : top + len(view), left : left + len(view)] = view
    return grid
