"""Tones and qualities: each against Pillow, torchvision or its formula, and its two versions against each other."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from striate.base import torchvision as tv
from striate.data.augment import (
    Autocontrast,
    Blur,
    Equalise,
    Grey,
    Invert,
    Jpeg,
    Noise,
    Pipeline,
    Posterise,
    Resolution,
    Sharpness,
    Solarise,
)
from striate.data.augment.apply import Normal, apply_cpu
from striate.data.augment.device import apply_torch
from striate.data.augment.jpeg import steps
from striate.data.augment.quality import enlarging, noise_field, shrinking

F = tv.load("torchvision.transforms.v2.functional")


def picture(side: int = 64, seed: int = 0, channels: int = 3, low: int = 0, high: int = 256) -> np.ndarray:
    """Smooth fields with some noise: like a photo, neither flat nor white."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:side, :side] / side
    waves = [np.sin(rng.uniform(2, 9) * xx + rng.uniform(2, 9) * yy + rng.uniform(0, 6)) for _ in range(channels)]
    field = np.stack(waves, axis=2) * 0.45 + 0.5 + rng.normal(0, 0.03, (side, side, channels))
    return (low + field.clip(0, 1) * (high - 1 - low)).astype(np.uint8)


def one(op, image: np.ndarray, *row: float) -> np.ndarray:
    """The image after one operation with the given draws."""
    plan = Pipeline([op]).matrices(
        np.array([row], np.float32), (len(image), len(image)), (len(image), len(image)), image.mean((0, 1))[None]
    )
    return apply_cpu([image], plan)[0]


