"""Masks, boxes, points and angles go where the pixels go."""

import cv2
import numpy as np
import pytest
import torch

from striate.base import torchvision as tv
from striate.data.augment import STRENGTHS, Flip, Pipeline, Rotate, Shear, Shift, Zoom
from striate.data.augment.apply import apply_cpu
from striate.data.augment.move import clip_boxes, move_angles, move_hulls, move_masks, move_points

F = tv.load("torchvision.transforms.v2.functional")
tv_tensors = tv.load("torchvision.tv_tensors")
MOVES = [op for op in STRENGTHS["strong"] if op.kind in {"flip", "rotate", "shear", "crop"}]


def plan_for(ops, count: int, in_px: int, out_px: int, seed: int = 0):
    pipeline = Pipeline(ops)
    return pipeline.matrices(pipeline.draw(count, seed, 0), (in_px, in_px), (out_px, out_px), np.zeros((count, 3)))


def moved_boxes(boxes_xyxy: np.ndarray, plan) -> np.ndarray:
    return clip_boxes(move_hulls(boxes_xyxy, plan), plan)


@pytest.mark.parametrize(("in_px", "out_px"), [(64, 64), (80, 64)])
def test_a_point_lands_on_its_dot(in_px, out_px, seed=3):
    plan = plan_for(MOVES, 40, in_px, out_px, seed)
    image = np.zeros((in_px, in_px, 1), np.uint8)
    centre = np.array([in_px * 0.45, in_px * 0.6], np.float32)
    yy, xx = np.mgrid[:in_px, :in_px] + 0.5
    image[..., 0] = 255 * np.exp(-((xx - centre[0]) ** 2 + (yy - centre[1]) ** 2) / 8)
    views = apply_cpu([image] * 40, plan)[..., 0].astype(float)
    points = move_points(np.tile(centre, (40, 1, 1)), plan)[:, 0]
    seen = ((points > 12) & (points < out_px - 12)).all(1)
    assert seen.sum() > 10
    yy, xx = np.mgrid[:out_px, :out_px] + 0.5
    for view, point in zip(views[seen], points[seen], strict=True):
        found = np.array([(view * xx).sum(), (view * yy).sum()]) / view.sum()
        np.testing.assert_allclose(found, point, atol=0.15)


def test_a_mask_moves_like_its_picture_and_keeps_its_values():
    side, count = 64, 30
    mask = np.zeros((side, side), np.uint8)
    cv2.circle(mask, (30, 36), 14, 1, -1)
    mask[:4] = 255
    plan = plan_for(MOVES, count, side, 56)
    masks = move_masks(np.tile(mask, (count, 1, 1)), plan)
    views = apply_cpu([np.ascontiguousarray((mask == 1)[..., None] * np.uint8(255))] * count, plan)[..., 0]
    assert set(np.unique(masks)) <= {0, 1, 255}
    assert ((masks == 1) == (views > 127)).mean() > 0.99


def test_boxes_of_flips_equal_torchvision():
    boxes = np.array([[[5, 10, 30, 50], [0, 0, 64, 64]]], np.float32)
    box = tv_tensors.BoundingBoxes(torch.from_numpy(boxes[0]), format="XYXY", canvas_size=(64, 64))
    for op, theirs in (
        (Flip(horizontal=1, vertical=0), F.horizontal_flip),
        (Flip(horizontal=0, vertical=1), F.vertical_flip),
    ):
        np.testing.assert_allclose(moved_boxes(boxes, plan_for([op], 1, 64, 64))[0], theirs(box).numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("op", "angle", "shift", "scale", "shear"),
    [
        (Rotate(max_deg=40), -40, (0, 0), 1, (0, 0)),
        (Shift(max_frac=0.1), 0, (6.4, 6.4), 1, (0, 0)),
        (Zoom(min=1.3, max=1.3), 0, (0, 0), 1.3, (0, 0)),
        (Shear(max_deg=15), 0, (0, 0), 1, (15, 15)),
    ],
)
def test_boxes_of_affines_equal_torchvision_to_a_pixel(op, angle, shift, scale, shear):
    boxes = np.array([[[20, 24, 40, 34], [2, 3, 20, 60]]], np.float32)
    plan = Pipeline([op]).matrices(np.ones((1, op.num_draws), np.float32), (64, 64), (64, 64), np.zeros((1, 3)))
    if op.kind == "shear":  # torchvision slants along y before x
        angle, shear, plan = (
            0,
            (15, 0),
            Pipeline([op]).matrices(np.array([[1, 0.5]], np.float32), (64, 64), (64, 64), np.zeros((1, 3))),
        )
    box = tv_tensors.BoundingBoxes(torch.from_numpy(boxes[0]), format="XYXY", canvas_size=(64, 64))
    theirs = F.affine(box, angle, list(shift), scale, list(shear))
    np.testing.assert_allclose(moved_boxes(boxes, plan)[0], theirs.numpy(), atol=1.0)


