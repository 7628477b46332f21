"""Perspective against torchvision, its exactness where it is none, and the alternating flip."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.base import torchvision as tv
from striate.data.augment import AlternatingFlip, Crop, Erase, Flip, Perspective, Pipeline, Rotate, Zoom
from striate.data.augment.apply import Normal, apply_cpu
from striate.data.augment.device import apply_torch
from striate.data.augment.geometric import CORNERS, homographies
from striate.data.augment.move import clip_boxes, move_angles, move_hulls, move_masks, move_points

F = tv.load("torchvision.transforms.v2.functional")
BILINEAR = tv.load("torchvision.transforms").InterpolationMode.BILINEAR
v2 = tv.load("torchvision.transforms.v2")
VIEWS = [Flip(), Rotate(max_deg=20), Perspective(amount=0.4, p=0.7)]


def smooth(side: int = 64, seed: int = 0, channels: int = 3) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 7, channels), np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).reshape(side, side, channels)


def plan_for(ops, count: int, in_px: int, out_px: int, seed: int = 0):
    pipeline = Pipeline(ops)
    return pipeline.matrices(pipeline.draw(count, seed, 0), (in_px, in_px), (out_px, out_px), np.zeros((count, 3)))


def test_perspective_equals_torchvision_inside_the_border():
    image, side = smooth(), 64
    row = np.random.default_rng(4).random((1, 9), np.float32)
    row[0, 0] = 0
    op = Perspective(amount=0.4, p=1)
    plan = Pipeline([op]).matrices(row, (side, side), (side, side), np.zeros((1, 3)))
    end = (CORNERS * (1 - 0.4 * row[0, 1:].reshape(4, 2).astype(float)) + 1) * side / 2 - 0.5  # pixel centres
    start = (CORNERS + 1) * side / 2 - 0.5
    moved = [
        F.perspective(
            torch.from_numpy(levels).permute(2, 0, 1).float(), None, None, BILINEAR, coefficients=coefficients
        )
        for levels in (image, np.full_like(image, 255))
        for coefficients in [torchvision_coefficients(start, end)]
    ]
    theirs, seen = moved[0].permute(1, 2, 0).numpy(), moved[1].permute(1, 2, 0).numpy() > 254.9
    assert 0.3 < seen.mean() < 0.95
    np.testing.assert_allclose(apply_cpu([image], plan)[0][seen], theirs[seen], atol=2)


def torchvision_coefficients(start: np.ndarray, end: np.ndarray) -> list[float]:
    """The eight numbers of torchvision's perspective, by OpenCV: from output to input pixels."""
    # torchvision samples at (x + 0.5, y + 0.5) of the output and takes input places from the outer corner
    return (
        (cv2.getPerspectiveTransform((end + 0.5).astype(np.float32), (start + 0.5).astype(np.float32)))
        .ravel()[:8]
        .tolist()
    )


def test_corners_go_where_they_are_drawn_and_none_is_exact():
    rng = np.random.default_rng(0)
    start, end = CORNERS * rng.uniform(0.5, 1, (20, 4, 2)), np.tile(CORNERS, (20, 1, 1))
    matrix = homographies(start, end)
    found = np.concatenate([start, np.ones((20, 4, 1))], axis=2) @ matrix.transpose(0, 2, 1)
    np.testing.assert_allclose(found[..., :2] / found[..., 2:], end, atol=1e-9)
    np.testing.assert_array_equal(homographies(end, end), np.tile(np.eye(3), (20, 1, 1)))


@given(st.integers(0, 10**6))
def test_no_output_pixel_lies_beyond_the_horizon(seed):
    draws = np.random.default_rng(seed).integers(0, 2, (64, 9)).astype(np.float32)  # the extremes
    draws[:, 0] = 0
    matrix = Perspective(amount=0.4, p=1).matrices(draws)
    depth = matrix[:, 2, :2] @ CORNERS.T + 1
    assert depth.min() > 0.25


