"""Apply a plan to pixels with torch, for a GPU: `grid_sample` and whole batches, within two grey levels of OpenCV."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from striate.base.size import SizeHW

from ..geometry import PAD_U8
from .colour import for_grey
from .effect import on, sent, where_drawn_torch
from .mix import mix_torch
from .mosaic import tile_torch
from .plan import Plan
from .space import apply_space


def apply_torch(images_u8: Any, plan: Plan, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Return (B, C, *out_hw) float32, normalised, channels-last, on the images' device, without waiting for it.

    Args:
        images_u8: (B, *in_hw, C) uint8 or uint16 on the device; volumes, also as a list of arrays, are moved in space.
        plan: what happens to each.
        mean: (C,) in 0..1 on the device.
        std: (C,) in 0..1 on the device.
    """
    if len(plan.out_hw) == 3:
        return apply_space(images_u8, plan, mean, std)
    is_deep = images_u8.dtype != torch.uint8
    places = None if is_deep or plan.tones else _places(plan)
    if places is not None:
        images_u8 = _picked(images_u8, places)
    pixels = images_u8.permute(0, 3, 1, 2).float()
    pixels = where_drawn_torch(plan.tones, pixels) if not is_deep else pixels / 257
    if places is None and not plan.is_copy.all():
        mode, beyond = ("reflection", 0) if plan.is_mirrored else ("zeros", PAD_U8)
        grid = _grid(plan, pixels)
        pixels = pixels.sub_(beyond) if beyond else pixels
        pixels = torch.nn.functional.grid_sample(pixels, grid, padding_mode=mode, align_corners=False)
        pixels = pixels.add_(beyond) if beyond else pixels
    if plan.colour is not None:
        is_rgb = pixels.shape[1] == 3
        matrix = on(plan.colour if is_rgb else for_grey(plan.colour), pixels)
        flat = pixels.flatten(2) if is_rgb else pixels.flatten(1)[:, None]  # of any number of bands alike
        pixels = torch.baddbmm(matrix[:, :, -1:], matrix[:, :, :-1], flat).clamp_(0, 255).view_as(pixels)
    pixels = where_drawn_torch(plan.qualities, pixels, has_fractions=is_deep)
    pixels = pixels.sub_(255 * mean[:, None, None]).div_(255 * std[:, None, None])
    if plan.erase is not None:
        pixels = pixels.masked_fill_(_inside(on(plan.erase, pixels), plan.out_hw), 0)
    if plan.mosaic is not None:
        pixels = tile_torch(pixels, plan.mosaic)
    if plan.mix is not None:
        pixels = mix_torch(pixels, plan.mix, _inside(on(plan.mix.boxes[None], pixels), plan.out_hw))
    return pixels.contiguous(memory_format=torch.channels_last)


Places = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def _places(plan: Plan) -> Places | None:
    """Which rows (B, H) and columns (B, W) the output shows, where images are mirrored and moved by whole pixels only.

    Then nothing lies between pixels: one look-up of bytes does what takes a grid of floats and ten operators otherwise.
    """
    if plan.warp.shape[1] != 2 or plan.warp[:, [0, 1], [1, 0]].any() or plan.is_copy.all():
        return None
    found = []
    for axis, have, want in zip((1, 0), plan.in_hw, plan.out_hw, strict=True):
        scale, shift = plan.warp[:, axis, axis, None], plan.warp[:, axis, 2, None]
        at = scale * np.arange(want) + np.rint(shift)
        seen = np.minimum(at % (2 * have), -(at + 1) % (2 * have))  # beyond the border the image is mirrored
        is_whole = (np.abs(scale) == 1).all() and np.abs(shift - np.rint(shift)).max() < 1e-6
        if not is_whole or (not plan.is_mirrored and (seen != at).any()):
            return None
        found.append(seen.astype(np.int64))
    return found[0], found[1]


def _picked(images_u8: torch.Tensor, places: Places) -> torch.Tensor:
    """Return the pixels (B, H, W, C) of images (B, ..., C) in these rows and columns."""
    table = sent(torch.from_numpy(np.concatenate(places, axis=1)), images_u8)
    down, across = table.split([part.shape[1] for part in places], dim=1)
    number = torch.arange(len(table), device=table.device)[:, None, None]
    return images_u8[number, down[:, :, None], across[:, None, :]]


def _grid(plan: Plan, pixels: torch.Tensor) -> torch.Tensor:
    """Where each output pixel comes from, (B, *out_hw, 2), -1..1 between the outer edges of the input."""
    if plan.warp.shape[1] == 2:
        shape = [len(plan), pixels.shape[1], *plan.out_hw]
        return torch.nn.functional.affine_grid(on(_for_grid(plan), pixels), shape, align_corners=False)
    down, across = (torch.arange(side, dtype=torch.float32, device=pixels.device) for side in plan.out_hw)
    points = torch.stack([*torch.meshgrid(across, down, indexing="xy"), torch.ones(plan.out_hw, device=pixels.device)])
    x, y, depth = torch.einsum("bij,jhw->ibhw", on(plan.warp, pixels), points)
    place: torch.Tensor = (
        torch.stack([x, y], dim=-1) / depth.clamp(min=1e-3)[..., None]
    )  # nothing beyond the horizon is seen
    return (2 * place + 1) / on(np.array(plan.in_hw[::-1]), pixels) - 1


def _for_grid(plan: Plan) -> npt.NDArray[np.float64]:
    """The affine in `affine_grid`'s units: -1..1 between the outer edges."""
    in_wh, out_wh = np.array(plan.in_hw[::-1]), np.array(plan.out_hw[::-1])
    linear = plan.warp[:, :, :2] * (out_wh / in_wh[:, None])
    centre = (plan.warp[:, :, :2] * ((out_wh - 1) / 2)).sum(2) + plan.warp[:, :, 2]
    return np.concatenate([linear, ((2 * centre + 1) / in_wh - 1)[:, :, None]], axis=2)


def _inside(boxes: torch.Tensor, size_hw: SizeHW) -> torch.Tensor:
    """(B, 1, H, W) true inside any of the (num_boxes, B, 4) boxes."""
    y, x = (torch.arange(side, device=boxes.device) for side in size_hw)
    left, top, right, bottom = (edge[..., None] for edge in boxes.unbind(-1))
    across, down = (x >= left) & (x < right), (y >= top) & (y < bottom)
    return (down[..., :, None] & across[..., None, :]).any(0)[:, None]
