"""An image of what an augmentation does."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..bands import shown_bands
from ..geometry import Geometry
from ..sample import ImageU8
from .apply import apply_cpu
from .pipeline import Pipeline

_GAP_PX = 2


def preview(
    image_u8: ImageU8,
    pipeline: Pipeline,
    geometry: Geometry,
    count: int = 15,
    seed: int = 0,
    others: Sequence[ImageU8] = (),
) -> ImageU8:
    """Return an (H, W, 3) uint8 grid: first the image as evaluation sees it, then `count` augmented draws of it.

    Args:
        image_u8: (H, W, C) image, any C: of other numbers than 1 and 3 the first bands are shown.
        pipeline: the augmentation.
        geometry: the resize policy.
        count: how many draws, the first `count` samples of epoch 0.
        seed: the run's seed.
        others: images it is mixed with, in turn; without any, draws of the image are mixed with each other.
    """
    stored = geometry.to_store(image_u8)
    partners = [geometry.to_store(other) for other in others[:count]] or [stored]
    stored_views = [stored] * count + [partners[number % len(partners)] for number in range(count if others else 0)]
    means = np.array([square.mean((0, 1)) for square in [stored, *stored_views]])
    sizes = geometry.store_hw, geometry.size_hw
    plain = apply_cpu([stored], Pipeline().matrices(np.empty((1, 0), np.float32), *sizes, means[:1]))
    plan = pipeline.matrices(pipeline.draw(len(stored_views), seed, 0), *sizes, means[1:])
    if plan.mix is not None and others:  # each draw is followed by its partner
        plan = replace(plan, mix=replace(plan.mix, cycle=np.arange(2 * count).reshape(2, count).T.ravel()))
    views = np.concatenate([plain, apply_cpu(stored_views, plan)[:count]]) if count else plain
    return _grid(np.broadcast_to(shown_bands(views), (*views.shape[:3], 3)).astype(np.uint8))


def _grid(views: ImageU8) -> ImageU8:
    """Images (N, H, W, 3) row by row on white, about twice as wide as high."""
    num, height, width = views.shape[:3]
    across = min(num, max(1, round((2 * num * height / width) ** 0.5)))
    step_y, step_x, rows = height + _GAP_PX, width + _GAP_PX, -(-num // across)
    grid = np.full((rows * step_y - _GAP_PX, across * step_x - _GAP_PX, 3), 255, np.uint8)
    for number, view in enumerate(views):
        top, left = number // across * step_y, number % across * step_x
        grid[top : top + height, left : left + width] = view
    return grid