def test_a_pipeline_whose_perspective_is_not_drawn_gives_the_same_bits():
    images = [smooth(48, seed) for seed in range(8)]
    plain = plan_for([Flip(), Rotate()], 8, 48, 40)
    table = np.concatenate([Pipeline([Flip(), Rotate()]).draw(8, 0, 0), np.ones((8, 9), np.float32)], axis=1)
    other = Pipeline([Flip(), Rotate(), Perspective()]).matrices(table, (48, 48), (40, 40), np.zeros((8, 3)))
    assert other.warp.shape == (8, 3, 3)
    np.testing.assert_array_equal(apply_cpu(images, other), apply_cpu(images, plain))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sides", [(48, 40), (40, 40), (30, 40)])
def test_cpu_and_gpu_code_agree_within_two_levels(channels, sides):
    images = np.stack([smooth(sides[0], seed, channels) for seed in range(12)])
    plan, mean, std = plan_for([*VIEWS, Zoom(min=0.8, max=1.2)], 12, *sides), [0.5] * channels, [0.25] * channels
    ours = apply_cpu(images, plan, normal=Normal.of(mean, std, (sides[1], sides[1])))
    other = apply_torch(torch.from_numpy(images), plan, torch.tensor(mean), torch.tensor(std)).permute(0, 2, 3, 1)
    levels = np.abs(ours - other.numpy()) * 255 * 0.25
    assert levels.max() <= 2.01 and levels.mean() < 0.4


@pytest.mark.parametrize(("in_px", "out_px"), [(64, 64), (80, 64)])
def test_a_point_lands_on_its_dot(in_px, out_px):
    plan = plan_for(VIEWS, 40, in_px, out_px, 3)
    centre = np.array([in_px * 0.45, in_px * 0.6], np.float32)
    yy, xx = np.mgrid[:in_px, :in_px] + 0.5
    dot = (255 * np.exp(-((xx - centre[0]) ** 2 + (yy - centre[1]) ** 2) / 6)).astype(np.uint8)[..., None]
    views = apply_cpu([dot] * 40, plan)[..., 0].astype(float)
    points = move_points(np.tile(centre, (40, 1, 1)), plan)[:, 0]
    seen = ((points > 12) & (points < out_px - 12)).all(1)
    assert seen.sum() > 10
    yy, xx = np.mgrid[:out_px, :out_px] + 0.5
    for view, point in zip(views[seen], points[seen], strict=True):
        np.testing.assert_allclose([(view * xx).sum() / view.sum(), (view * yy).sum() / view.sum()], point, atol=0.3)


def test_masks_boxes_and_angles_follow():
    side, count = 96, 40
    mask = np.zeros((side, side), np.uint8)
    cv2.circle(mask, (48, 48), 14, 1, -1)
    plan = plan_for([Perspective(amount=0.25, p=1)], count, side, side)  # the mirrored disc stays outside
    masks = move_masks(np.tile(mask, (count, 1, 1)), plan)
    views = apply_cpu([np.ascontiguousarray(mask[..., None] * np.uint8(255))] * count, plan)[..., 0]
    assert ((masks == 1) == (views > 127)).mean() > 0.99
    boxes = clip_boxes(move_hulls(np.tile(np.array([34, 34, 63, 63], np.float32), (count, 1)), plan), plan)
    for moved, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        rows, columns = np.nonzero(moved)
        assert (
            left - 1 <= columns.min()
            and columns.max() < right + 1
            and top - 1 <= rows.min()
            and rows.max() < bottom + 1
        )
    angle = 37.0
    ends = np.array([[48, 48], [48 + 0.01 * np.cos(np.deg2rad(angle)), 48 - 0.01 * np.sin(np.deg2rad(angle))]])
    tail, tip = (exact_points(end, plan) for end in ends)
    expected = np.rad2deg(np.arctan2(-(tip - tail)[:, 1], (tip - tail)[:, 0])) % 360
    np.testing.assert_allclose(move_angles(np.full((count, 1), angle, np.float32), plan)[:, 0], expected, atol=0.2)