def chw(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


# --- tones and linear colours --------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [0.0, 0.3, 0.6, 1.0])
def test_posterise_equals_pillow(draw):
    image, bits = picture(), 8 - round(6 * draw)
    expected = np.asarray(ImageOps.posterize(Image.fromarray(image), bits))
    np.testing.assert_array_equal(one(Posterise(min_bits=2, p=1), image, 0, draw), expected)


@pytest.mark.parametrize("draw", [0.1, 0.25, 0.5, 1.0])
def test_solarise_equals_pillow(draw):
    image = picture()
    expected = np.asarray(ImageOps.solarize(Image.fromarray(image), 256 * (1 - draw)))
    np.testing.assert_array_equal(one(Solarise(min_level=0, p=1), image, 0, draw), expected)
    np.testing.assert_array_equal(one(Solarise(min_level=0, p=1), image, 0, 0), image)


@pytest.mark.parametrize("span", [(0, 256), (60, 130), (100, 101), (250, 256)])
@pytest.mark.parametrize("channels", [1, 3])
def test_autocontrast_and_equalise_equal_pillow(span, channels):
    image = picture(48, 1, channels, *span)
    pillow = Image.fromarray(image if channels == 3 else image[..., 0])
    expected = np.asarray(ImageOps.autocontrast(pillow)).reshape(image.shape).astype(int)
    np.testing.assert_allclose(one(Autocontrast(p=1), image, 0).astype(int), expected, atol=1)
    expected = np.asarray(ImageOps.equalize(pillow)).reshape(image.shape)
    np.testing.assert_array_equal(one(Equalise(p=1), image, 0), expected)
    np.testing.assert_array_equal(one(Equalise(p=1), image, 0), F.equalize(chw(image)).permute(1, 2, 0))


def test_grey_and_invert_equal_torchvision():
    image = picture()
    expected = F.rgb_to_grayscale(chw(image), 3).permute(1, 2, 0).numpy().astype(int)
    np.testing.assert_allclose(one(Grey(p=1), image, 0.5).astype(int), expected, atol=1)
    np.testing.assert_array_equal(one(Invert(p=1), image, 0.5), 255 - image)
    np.testing.assert_array_equal(one(Invert(p=1), image[..., :1].copy(), 0.5), 255 - image[..., :1])


# --- qualities -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("std", [0.4, 1.0, 2.0])
def test_blur_equals_torchvision(std):
    image = picture()
    expected = F.gaussian_blur(chw(image).float(), [13, 13], [std, std]).permute(1, 2, 0)
    np.testing.assert_allclose(one(Blur(max_px=2, p=1), image, 0, std / 2), expected, atol=0.9)


def test_blur_works_on_pictures_smaller_than_its_kernel():
    image = picture(4)
    assert one(Blur(max_px=10, p=1), image, 0, 1).std() < image.std()


def test_noise_is_normal_of_its_deviation_and_fresh_for_every_draw():
    image = np.full((96, 96, 3), 128, np.uint8)
    first, second = (
        one(Noise(max_std=20, p=1), image, 0, 0.5, *place).astype(float) - 128 for place in ((0.1, 0.7), (0.8, 0.2))
    )
    for noise in (first, second):
        assert abs(noise.std() - 10) < 0.3 and abs(noise.mean()) < 0.3
        kurtosis = (noise**4).mean() / noise.var() ** 2
        assert abs(kurtosis - 3) < 0.2
        assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.05
        assert abs(np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05
    assert noise_field((96, 96), 3).shape == (192, 192, 3)


@pytest.mark.parametrize("place", [(0, 0), (0.999999, 0.999999)])
def test_noise_windows_lie_in_the_field(place):
    assert one(Noise(max_std=20, p=1), picture(8), 0, 1, *place).shape == (8, 8, 3)


@pytest.mark.parametrize("fewer", [64, 40, 16, 7])
def test_resolution_is_torch_area_then_bilinear(fewer):
    image = picture()
    matrix = shrinking(64, fewer)
    np.testing.assert_allclose(matrix.sum(1), 1)
    if 64 % fewer == 0:
        small = torch.nn.functional.interpolate(chw(image)[None].double(), (fewer, fewer), mode="area")[0]
        ours = np.einsum("ij,jkc,lk->cil", matrix, image.astype(float), matrix)
        np.testing.assert_allclose(ours, small, atol=1e-9)
    grown = torch.nn.functional.interpolate(torch.eye(fewer, dtype=torch.double)[None], 64, mode="linear")[0].T
    np.testing.assert_allclose(enlarging(fewer, 64), grown, atol=1e-9)
    blurred = np.einsum(
        "ij,jkc,lk->ilc", enlarging(fewer, 64) @ matrix, image.astype(float), enlarging(fewer, 64) @ matrix
    )
    ours = one(Resolution(min_frac=fewer / 64, p=1), image, 0, 0)
    np.testing.assert_allclose(ours, blurred, atol=1.6)


@pytest.mark.parametrize("factor", [0.1, 0.7, 1.9])
def test_sharpness_equals_torchvision(factor):
    image = picture()
    expected = F.adjust_sharpness(chw(image), factor).permute(1, 2, 0).numpy().astype(int)
    ours = one(Sharpness(amount=1), image, factor / 2).astype(int)
    np.testing.assert_allclose(ours, expected, atol=2)
    assert np.abs(ours - expected).mean() < 0.6


@pytest.mark.parametrize("quality", [10, 40, 75, 95])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_equals_pillow_at_that_quality(quality, channels):
    image = picture(61, channels=channels)
    buffer = io.BytesIO()
    Image.fromarray(image if channels == 3 else image[..., 0]).save(buffer, "JPEG", quality=quality, subsampling=0)
    expected = np.asarray(Image.open(buffer)).reshape(image.shape).astype(int)
    ours = one(Jpeg(quality=(quality, quality), p=1), image, 0, 0).astype(int)
    assert np.abs(ours - expected).mean() < 0.1


@pytest.mark.parametrize("quality", [10, 50, 80, 100])
def test_the_quantisation_steps_are_those_pillow_writes(quality):
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, "JPEG", quality=quality)
    tables = Image.open(buffer).quantization
    ours = steps(np.array([float(quality)]))[0]
    for number in (0, 1):
        np.testing.assert_array_equal(np.sort(ours[number].ravel()), np.sort(tables[number]))


def test_a_poorer_jpeg_is_farther_from_the_picture():
    image = picture().astype(float)
    errors = [np.abs(one(Jpeg(quality=(q, q), p=1), picture(), 0, 0) - image).mean() for q in (90, 50, 20, 5)]
    assert errors == sorted(errors) and errors[0] > 0.2


# --- all of them ---------------------------------------------------------------------------------------------------

EFFECTS = [Posterise(), Solarise(), Autocontrast(), Equalise(), Blur(), Noise(), Resolution(), Sharpness(), Jpeg()]
LINEAR = [Grey(p=0.5), Invert(p=0.5)]


@pytest.mark.parametrize("op", [*EFFECTS, *LINEAR], ids=lambda op: op.kind)
@pytest.mark.parametrize(("channels", "side"), [(3, 40), (1, 40), (3, 29)])
def test_the_versions_for_cpu_and_gpu_agree_within_two_levels(op, channels, side):
    images = np.stack([picture(side, seed, channels, 20, 220) for seed in range(16)])
    pipeline, mean, std = Pipeline([op]), [0.5] * channels, [0.25] * channels
    plan = pipeline.matrices(pipeline.draw(16, 1, 0), (side, side), (side, side), images.mean((1, 2)))
    ours = apply_cpu(images, plan, normal=Normal.of(mean, std, (side, side)))
    other = apply_torch(torch.from_numpy(images), plan, torch.tensor(mean), torch.tensor(std)).permute(0, 2, 3, 1)
    levels = np.abs(ours - other.numpy()) * 255 * 0.25
    if op.kind == "jpeg":  # a coefficient at the edge of a quantisation step falls to one side or the other
        assert levels.mean() < 0.6 and (levels > 2.01).mean() < 0.06
    else:
        assert levels.mean() < 0.4 and levels.max() <= 2.01
    changed = (np.abs(apply_cpu(images, plan).astype(int) - images) > 0).any((1, 2, 3))
    assert changed.any() == (op.kind != "grey" or channels == 3)


@pytest.mark.parametrize("op", EFFECTS, ids=lambda op: op.kind)
def test_an_effect_leaves_the_source_and_those_it_is_not_drawn_for_alone(op):
    images = [picture(32, seed) for seed in range(6)]
    copies = [image.copy() for image in images]
    pipeline = Pipeline([op])
    apply_cpu(images, pipeline.matrices(pipeline.draw(6, 0, 0), (32, 32), (32, 32), np.full((6, 3), 99.0)))
    assert all((image == copy).all() for image, copy in zip(images, copies, strict=True))
    if hasattr(op, "p"):
        never = Pipeline([op.model_copy(update={"p": 0.0})])
        out = apply_cpu(images, never.matrices(never.draw(6, 0, 0), (32, 32), (32, 32), np.full((6, 3), 99.0)))
        np.testing.assert_array_equal(out, np.stack(images))
