"""The same operations in space: a pipeline turns one row of random numbers a volume into one affine matrix.

A matrix (B, 4, 4) maps OUTPUT to INPUT coordinates (x, y, z) in units of half the width, height and depth, origin at
the centre. Angles and shears are in voxels, whatever the spacing is. Values are read between voxels once, mirrored
at the border, by torch on every device: a volume of 48 x 64 x 48 takes 9 ms of a core (`scipy.ndimage` 7 ms, on CPUs
alone).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.base.errors import SettingsError
from striate.base.seeds import rng_for
from striate.base.size import SizeHW

from .colour import Colour, compose, for_grey, mean_grey, unchanged
from .geometric import Flip, Rotate, Shear, Shift, Zoom
from .operation import Draws, Matrices, Numbers, Operation, between
from .plan import Plan

if TYPE_CHECKING:
    import torch

Make = Callable[[Any, Draws, Numbers], Matrices]
Volumes = Sequence[npt.NDArray[np.uint8]] | npt.NDArray[np.uint8]


def draw_in_space(op: Operation, num_samples: int, seed: int, epoch: int, place: int) -> Draws:
    """Return an operation's columns of the epoch's table, see `Operation.draw`: more than of an image."""
    return rng_for(seed, "augment", epoch, place).random((num_samples, num_draws(op)), np.float32)


def draw_places(num_samples: int, seed: int, epoch: int) -> Draws:
    """Return where the patch of each volume lies (N, 3), where patches are taken: 0 to 1 along depth, height, width."""
    return rng_for(seed, "patch", epoch).random((num_samples, 3), np.float32)


def num_draws(op: Operation) -> int:
    """Return how many numbers an operation takes of each volume.

    Raises:
        SettingsError: it has no form for volumes.
    """
    if isinstance(op, Colour):
        return op.num_draws
    if type(op) not in IN_SPACE:
        kind = getattr(op, "kind", type(op).__name__)
        known = ", ".join(one.model_fields["kind"].default for one in IN_SPACE)
        fix = f"leave it out; volumes take {known}, brightness, contrast"
        raise SettingsError(f"{kind} has no form for volumes", where="augment", fix=fix)
    return IN_SPACE[type(op)][0]


def plan_in_space(
    ops: Sequence[Operation], draws: Draws, in_hw: SizeHW, out_hw: SizeHW, means: npt.NDArray[np.floating],
    sizes: npt.NDArray[np.int64] | None = None, off: Collection[int] = (),
) -> Plan:  # fmt: skip
    """Return what these rows of the table do, see `Pipeline.matrices`; not what the operations at `off` do."""
    move, colour = np.tile(np.eye(4), (len(draws), 1, 1)), unchanged(len(draws))
    means, start = means.mean(1, keepdims=True), 0
    sides = np.array(out_hw[::-1], np.float64)
    for place, op in enumerate(ops):
        part = draws[:, start : start + num_draws(op)]
        start += part.shape[1]
        if place in off:
            continue
        if isinstance(op, Colour):
            colour = compose(colour, op.matrices(part, mean_grey(colour, means)))
        else:
            move = move @ IN_SPACE[type(op)][1](op, part, sides)
    if in_hw != out_hw:
        sizes = np.tile(in_hw, (len(draws), 1)) if sizes is None else sizes
        move = _patches(draws[:, start : start + 3], in_hw, out_hw, sizes) @ move
    is_coloured = any(isinstance(op, Colour) for op in ops)
    return Plan(move[:, :3] + 0.0, in_hw, out_hw, for_grey(colour) if is_coloured else None)


def _patches(draws: Draws, in_hw: SizeHW, out_hw: SizeHW, sizes: npt.NDArray[np.int64]) -> Matrices:
    """(B, 4, 4) from a patch to what is stored, at a whole voxel: within the volume, or about it if it is smaller."""
    stored, patch = np.array(in_hw), np.array(out_hw)
    kept = np.minimum(sizes, stored)
    room = np.floor(draws.astype(np.float64) * (kept - patch + 1)).clip(0, np.maximum(kept - patch, 0))
    start = np.where(kept > patch, (stored - kept) // 2 + room, (stored - patch) // 2)
    found = np.tile(np.diag([*(patch / stored)[::-1], 1.0]), (len(draws), 1, 1))
    found[:, :3, 3] = ((2 * start + patch) / stored - 1)[:, ::-1]
    return found


def apply_space(
    volumes: "torch.Tensor | Sequence[npt.NDArray[Any]]", plan: Plan, mean: "torch.Tensor", std: "torch.Tensor"
) -> "torch.Tensor":
    """Return (B, C, *out_hw) float32, normalised, with channels-last strides, on the device of `mean`.

    Args:
        volumes: (B, *in_hw, C) uint8 or uint16; of patches no more than their surroundings is read.
        mean, std: (C,) in 0..1.
    """
    import torch

    levels = torch.stack([part.movedim(-1, 0) for part in _moved(volumes, plan, "bilinear")])
    levels = levels.to(mean.device)
    levels = levels if volumes[0].dtype in (np.uint8, torch.uint8) else levels / 257
    if plan.colour is not None:
        gain = torch.as_tensor(plan.colour, dtype=torch.float32, device=levels.device).reshape(-1, 2, 1, 1, 1, 1)
        levels = (levels * gain[:, 0] + gain[:, 1]).clamp_(0, 255)
    mean, std = (values.reshape(-1, 1, 1, 1) for values in (mean, std))
    return ((levels - 255 * mean) / (255 * std)).contiguous(memory_format=torch.channels_last_3d)


def move_labels(labels_u8: Volumes, plan: Plan) -> npt.NDArray[np.uint8]:
    """Return (B, *out_hw) label volumes for (B, *in_hw) ones: the nearest voxel's, mirrored like the volume."""
    import torch

    if plan.is_copy.all():
        return np.stack(list(labels_u8))
    moved = _moved([labels[..., None] for labels in labels_u8], plan, "nearest")
    return torch.stack(list(moved))[..., 0].to(torch.uint8).numpy()