def exact_points(point: np.ndarray, plan) -> np.ndarray:
    """Output place by solving for it: the inverse of OpenCV's convention, in double precision."""
    found = np.linalg.solve(plan.warp, np.array([*(point - 0.5), 1])[None, :, None])[..., 0]
    return found[:, :2] / found[:, 2:] + 0.5


# --- alternating flip ----------------------------------------------------------------------------------------------


def test_odd_epochs_flip_exactly_those_that_even_ones_do_not():
    op = AlternatingFlip()
    epochs = [op.draw(1000, 5, epoch, 0)[:, 0] for epoch in range(4)]
    np.testing.assert_array_equal(epochs[0] + epochs[1], np.ones(1000))
    np.testing.assert_array_equal(epochs[0], epochs[2])
    np.testing.assert_array_equal(epochs[1], epochs[3])
    assert abs(epochs[0].mean() - 0.5) < 0.05
    assert (op.draw(1000, 6, 0, 0)[:, 0] != epochs[0]).mean() > 0.4
    np.testing.assert_array_equal(op.draw(10, 5, 0, 0)[:, 0], epochs[0][:10])


def test_two_epochs_show_both_views_of_every_picture():
    images, pipeline = [smooth(24, seed) for seed in range(20)], Pipeline([AlternatingFlip()])
    views = [
        apply_cpu(images, pipeline.matrices(pipeline.draw(20, 0, e), (24, 24), (24, 24), np.zeros((20, 3))))
        for e in (0, 1)
    ]
    for image, first, second in zip(images, *views, strict=True):
        np.testing.assert_array_equal(first, second[:, ::-1])
        assert (first == image).all() or (second == image).all()


# --- crop and erasing have torchvision's distributions --------------------------------------------------------------


def test_a_crop_is_torchvisions_random_resized_crop():
    draws = np.random.default_rng(0).random((3000, 4), np.float32)
    matrix = Crop(scale=(0.2, 0.5), ratio=(0.5, 2)).matrices(draws)
    ours = np.stack([matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 0, 2], matrix[:, 1, 2]])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        crop, blank = v2.RandomResizedCrop(8, (0.2, 0.5), (0.5, 2)), torch.empty(3, 1000, 1000)
        found = [crop.make_params([blank]) for _ in range(3000)]
    top, left, height, width = (
        np.array([one[key] for one in found]) / 1000 for key in ("top", "left", "height", "width")
    )
    theirs = np.stack([width, height, 2 * left + width - 1, 2 * top + height - 1])
    for one, other in zip(ours, theirs, strict=True):
        assert distance(one, other) < 0.05


def test_erasing_is_torchvisions_random_erasing():
    boxes = Erase(p=1, scale=(0.02, 0.2), ratio=(0.3, 1 / 0.3)).boxes(
        np.random.default_rng(0).random((3000, 5), np.float32), (1000, 1000)
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        erase, blank = v2.RandomErasing(1, (0.02, 0.2), (0.3, 1 / 0.3)), torch.zeros(3, 1000, 1000)
        found = [erase.make_params([blank]) for _ in range(3000)]
    theirs = np.array([[one["j"], one["i"], one["j"] + one["w"], one["i"] + one["h"]] for one in found])
    for one, other in zip(boxes.T, theirs.T, strict=True):
        assert distance(one, other) < 0.05
    area = [np.prod(corners[:, 2:] - corners[:, :2], axis=1) for corners in (boxes, theirs)]
    assert distance(*area) < 0.05


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Kolmogorov and Smirnov's: the greatest difference of the two cumulative distributions."""
    at = np.sort(np.concatenate([one, other]))
    parts = [np.searchsorted(np.sort(values), at, side="right") / len(values) for values in (one, other)]
    return float(np.abs(parts[0] - parts[1]).max())
