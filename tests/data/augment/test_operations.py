"""Each operation against torchvision's functional form, and their composition against one after the other."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch

from striate.base import torchvision as tv
from striate.base.errors import SettingsError
from striate.base.settings import Settings
from striate.data.augment import (
    STRENGTHS,
    Brightness,
    Contrast,
    Crop,
    Erase,
    Flip,
    Hue,
    Mosaic,
    ObjectCrop,
    Op,
    Pipeline,
    Rotate,
    Saturation,
    Shear,
    Shift,
    Zoom,
)
from striate.data.augment.apply import Normal, Recycler, apply_cpu
from striate.data.augment.colour import mean_grey, unchanged
from striate.data.augment.device import _places, apply_torch
from striate.data.augment.plan import Plan

F = tv.load("torchvision.transforms.v2.functional")
BILINEAR = tv.load("torchvision.transforms").InterpolationMode.BILINEAR


def smooth(side: int = 64, seed: int = 0, channels: int = 3) -> np.ndarray:
    """An image without sharp edges: two correct bilinear samplers differ least on it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 7, channels), np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).reshape(side, side, channels)


def draws(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


def one(op: Op, row: np.ndarray, image: np.ndarray, out_px: int | None = None) -> np.ndarray:
    """The image after one operation with the given uniform numbers."""
    means = image.mean((0, 1))[None]
    return apply_cpu(
        [image], Pipeline([op]).matrices(row, image.shape[:2], (out_px, out_px) if out_px else image.shape[:2], means)
    )[0]


def torchvision_affine(image: np.ndarray, angle: float, shift: tuple, scale: float, shear: tuple) -> np.ndarray:
    chw = torch.from_numpy(image).permute(2, 0, 1).float()
    moved = F.affine(chw, angle, list(shift), scale, list(shear), interpolation=BILINEAR)
    return moved.permute(1, 2, 0).numpy()


# torchvision's `affine` counts a rotation clockwise, its `rotate` anticlockwise
@pytest.mark.parametrize(
    ("op", "row", "angle", "shift", "scale", "shear"),
    [
        (Rotate(max_deg=40), (0.8,), -24, (0, 0), 1, (0, 0)),
        (Rotate(max_deg=40), (0.1,), 32, (0, 0), 1, (0, 0)),
        (Shift(max_frac=0.25), (1.0, 0.25), 0, (16, -8), 1, (0, 0)),
        (Zoom(min=0.5, max=2), (0.9,), 0, (0, 0), 4**0.4, (0, 0)),
        (Shear(max_deg=20), (0.9, 0.5), 0, (0, 0), 1, (16, 0)),
        (Shear(max_deg=20), (0.5, 0.1), 0, (0, 0), 1, (0, -16)),
    ],
)
def test_geometry_equals_torchvision_inside_the_border(op, row, angle, shift, scale, shear):
    image = smooth()
    theirs = torchvision_affine(image, angle, shift, scale, shear)
    visible = torchvision_affine(np.full_like(image, 255), angle, shift, scale, shear) > 254.9
    assert visible.mean() > 0.3
    np.testing.assert_allclose(one(op, draws(*row), image)[visible], theirs[visible], atol=1.6)


def test_a_positive_rotation_turns_anticlockwise_like_torchvision():
    image = smooth()
    theirs = F.rotate(torch.from_numpy(image).permute(2, 0, 1).float(), 30, interpolation=BILINEAR)
    ours = one(Rotate(max_deg=30), draws(1.0), image)
    np.testing.assert_allclose(ours[16:48, 16:48], theirs.permute(1, 2, 0).numpy()[16:48, 16:48], atol=1.6)


@pytest.mark.parametrize("channels", [1, 3])
def test_flips_are_exact(channels):
    image = smooth(33, channels=channels)
    np.testing.assert_array_equal(one(Flip(horizontal=1, vertical=0), draws(0.3, 0.3), image), image[:, ::-1])
    np.testing.assert_array_equal(one(Flip(horizontal=0, vertical=1), draws(0.3, 0.3), image), image[::-1])


def test_a_crop_equals_resizing_that_part():
    image = smooth(64)
    op = Crop(scale=(0.25, 0.25), ratio=(1, 1))  # a quarter of the area: a 32 x 32 part
    for across, down in ((0, 0), (1, 1), (0.5, 0.25)):
        left, top = round(32 * across), round(32 * down)
        part = torch.from_numpy(image[top : top + 32, left : left + 32]).permute(2, 0, 1)[None].float()
        theirs = torch.nn.functional.interpolate(part, (64, 64), mode="bilinear", align_corners=False)[0]
        ours = one(op, draws(0.5, 0.5, across, down), image)
        inner = slice(2, -2)  # at the rim the crop sees its neighbours, the cut part does not
        np.testing.assert_allclose(ours[inner, inner], theirs.permute(1, 2, 0).numpy()[inner, inner], atol=1.1)


def test_a_crop_has_the_area_and_ratio_it_says(rng=np.random.default_rng(0)):
    op = Crop(scale=(0.2, 0.6), ratio=(0.5, 2))
    matrices = op.matrices(rng.random((5000, 4), np.float32))
    width, height = matrices[:, 0, 0], matrices[:, 1, 1]
    reach = np.abs(matrices[:, :2, 2]) + np.stack([width, height], 1)
    assert (reach <= 1 + 1e-9).all()  # wholly inside
    assert (width * height).min() >= 0.2 - 1e-6 and (width * height).max() <= 0.6 + 1e-6
    assert (width / height).min() >= 0.5 - 1e-6 and (width / height).max() <= 2 + 1e-6


@pytest.mark.parametrize(
    ("op", "theirs"),
    [
        (Brightness(amount=0.4), F.adjust_brightness),
        (Contrast(amount=0.4), F.adjust_contrast),
        (Saturation(amount=0.4), F.adjust_saturation),
    ],
)
@pytest.mark.parametrize("draw", [0.0, 0.3, 1.0])
def test_colour_equals_torchvision(op, theirs, draw):
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    expected = theirs(torch.from_numpy(image).permute(2, 0, 1), 0.6 + 0.8 * draw).permute(1, 2, 0)
    np.testing.assert_allclose(one(op, draws(draw), image).astype(int), expected.numpy().astype(int), atol=1)


@pytest.mark.parametrize("op", [Brightness(amount=0.4), Contrast(amount=0.4)])
def test_colour_of_grey_pictures_equals_torchvision(op):
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 1), np.uint8)
    rgb = torch.from_numpy(image).permute(2, 0, 1).expand(3, -1, -1)
    theirs = F.adjust_brightness if isinstance(op, Brightness) else F.adjust_contrast
    expected = theirs(rgb, 1.2)[0].numpy().astype(int)
    np.testing.assert_allclose(one(op, draws(0.75), image)[..., 0].astype(int), expected, atol=1)