def _moved(volumes: Any, plan: Plan, mode: str) -> "Iterator[torch.Tensor]":
    """Yield the (*out_hw, C) float32 values of each volume (*in_hw, C)."""
    import torch

    stored, patch = np.array(plan.in_hw), np.array(plan.out_hw)
    for volume, warp in zip(volumes, plan.warp, strict=True):
        first = ((warp[::-1, 3] + 1) * stored - patch) / 2  # of a patch that is only cut out
        is_cut = (warp[:, :3] == np.diag((patch / stored)[::-1])).all() and np.abs(first - np.rint(first)).max() < 1e-6
        if is_cut:
            low = np.rint(first).astype(int)
            high = low + patch
        else:
            reach = np.abs(warp[::-1, :3]).sum(1)  # half sides of the patch's hull, by the stored ones
            low = np.floor((warp[::-1, 3] + 1 - reach) / 2 * stored - 1).clip(0, stored - 1).astype(int)
            high = np.ceil((warp[::-1, 3] + 1 + reach) / 2 * stored + 1).clip(low + 1, stored).astype(int)
        part = volume[tuple(map(slice, low, high))]
        values = torch.as_tensor(part if isinstance(part, torch.Tensor) else np.array(part)).float()
        yield values if is_cut else _sampled(values, _within(warp, stored, low, high), plan.out_hw, mode)


def _within(warp: Numbers, stored: Numbers, low: Numbers, high: Numbers) -> Numbers:
    """A matrix to half sides of what is stored as one to those of a part of it."""
    side = (high - low)[::-1]
    found = warp * (stored[::-1] / side)[:, None]
    found[:, 3] += (stored[::-1] - 2 * low[::-1]) / side - 1
    return found


def _sampled(values: "torch.Tensor", warp: Numbers, out_hw: SizeHW, mode: str) -> "torch.Tensor":
    import torch

    theta = torch.as_tensor(warp, dtype=torch.float32, device=values.device)[None]
    grid = torch.nn.functional.affine_grid(theta, [1, values.shape[-1], *out_hw], align_corners=False)
    planes = values.movedim(-1, 0)[None]
    found = torch.nn.functional.grid_sample(planes, grid, mode, padding_mode="reflection", align_corners=False)
    return found[0].movedim(0, -1)


def _scaled(factors: Numbers) -> Matrices:
    """(B, 4, 4) of factors (B, 3) along x, y, z."""
    found = np.tile(np.eye(4), (len(factors), 1, 1))
    found[:, [0, 1, 2], [0, 1, 2]] = factors
    return found


def _in_halves(linear: Matrices, sides: Numbers) -> Matrices:
    """Matrices (B, 3, 3) made in voxels, in half sides."""
    found = np.tile(np.eye(4), (len(linear), 1, 1))
    found[:, :3, :3] = linear * (sides / sides[:, None])
    return found


def _flip(op: Flip, draws: Draws, sides: Numbers) -> Matrices:
    chances = np.array([op.horizontal, op.vertical])
    signs = np.where(draws < chances, -1.0, 1.0)
    return _scaled(np.concatenate([signs, np.ones((len(draws), 1))], axis=1))


def _rotate(op: Rotate, draws: Draws, sides: Numbers) -> Matrices:
    """About x, then y, then z, each by its own angle."""
    linear = np.tile(np.eye(3), (len(draws), 1, 1))
    for axis in range(3):
        angle = np.deg2rad(between(-op.max_deg, op.max_deg, draws[:, axis]))
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = np.tile(np.eye(3), (len(draws), 1, 1))
        turn[:, first, first] = turn[:, second, second] = np.cos(angle)
        turn[:, second, first] = np.sin(angle)
        turn[:, first, second] = -turn[:, second, first]
        linear = linear @ turn
    return _in_halves(linear, sides)


def _shift(op: Shift, draws: Draws, sides: Numbers) -> Matrices:
    found = np.tile(np.eye(4), (len(draws), 1, 1))
    found[:, :3, 3] = -2 * between(-op.max_frac, op.max_frac, draws)
    return found


def _zoom(op: Zoom, draws: Draws, sides: Numbers) -> Matrices:
    factor = np.exp(between(np.log(op.min), np.log(op.max), draws[:, 0]))
    return _scaled(np.repeat(1 / factor[:, None], 3, axis=1))


def _shear(op: Shear, draws: Draws, sides: Numbers) -> Matrices:
    slopes = np.tan(np.deg2rad(between(-op.max_deg, op.max_deg, draws)))
    linear = np.tile(np.eye(3), (len(draws), 1, 1))
    linear[:, [0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]] = slopes
    return _in_halves(linear, sides)


IN_SPACE: dict[type[Any], tuple[int, Make]] = {  # how many numbers each takes, and the matrices it makes of them
    Flip: (2, _flip),
    Rotate: (3, _rotate),
    Shift: (3, _shift),
    Zoom: (1, _zoom),
    Shear: (6, _shear),
}
