"""Our operators in place of torchvision's compiled ones, for torchvision's own detectors."""

import importlib
from functools import cache

import torch
from torch import Tensor

from .operators import has_compiled
from .regions import align, pool
from .suppress import greedy

SIZES = "float spatial_scale, int pooled_height, int pooled_width"


@cache
def provide() -> "torch.library.Library | None":
    """Let torchvision's detectors run in this process also where its compiled operators do not load.

    Ours take their place; they are made of operations that torch differentiates, so training works too.

    Example:
        >>> provide() is provide()
        True
    """
    if has_compiled():
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")  # lasts as long as this object
    library.define(f"roi_align(Tensor input, Tensor rois, {SIZES}, int sampling_ratio, bool aligned) -> Tensor")
    library.define(f"roi_pool(Tensor input, Tensor rois, {SIZES}) -> (Tensor, Tensor)")
    for name, function in (("nms", greedy), ("roi_align", _roi_align), ("roi_pool", _roi_pool)):
        library.impl(name, function, "CompositeImplicitAutograd")
    for name in ("boxes", "roi_align", "roi_pool"):  # these ask once more whether the compiled ones are there
        module = importlib.import_module(f"torchvision.ops.{name}")
        for check in ("_assert_has_ops", "_has_ops"):
            if hasattr(module, check):
                setattr(module, check, lambda: True)
    return library


def _roi_align(
    maps: Tensor, rois: Tensor, scale: float, height: int, width: int, sampling: int, is_aligned: bool
) -> Tensor:
    return align(maps, rois[:, 1:], rois[:, 0].long(), (height, width), scale, sampling, is_aligned)


def _roi_pool(maps: Tensor, rois: Tensor, scale: float, height: int, width: int) -> tuple[Tensor, Tensor]:
    pooled = pool(maps, rois[:, 1:], rois[:, 0].long(), (height, width), scale)
    return pooled, torch.empty(0, dtype=torch.int32)  # where each maximum was: only the compiled gradient asks
