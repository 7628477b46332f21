"""Augmentation of volumes: one affine matrix, which the labels follow."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from striate.base.errors import SettingsError
from striate.data.augment.colour import Brightness, Contrast
from striate.data.augment.geometric import Flip, Perspective, Rotate, Shear, Shift, Zoom
from striate.data.augment.move import move_masks
from striate.data.augment.pipeline import Pipeline
from striate.data.augment.plan import Plan
from striate.data.augment.space import apply_space

SIZE = (20, 24, 28)
ONE = torch.ones(1)
STRONG = (Rotate(max_deg=30), Shift(max_frac=0.1), Zoom(min=0.8, max=1.25), Shear(max_deg=10), Flip(vertical=0.5))


def plan_of(ops, num=4, in_hw=SIZE, out_hw=SIZE, means=None):
    pipeline = Pipeline(ops, is_in_space=True)
    means = np.full((num, 1), 100.0) if means is None else means
    return pipeline.matrices(pipeline.draw(num, 0, 0), in_hw, out_hw, means)


def levels(volumes_u8, plan):
    """Levels 0..255, not normalised."""
    return apply_space(torch.from_numpy(volumes_u8), plan, 0 * ONE, ONE).numpy()[:, 0] * 255


def smooth(rng, num=4, size=SIZE):
    noise = ndimage.gaussian_filter(rng.normal(size=(num, *size)), (0, 2, 2, 2), mode="reflect")
    noise = (noise - noise.min()) / (noise.max() - noise.min())
    return np.rint(255 * noise).astype(np.uint8)[..., None]


def test_without_operations_volumes_come_out_exact():
    volumes = smooth(np.random.default_rng(0))
    assert np.allclose(levels(volumes, plan_of(())), volumes[..., 0], atol=1e-4)
    labels = (volumes[..., 0] > 128).astype(np.uint8)
    assert np.array_equal(move_masks(labels, plan_of(())), labels)


def test_values_equal_scipy_where_no_border_is_near():
    volumes, plan = smooth(np.random.default_rng(1)), plan_of(STRONG)
    moved = levels(volumes, plan)
    for row in range(4):
        half = np.array(SIZE[::-1]) / 2  # x, y, z
        matrix, offset = plan.warp[row, :, :3], plan.warp[row, :, 3]
        linear = half[:, None] * matrix / half
        start = half * offset + (half - 0.5) - linear @ (half - 0.5)
        wanted = ndimage.affine_transform(
            volumes[row, ..., 0].astype(float), linear[::-1, ::-1], start[::-1], order=1, mode="reflect"
        )
        assert np.abs(wanted - moved[row]).max() < 0.05


def test_a_mask_painted_from_the_values_stays_in_step():
    volumes, plan = smooth(np.random.default_rng(2)), plan_of(STRONG)
    labels = (volumes[..., 0] > 128).astype(np.uint8)
    moved, values = move_masks(labels, plan), levels(volumes, plan)
    inside = np.abs(values - 128) > 20  # further from the edge of the mask than a voxel's slope
    assert (moved != (values > 128))[inside].mean() < 0.01 and inside.mean() > 0.4


def test_there_and_back_within_half_a_voxel():
    """The centre of a ball comes to lie where the matrix says."""
    places = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), -1)
    balls = np.stack([np.exp(-((places - np.array(SIZE) / 2 - shift) ** 2).sum(-1) / 8) for shift in (-3, 0, 2, 3)])
    plan = plan_of((Rotate(max_deg=20), Zoom(min=0.9, max=1.1), Shift(max_frac=0.05)))
    moved = levels((255 * balls).astype(np.uint8)[..., None], plan)
    half = np.array(SIZE[::-1]) / 2
    for before, after, warp in zip(balls, moved, plan.warp, strict=True):
        found = ((np.array(ndimage.center_of_mass(after**2))[::-1] + 0.5) / half - 1) @ warp[:, :3].T + warp[:, 3]
        back = (found + 1) * half - 0.5
        assert np.abs(back - np.array(ndimage.center_of_mass(before**2))[::-1]).max() < 0.5


def test_transform_then_crop_equals_crop_of_transform():
    """A smaller output is the middle of the larger one: its matrix, in half sides, is scaled and nothing else."""
    volumes, whole = smooth(np.random.default_rng(3)), plan_of((Rotate(max_deg=20),))
    part = (10, 12, 14)
    scale = np.diag([*(np.array(part[::-1]) / np.array(SIZE[::-1])), 1.0])
    middle = Plan(whole.warp @ scale, SIZE, part)
    cut = tuple(slice((side - kept) // 2, (side + kept) // 2) for side, kept in zip(SIZE, part, strict=True))
    assert np.allclose(levels(volumes, middle), levels(volumes, whole)[(slice(None), *cut)], atol=1e-2)


def test_a_turn_is_rigid_in_voxels_whatever_the_sides_are():
    warp, half = plan_of((Rotate(max_deg=40),)).warp, np.array(SIZE[::-1]) / 2
    for matrix in warp[:, :, :3] * half[:, None] / half:
        assert np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-9) and np.linalg.det(matrix) == pytest.approx(1)


def test_a_flip_is_done_where_it_is_asked_for():
    volumes = smooth(np.random.default_rng(4))
    flipped = levels(volumes, plan_of((Flip(horizontal=1.0),)))
    assert np.allclose(flipped, volumes[..., ::-1, 0], atol=1e-2)
    assert np.allclose(
        levels(volumes, plan_of((Flip(horizontal=0, vertical=1),))), volumes[:, :, ::-1, :, 0], atol=1e-2
    )


def test_gain_and_offset_are_of_the_volume_alone():
    volumes = smooth(np.random.default_rng(5))
    plan = plan_of((Brightness(amount=0.3), Contrast(amount=0.3)), means=volumes.mean((1, 2, 3)))
    factor, offset = plan.colour.reshape(-1, 2).T
    wanted = (volumes[..., 0] * factor[:, None, None, None] + offset[:, None, None, None]).clip(0, 255)
    assert np.allclose(levels(volumes, plan), wanted, atol=1e-2) and np.ptp(factor) > 0.01


def test_what_has_no_form_for_volumes_is_refused_by_name():
    with pytest.raises(SettingsError, match="perspective has no form for volumes"):
        plan_of((Perspective(),))