@pytest.mark.parametrize("op", [Saturation(), Hue(max_deg=40)])
def test_saturation_and_hue_leave_grey_alone(op):
    image = smooth(channels=1)
    np.testing.assert_array_equal(one(op, draws(0.9), image), image)


def test_hue_keeps_luma_and_a_full_turn_changes_nothing():
    matrix = Hue(max_deg=180).matrices(draws(0.8), np.zeros(1))[0, :, :3]
    luma = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(luma @ matrix, luma, atol=1e-6)
    half = Hue(max_deg=180).matrices(draws(1.0), np.zeros(1))[0, :, :3]
    np.testing.assert_allclose(half @ half, np.eye(3), atol=1e-6)
    assert np.abs(half - np.eye(3)).max() > 0.5


def test_hue_turns_colours_the_way_torchvision_does():
    image = smooth()
    towards = F.adjust_hue(torch.from_numpy(image).permute(2, 0, 1), 0.05).permute(1, 2, 0).numpy().astype(float)
    ours = one(Hue(max_deg=18), draws(0.0), image).astype(float)
    wrong_way = one(Hue(max_deg=18), draws(1.0), image).astype(float)
    assert np.abs(ours - towards).mean() < 0.5 * np.abs(wrong_way - towards).mean()


def test_contrast_after_brightness_pivots_on_the_brightened_mean():
    image = np.random.default_rng(0).integers(20, 100, (32, 32, 3), np.uint8)
    ours = apply_cpu([image], Pipeline([Brightness(amount=0.5), Contrast(amount=0.5)]).matrices(
        draws(1.0, 0.0), (32, 32), (32, 32), image.mean((0, 1))[None]
    ))[0]  # fmt: skip
    step = F.adjust_brightness(torch.from_numpy(image).permute(2, 0, 1) / 255, 1.5)
    expected = F.adjust_contrast(step, 0.5).permute(1, 2, 0).numpy() * 255
    np.testing.assert_allclose(ours, expected, atol=0.6)


def test_mean_grey_is_the_luma_of_the_means():
    means = np.array([[10.0, 20, 30], [5, 5, 5]])
    np.testing.assert_allclose(mean_grey(unchanged(2), means), means @ [0.299, 0.587, 0.114])