def test_a_moved_box_holds_its_object_and_hugs_it():
    side, count = 96, 40
    mask = np.zeros((side, side), np.uint8)
    mask[40:60, 30:70] = 1
    plan = plan_for([Flip(), Shift(max_frac=0.1), Zoom()], count, side, side)  # upright, so the hull is tight
    masks = move_masks(np.tile(mask, (count, 1, 1)), plan)
    boxes = moved_boxes(np.tile(np.array([30, 40, 70, 60], np.float32), (count, 1)), plan)
    for moved, box in zip(masks, boxes, strict=True):
        rows, columns = np.nonzero(moved)
        np.testing.assert_allclose(box, [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], atol=1.1)


def test_a_box_that_left_the_picture_has_no_area():
    plan = Pipeline([Shift(max_frac=1)]).matrices(np.ones((1, 2), np.float32), (32, 32), (32, 32), np.zeros((1, 3)))
    left, top, right, bottom = moved_boxes(np.array([[4, 4, 20, 20]], np.float32), plan)[0]
    assert (right - left) * (bottom - top) == 0 and 0 <= left <= 32 and 0 <= top <= 32


def arrow_angle(view: np.ndarray) -> float:
    """Direction from the dim dot to the bright one, anticlockwise from the right."""
    yy, xx = np.mgrid[: view.shape[0], : view.shape[1]]
    ends = []
    for channel in (0, 1):
        weight = view[..., channel].astype(float)
        ends.append(np.array([(weight * xx).sum(), (weight * yy).sum()]) / weight.sum())
    x, y = ends[1] - ends[0]
    return float(np.rad2deg(np.arctan2(-y, x)) % 360)


@pytest.mark.parametrize("ops", [[Flip(horizontal=0.5, vertical=0.5)], [Rotate(max_deg=180)], MOVES])
def test_an_angle_is_that_of_the_arrow_one_sees(ops):
    side, count = 96, 40
    rng = np.random.default_rng(1)
    angles = rng.uniform(0, 360, (count, 1)).astype(np.float32)
    yy, xx = np.mgrid[:side, :side]
    images = []
    for angle in np.deg2rad(angles[:, 0]):
        image = np.zeros((side, side, 3), np.uint8)
        for channel, end in enumerate((-1, 1)):
            x, y = 48 + end * 9 * np.cos(angle), 48 - end * 9 * np.sin(angle)
            image[..., channel] = 255 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 6)
        images.append(image)
    plan = plan_for(ops, count, side, side)
    moved = move_angles(angles, plan)
    ends = move_points(np.tile(np.array([48, 48], np.float32), (count, 1)), plan)
    seen = ((ends > 26) & (ends < side - 26)).all(1)
    assert seen.sum() > 8 and moved.shape == (count, 1) and (moved >= 0).all() and (moved < 360).all()
    for view, angle in zip(apply_cpu(images, plan)[seen], moved[seen, 0], strict=True):
        assert abs((arrow_angle(view) - angle + 180) % 360 - 180) < 4


def test_empty_boxes_and_points_are_allowed():
    plan = plan_for(MOVES, 2, 32, 32)
    assert moved_boxes(np.empty((2, 0, 4), np.float32), plan).shape == (2, 0, 4)
    assert move_points(np.empty((2, 0, 2), np.float32), plan).shape == (2, 0, 2)
