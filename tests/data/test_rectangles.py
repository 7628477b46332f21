"""Height x width: the fits, augmentation rigid in pixels, and the way back, against torchvision and brute force."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.base import torchvision as tv
from striate.data.augment import (
    STRENGTHS,
    Blur,
    Crop,
    Cutmix,
    Erase,
    Flip,
    Mixup,
    Noise,
    Perspective,
    Pipeline,
    Resolution,
    Rotate,
    Shear,
    Shift,
    Zoom,
)
from striate.data.augment.apply import Normal, apply_cpu
from striate.data.augment.device import apply_torch
from striate.data.augment.mix import Mix, boxes_of
from striate.data.augment.move import clip_boxes, move_hulls, move_masks, move_points
from striate.data.augment.preview import preview
from striate.data.geometry import FITS, Geometry

v2, F = tv.load("torchvision.transforms.v2"), tv.load("torchvision.transforms.v2.functional")
InterpolationMode = tv.load("torchvision.transforms").InterpolationMode
HW = (48, 80)
sizes = st.tuples(st.integers(4, 60), st.integers(4, 60))


def smooth(size_hw=HW, seed: int = 0, channels: int = 3) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 9, channels), np.uint8)
    return cv2.resize(coarse, size_hw[::-1], interpolation=cv2.INTER_CUBIC).reshape(*size_hw, channels)


def plan_of(op, row, in_hw=HW, out_hw=HW):
    return Pipeline([op]).matrices(np.array([row], np.float32), in_hw, out_hw, np.full((1, 3), 99.0))


def inner(image: np.ndarray, border: int = 14) -> np.ndarray:
    return image[border:-border, border:-border].astype(float)


@given(image_hw=sizes, target_hw=sizes)
def test_crop_is_the_largest_centred_box_of_the_target_aspect(image_hw, target_hw):
    (height, width), (rows, columns) = image_hw, target_hw
    left, top, box_width, box_height = Geometry(target_hw).placement(height, width).box
    assert (box_height, box_width) in {
        (height, max(1, round(height * columns / rows))),
        (max(1, round(width * rows / columns)), width),
    }
    assert left >= 0 and left + box_width <= width and top >= 0 and top + box_height <= height
    assert abs((width - box_width) - 2 * left) <= 1 and abs((height - box_height) - 2 * top) <= 1


@given(image_hw=sizes, target_hw=sizes)
def test_letterbox_shows_all_of_the_image_in_its_aspect(image_hw, target_hw):
    place = Geometry(target_hw, "letterbox").placement(*image_hw)
    assert place.box == (0, 0, image_hw[1], image_hw[0])
    left, top, width, height = place.spot
    assert (width, height) == (target_hw[1], height) or height == target_hw[0]
    scale = min(target_hw[0] / image_hw[0], target_hw[1] / image_hw[1])
    assert abs(width - image_hw[1] * scale) <= 1 and abs(height - image_hw[0] * scale) <= 1
    assert 0 <= left <= target_hw[1] - width and 0 <= top <= target_hw[0] - height


@pytest.mark.parametrize("fit", FITS)
def test_stored_pixels_equal_torchvisions_resize(fit):
    image, geometry = smooth((90, 111)), Geometry((20, 36), fit)
    stored, place = geometry.to_store(image), geometry.placement(90, 111)
    left, top, width, height = place.box
    part = torch.from_numpy(image[top : top + height, left : left + width]).permute(2, 0, 1)
    theirs = v2.Resize(place.spot[:1:-1], InterpolationMode.BILINEAR, antialias=True)(part).permute(1, 2, 0).numpy()
    left, top, width, height = place.spot
    np.testing.assert_allclose(stored[top : top + height, left : left + width].astype(int), theirs, atol=1)
    outside = np.ones(stored.shape[:2], bool)
    outside[top : top + height, left : left + width] = False
    assert (stored[outside] == 128).all()


def test_a_square_is_what_it_was_with_one_number():
    assert Geometry((128, 128), margin=1.15).store_hw == (147, 147)
    document = Geometry((32, 32), "squash", 1.2, 1).to_json()
    assert document["size_px"] == 32 and Geometry.from_json(document) == Geometry((32, 32), "squash", 1.2, 1)
    del document["size_hw"]  # as an earlier version wrote it
    assert Geometry.from_json(document) == Geometry((32, 32), "squash", 1.2, 1)
    rectangle = Geometry((24, 40))
    assert "size_px" not in rectangle.to_json() and Geometry.from_json(rectangle.to_json()) == rectangle


@pytest.mark.parametrize("hw", [HW, HW[::-1]])
@pytest.mark.parametrize(
    ("op", "angle", "shear"),
    [(Rotate(max_deg=33), 33.0, (0.0, 0.0)), (Rotate(max_deg=90), 90.0, (0.0, 0.0)), (Shear(max_deg=20), 0.0, None)],
)
def test_rotation_and_shear_are_torchvisions_in_pixels(op, angle, shear, hw):
    image = smooth(hw)
    if shear is None:  # along x alone: torchvision's order for both is its own
        row, shear = [1.0, 0.5], (20.0, 0.0)
    else:
        row = [1.0]
    ours = apply_cpu([image], plan_of(op, row, hw, hw))[0]
    theirs = F.affine(
        torch.from_numpy(image).permute(2, 0, 1), -angle, [0, 0], 1.0, list(shear), InterpolationMode.BILINEAR
    ).permute(1, 2, 0)  # fmt: skip
    seen = F.affine(torch.full((1, *hw), 255, dtype=torch.uint8), -angle, [0, 0], 1.0, list(shear))[0] == 255
    seen = cv2.erode(seen.numpy().astype(np.uint8), np.ones((5, 5)), borderValue=0) > 0
    assert seen.mean() > 0.3
    assert np.abs(ours.astype(float) - theirs.numpy())[seen].max() <= 3


def test_rotation_keeps_distances_between_points_at_every_angle():
    op, points = Rotate(max_deg=180), np.array([[[10.0, 11], [60, 30], [33, 40]]], np.float32)
    for draw in np.linspace(0, 1, 13):
        moved = move_points(points, plan_of(op, [draw]))[0]
        before, after = (np.linalg.norm(one[:, None] - one, axis=2) for one in (points[0], moved))
        np.testing.assert_allclose(after, before, atol=1e-3)


def test_flip_and_shift_are_exact_along_both_axes():
    image = smooth()
    np.testing.assert_array_equal(apply_cpu([image], plan_of(Flip(vertical=1), [0, 0]))[0], image[::-1, ::-1])
    moved = apply_cpu([image], plan_of(Shift(max_frac=0.25), [1.0, 1.0]))[0]
    np.testing.assert_array_equal(moved[12:, 20:], image[:-12, :-20])  # a quarter of 48 down, of 80 right


@pytest.mark.parametrize("op", [Crop(scale=(0.3, 0.9)), Zoom(min=0.7, max=1.4), Perspective(p=1), Rotate(max_deg=40)])
def test_points_boxes_and_masks_follow_the_pixels(op):
    pipeline, num, in_hw, out_hw = Pipeline([op]), 20, (56, 92), (48, 80)
    plan = pipeline.matrices(pipeline.draw(num, 3, 0), in_hw, out_hw, np.zeros((num, 3)))
    y, x = np.mgrid[:56, :92] + 0.5
    blob = np.exp(-((x - 50) ** 2 + (y - 26) ** 2) / 18)
    image = (255 * blob).astype(np.uint8)[..., None]
    points = move_points(np.tile(np.array([50, 26], np.float32), (num, 1)), plan)
    y, x = np.mgrid[:48, :80] + 0.5
    views = apply_cpu([image] * num, plan)[..., 0].astype(float)
    masks = move_masks([(image[..., 0] > 90).astype(np.uint8)] * num, plan)
    boxes = clip_boxes(move_hulls(np.tile(np.array([47, 23, 53, 29], np.float32), (num, 1)), plan), plan)
    inside = ((points > 10) & (points < np.array([70, 38]))).all(1)
    assert inside.sum() > 5
    for view, mask, point, box in zip(views[inside], masks[inside], points[inside], boxes[inside], strict=True):
        assert np.abs(np.array([(view * x).sum(), (view * y).sum()]) / view.sum() - point).max() < 0.7
        assert np.abs(np.array([x[mask == 1].mean(), y[mask == 1].mean()]) - point).max() < 0.8
        assert np.abs((box[:2] + box[2:]) / 2 - point).max() < 0.5


def test_erasing_is_torchvisions_random_erasing_on_a_rectangle():
    hw = (600, 1000)
    boxes = Erase(p=1, scale=(0.02, 0.2), ratio=(0.3, 1 / 0.3)).boxes(
        np.random.default_rng(0).random((3000, 5), np.float32), hw
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        erase, blank = v2.RandomErasing(1, (0.02, 0.2), (0.3, 1 / 0.3)), torch.zeros(3, *hw)
        theirs = [erase.make_params([blank]) for _ in range(3000)]
    ours = (boxes[:, 2:] - boxes[:, :2]).T
    for mine, key in zip(ours, ("w", "h"), strict=True):
        quantiles = [np.quantile(one, np.linspace(0.05, 0.95, 10)) for one in (mine, [box[key] for box in theirs])]
        np.testing.assert_allclose(*quantiles, rtol=0.08)
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= hw[::-1]).all()


def test_cutmix_pastes_boxes_of_the_images_aspect_and_counts_their_pixels():
    draws = np.random.default_rng(0).random((500, 5), np.float32)
    boxes = boxes_of(draws, HW)
    mix = Mix(np.arange(500), np.ones(500), boxes, HW)
    for (left, top, right, bottom), share, row in zip(boxes, mix.share, draws, strict=True):
        canvas = np.ones(HW)
        canvas[top:bottom, left:right] = 0
        assert share == pytest.approx(canvas.mean(), abs=1e-6)
        if left > 0 and top > 0 and right < 80 and bottom < 48:
            assert (right - left) == pytest.approx(80 * np.sqrt(1 - row[2]), abs=1.5)
            assert (bottom - top) == pytest.approx(48 * np.sqrt(1 - row[2]), abs=1.5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "ops",
    [STRENGTHS["medium"], STRENGTHS["strong"], (Perspective(p=1), Erase(p=1)), (Mixup(), ), (Cutmix(),),
     (Blur(p=1), Resolution(p=1)), (Noise(p=1),)],
)  # fmt: skip
def test_what_a_gpu_does_equals_what_a_cpu_does(ops, channels):
    images, pipeline = np.stack([smooth((56, 92), seed, channels) for seed in range(8)]), Pipeline(ops)
    mean, std = [0.4, 0.5, 0.6][:channels], [0.25] * channels
    plan = pipeline.matrices(pipeline.draw(8, 0, 0), (56, 92), HW, images.mean((1, 2)))
    ours = apply_cpu(images, plan, normal=Normal.of(mean, std, HW))
    other = apply_torch(torch.from_numpy(images), plan, torch.tensor(mean), torch.tensor(std)).permute(0, 2, 3, 1)
    assert ours.shape == other.shape == (8, *HW, channels)
    levels = np.abs(ours - other.numpy()) * 255 * 0.25
    assert np.quantile(levels, 0.99) <= 2.5


def test_a_preview_shows_rectangles():
    grid = preview(smooth((90, 160)), Pipeline(STRENGTHS["light"]), Geometry((24, 40)), count=5)
    assert (grid.shape[0] + 2) % 26 == 0 and (grid.shape[1] + 2) % 42 == 0


@given(
    image_hw=sizes, target_hw=sizes, fit=st.sampled_from(sorted(FITS)), margin=st.sampled_from([1.0, 1.15, 2.0]),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)  # fmt: skip
def test_a_point_there_and_back_is_the_same_point(image_hw, target_hw, fit, margin, place):
    geometry = Geometry(target_hw, fit, margin)
    point = np.array(place) * image_hw[::-1]
    matrix = geometry.matrix(*image_hw)
    stored = matrix[:, :2] @ point + matrix[:, 2]
    plan = Pipeline().matrices(np.empty((1, 0), np.float32), geometry.store_hw, target_hw, np.zeros((1, 3)))
    seen = move_points(stored[None].astype(np.float32), plan)[0]
    np.testing.assert_allclose(geometry.way_back(*image_hw).points(seen), point, atol=2e-3)


@given(image_hw=sizes, target_hw=sizes, fit=st.sampled_from(sorted(FITS)))
def test_a_box_there_and_back_is_its_visible_part(image_hw, target_hw, fit):
    height, width = image_hw
    geometry, box = Geometry(target_hw, fit), np.array([width * 0.2, height * 0.3, width * 0.9, height * 0.8])
    matrix = geometry.matrix(*image_hw)
    stored = np.tile(matrix[[0, 1], [0, 1]], 2) * box + np.tile(matrix[:, 2], 2)
    shown = np.clip(stored, 0, np.tile(target_hw[::-1], 2))
    left, top, box_width, box_height = geometry.placement(*image_hw).box
    expected = np.clip(box, [left, top] * 2, [left + box_width, top + box_height] * 2)
    np.testing.assert_allclose(geometry.way_back(*image_hw).boxes(shown[None])[0], expected, atol=1e-6)


@given(image_hw=sizes, target_hw=sizes, fit=st.sampled_from(sorted(FITS)))
def test_a_mask_returns_by_brute_force(image_hw, target_hw, fit):
    rng = np.random.default_rng(0)
    geometry, mask = Geometry(target_hw, fit), rng.integers(0, 5, target_hw, np.uint8)
    back = geometry.way_back(*image_hw).mask(mask)
    assert back.shape == image_hw
    forward = geometry.matrix(*image_hw)
    for _ in range(20):
        y, x = rng.integers(0, image_hw[0]), rng.integers(0, image_hw[1])
        at_x = (x + 0.5) * forward[0, 0] + forward[0, 2]
        at_y = (y + 0.5) * forward[1, 1] + forward[1, 2]
        if min(abs(at_x - round(at_x)), abs(at_y - round(at_y))) < 1e-9:
            continue  # on the edge of two pixels
        is_seen = 0 < at_x < target_hw[1] and 0 < at_y < target_hw[0]
        assert back[y, x] == (mask[int(at_y), int(at_x)] if is_seen else 255)


@pytest.mark.parametrize("fit", FITS)
def test_a_mask_that_was_shrunk_returns_to_itself_but_for_its_edges(fit):
    y, x = np.mgrid[:200, :320]
    mask = (((x - 160) / 90) ** 2 + ((y - 100) / 60) ** 2 < 1).astype(np.uint8)
    geometry = Geometry((100, 120), fit)
    back = geometry.way_back(200, 320).mask(geometry.mask_to_store(mask))
    seen = back != 255
    assert (back == mask)[seen].mean() > 0.98 and seen.mean() == pytest.approx(0.75 if fit == "crop" else 1, abs=0.01)


@pytest.mark.parametrize("maps_hw", [(12, 20), (3, 5)])
def test_bilinear_maps_return_as_torch_enlarges_them(maps_hw):
    maps = np.random.default_rng(0).random((*maps_hw, 2)).astype(np.float32)
    back = Geometry((12, 20), "squash").way_back(48, 90).maps(maps, "bilinear", 0)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(maps).permute(2, 0, 1)[None], (48, 90), mode="bilinear", align_corners=False
    )[0].permute(1, 2, 0)
    np.testing.assert_allclose(back, theirs.numpy(), atol=1e-5)