def test_erasing_blanks_a_box_of_its_size_inside_the_picture(rng=np.random.default_rng(0)):
    op = Erase(p=0.7, scale=(0.1, 0.3), ratio=(0.5, 2))
    boxes = op.boxes(rng.random((4000, 5), np.float32), (100, 100))
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    blank = width > 0
    assert abs(blank.mean() - 0.7) < 0.03
    assert boxes.min() >= 0 and boxes.max() <= 100
    area = (width * height)[blank] / 1e4
    assert area.min() > 0.095 and area.max() < 0.31
    image = smooth()
    erased = one(Erase(p=1), draws(0, 0.5, 0.5, 0.5, 0.5), image)
    changed = (erased != image).any(2)
    assert 0 < changed.mean() < 0.2 and (erased[changed] == 128).all()


def test_operations_compose_in_the_order_given():
    image = smooth(96)
    first, second = Rotate(max_deg=25), Shift(max_frac=0.1)
    both = Pipeline([first, second]).matrices(draws(1.0, 1.0, 0.5), (96, 96), (96, 96), np.zeros((1, 3)))
    stepwise = one(second, draws(1.0, 0.5), one(first, draws(1.0), image))
    inner = slice(30, 66)
    np.testing.assert_allclose(
        apply_cpu([image], both)[0][inner, inner].astype(int), stepwise[inner, inner].astype(int), atol=4
    )
    swapped = Pipeline([second, first]).matrices(draws(1.0, 0.5, 1.0), (96, 96), (96, 96), np.zeros((1, 3)))
    assert np.abs(both.warp - swapped.warp).max() > 1


@pytest.mark.parametrize("op", [op for ops in STRENGTHS.values() for op in ops])
def test_an_operation_with_no_range_changes_nothing(op):
    still = {
        "flip": Flip(horizontal=0), "rotate": Rotate(max_deg=0), "shift": Shift(max_frac=0), "zoom": Zoom(min=1, max=1),
        "shear": Shear(max_deg=0), "crop": Crop(scale=(1, 1), ratio=(1, 1)), "brightness": Brightness(amount=0),
        "contrast": Contrast(amount=0), "saturation": Saturation(amount=0), "hue": Hue(max_deg=0), "erase": Erase(p=0),
            "object_crop": ObjectCrop(p=0), "mosaic": Mosaic(p=0),
    }[op.kind]  # fmt: skip
    image = smooth(40)
    row = np.random.default_rng(0).random((1, still.num_draws), np.float32)
    np.testing.assert_array_equal(one(still, row, image), image)


class Recipe(Settings):
    augment: tuple[Op, ...] = ()


def test_operations_are_settings_that_print_compare_and_come_back():
    recipe = Recipe(augment=STRENGTHS["strong"])
    assert Recipe.parse(recipe.model_dump(mode="json")) == recipe
    assert repr(Pipeline([Rotate(max_deg=5)])) == "Pipeline(rotate(max_deg=5.0))"
    assert Pipeline([Flip()]) == Pipeline([Flip()]) != Pipeline([Zoom()])


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "rotate", "max_deg": 400},
        {"kind": "zoom", "min": 2, "max": 1},
        {"kind": "crop", "scale": [0.5, 1.5]},
        {"kind": "erase", "scale": [0.5, 0.1]},
        {"kind": "rotat"},
        {"kind": "flip", "horizontl": 0.5},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(SettingsError):
        Recipe.parse({"augment": [wrong]})


def test_an_unknown_strength_names_the_nearest():
    with pytest.raises(SettingsError, match="medium"):
        Pipeline.named("medum")


# --- draws ---------------------------------------------------------------------------------------------------------


def test_draws_differ_between_epochs_seeds_and_samples_and_are_repeatable():
    pipeline = Pipeline.named("strong")
    table = pipeline.draw(50, seed=1, epoch=2)
    np.testing.assert_array_equal(table, pipeline.draw(50, seed=1, epoch=2))
    for other in (pipeline.draw(50, 1, 3), pipeline.draw(50, 2, 2), np.roll(table, 1, 0)):
        assert (table != other).mean() > 0.99


def test_a_sample_keeps_its_draws_when_samples_or_operations_are_added():
    table = Pipeline([Rotate(), Zoom()]).draw(20, 0, 0)
    np.testing.assert_array_equal(Pipeline([Rotate(), Zoom(), Flip()]).draw(30, 0, 0)[:20, :2], table)


# --- application ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sides", [(48, 40), (40, 40), (30, 40)])
def test_cpu_and_gpu_code_agree_within_two_levels(strength, channels, sides):
    in_px, out_px = sides
    images = np.stack([smooth(in_px, seed, channels) for seed in range(12)])
    pipeline, mean, std = Pipeline.named(strength), [0.4, 0.5, 0.6][:channels], [0.2, 0.25, 0.3][:channels]
    plan = pipeline.matrices(pipeline.draw(12, 0, 0), (in_px, in_px), (out_px, out_px), images.mean((1, 2)))
    ours = apply_cpu(images, plan, normal=Normal.of(mean, std, (out_px, out_px)))
    other = apply_torch(torch.from_numpy(images), plan, torch.tensor(mean), torch.tensor(std))
    assert other.is_contiguous(memory_format=torch.channels_last)
    levels = np.abs(ours - other.permute(0, 2, 3, 1).numpy()) * 255 * np.array(std)
    assert levels.max() <= 2 and levels.mean() < 0.4


