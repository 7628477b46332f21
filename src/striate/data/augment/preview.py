"""An image of what an augmentation does."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from striate.base.size import SizeHW

from ..bands import shown_bands
from ..geometry import Geometry
from ..sample import ImageU8
from .apply import apply_cpu
from .pipeline import Pipeline

if TYPE_CHECKING:
    from ..target import Place, Target

_GAP_PX = 2


def preview(
    image_u8: ImageU8,
    pipeline: Pipeline,
    geometry: Geometry,
    count: int = 15,
    seed: int = 0,
    others: Sequence[ImageU8] = (),
    target: "Target | None" = None,
    indices: Sequence[int] = (),
    size_hw: Callable[[int], SizeHW] | None = None,
) -> ImageU8:
    """Return an (H, W, 3) uint8 grid: first the image as evaluation sees it, then `count` augmented draws of it.

    Args:
        image_u8: (H, W, C) image, any C: of other numbers than 1 and 3 the first bands are shown.
        pipeline: the augmentation.
        geometry: the resize policy.
        count: how many draws, the first `count` samples of epoch 0.
        seed: the run's seed.
        others: images it is mixed with, in turn; without any, draws of the image are mixed with each other.
        target: what is learnt; boxes are drawn where they come to lie.
        indices: of the image and of the others in it.
        size_hw: of an image of the dataset, where those given are of another size than its own.
    """
    stored = geometry.to_store(image_u8)
    partners = [geometry.to_store(other) for other in others[:count]] or [stored]
    stored_views = [stored] * count + [partners[number % len(partners)] for number in range(count if others else 0)]
    means = np.array([square.mean((0, 1)) for square in [stored, *stored_views]])
    sizes = geometry.store_hw, geometry.size_hw
    plain = apply_cpu([stored], Pipeline().matrices(np.empty((1, 0), np.float32), *sizes, means[:1]))
    at = [0] * count + [1 + number % max(1, len(others[:count])) for number in range(count if others else 0)]
    rows, place = _placed([image_u8, *others], at, indices, geometry, size_hw)
    objects = None if target is None else target.objects(rows, place)
    plan = pipeline.matrices(pipeline.draw(len(stored_views), seed, 0), *sizes, means[1:], objects)
    plan = replace(plan, is_mirrored=target is None or target.mirrors)
    if plan.mix is not None and others:  # each draw is followed by its partner
        plan = replace(plan, mix=replace(plan.mix, cycle=np.arange(2 * count).reshape(2, count).T.ravel()))
    views = np.concatenate([plain, apply_cpu(stored_views, plan)[:count]]) if count else plain
    shown = np.broadcast_to(shown_bands(views), (*views.shape[:3], 3)).astype(np.uint8)
    seen = None if target is None or not count else target.seen(rows, plan, place)
    if seen is not None:
        shown[1:] = [seen.draw(view, number) for number, view in enumerate(shown[1:])]
    return _grid(shown)


def _placed(
    images: Sequence[ImageU8],
    at: Sequence[int],
    indices: Sequence[int],
    geometry: Geometry,
    size_hw: Callable[[int], SizeHW] | None,
) -> tuple[npt.NDArray[np.intp], "Place"]:
    """The indices of the views, each of the image `at` its place, and where they lie in the store."""
    from ..target.place import Place

    own = np.array(indices if len(indices) else range(len(images)), np.intp)
    sizes_hw = {int(index): image.shape[:2] for index, image in zip(own, images, strict=False)}
    return own[np.array(at, np.intp)], Place(geometry, size_hw or sizes_hw.__getitem__)


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