@pytest.mark.parametrize("sides", [(48, 40), (40, 40), (30, 40)])
def test_the_evaluation_view_is_bilinear_resizing_of_the_whole_square(sides):
    in_px, out_px = sides
    image = smooth(in_px)
    plan = Pipeline().matrices(np.empty((1, 0), np.float32), (in_px, in_px), (out_px, out_px), np.zeros((1, 3)))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(image).permute(2, 0, 1)[None].float(), (out_px, out_px), mode="bilinear", align_corners=False
    )[0]
    np.testing.assert_allclose(apply_cpu([image], plan)[0], expected.permute(1, 2, 0), atol=0.6)


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_beyond_the_border_are_mirrored(channels):
    image = smooth(16, channels=channels)
    moved = one(Shift(max_frac=0.25), draws(1.0, 1.0), image)  # 4 px right and down
    np.testing.assert_array_equal(moved, np.pad(image, ((4, 0), (4, 0), (0, 0)), mode="symmetric")[:16, :16])


def test_normalisation_is_the_formula():
    image = smooth(24)
    mean, std = [0.1, 0.5, 0.9], [0.2, 0.3, 0.4]
    plan = Pipeline().matrices(np.empty((1, 0), np.float32), (24, 24), (24, 24), np.zeros((1, 3)))
    got = apply_cpu([image], plan, normal=Normal.of(mean, std, (24, 24)))[0]
    np.testing.assert_allclose(got, (image / 255 - mean) / std, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("parts", [1, 3, 50])
def test_threads_pieces_and_batches_do_not_change_a_bit(parts):
    images = [smooth(32, seed) for seed in range(10)]
    pipeline, means = Pipeline.named("strong"), np.full((10, 3), 100.0)
    table = pipeline.draw(10, 0, 0)
    plan = pipeline.matrices(table, (32, 32), (28, 28), means)
    alone = apply_cpu(images, plan)
    with ThreadPoolExecutor(3) as pool:
        np.testing.assert_array_equal(apply_cpu(images, plan, pool=pool, parts=parts), alone)
    for row in range(10):
        single = pipeline.matrices(table[row : row + 1], (32, 32), (28, 28), means[:1])
        np.testing.assert_array_equal(apply_cpu([images[row]], single)[0], alone[row])


def test_an_output_array_is_used_again_only_when_nobody_holds_it():
    recycler = Recycler()
    first = recycler.take((4, 3))
    address, tensor = first.ctypes.data, torch.from_numpy(first).T
    del first
    second = recycler.take((4, 3))
    assert second.ctypes.data != address  # a tensor still holds the first
    del tensor
    third = recycler.take((2, 3))
    assert third.ctypes.data == address and third.shape == (2, 3)
    assert recycler.take((9, 9)).shape == (9, 9)


@pytest.mark.parametrize(("reach_px", "is_mirrored"), [(0, True), (9, True), (60, True), (2, False), (9, False)])
def test_images_moved_by_whole_pixels_are_the_same_bytes_on_a_gpu(reach_px, is_mirrored):
    """OpenCV moves them one by one; `apply_torch` looks their pixels up, unless grey is beyond the border."""
    rng, in_hw, out_hw = np.random.default_rng(0), (20, 26), (16, 14)
    images = rng.integers(0, 256, (12, *in_hw, 3), np.uint8)
    signs, start = rng.choice([-1.0, 1.0], (12, 2)), rng.integers(-reach_px, reach_px + 1, (12, 2)) + np.array([6, 2])
    warp = np.zeros((12, 2, 3))
    warp[:, [0, 1], [0, 1]], warp[:, :, 2] = signs, np.where(signs > 0, start, start + np.array(out_hw[::-1]) - 1)
    plan = Plan(warp, in_hw, out_hw, is_mirrored=is_mirrored)
    found = apply_torch(torch.from_numpy(images), plan, torch.zeros(3), torch.full((3,), 1 / 255))
    wanted = apply_cpu(list(images), plan).transpose(0, 3, 1, 2)
    assert np.abs(found.numpy() - wanted).max() < (1e-3 if is_mirrored else 0.51)
    assert (_places(plan) is not None) == (is_mirrored or reach_px <= 2)
    plan.warp[3, 0, 2] += 0.5  # one that lies between pixels
    assert _places(plan) is None
