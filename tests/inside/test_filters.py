"""The classic filters against SciPy and OpenCV, their sum rule, and what each reveals."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from striate.base.errors import SettingsError
from striate.inside import filters

NAMES = list(filters.table())
LINES = {"stripes_horizontal": 0, "diagonal_down": 45, "stripes_vertical": 90, "diagonal_up": 135}


@pytest.fixture
def photo():
    """An image with a slope, an edge and noise: (H, W, 3) uint8."""
    rows, columns = np.mgrid[:40, :53]
    picture = np.stack([4 * columns, 6 * rows, 200 * (rows + columns > 40)], axis=-1) % 256
    return np.clip(picture + np.random.default_rng(0).normal(0, 9, picture.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_is_what_opencv_computes(photo, name):
    answers = [
        cv2.filter2D(photo.astype(np.float64), cv2.CV_64F, kernel, borderType=cv2.BORDER_REPLICATE)
        for kernel in filters.table()[name].arrays
    ]
    expected = answers[0] if len(answers) == 1 else np.hypot(*answers)
    np.testing.assert_allclose(filters.apply(photo, name), expected, atol=1e-9)


def test_well_known_kernels_are_those_of_scipy_and_opencv(photo):
    ndimage = pytest.importorskip("scipy.ndimage")
    grey = filters.grey(photo)
    known = {
        "box": ndimage.uniform_filter(grey, 5, mode="nearest"),
        "laplacian_4": ndimage.laplace(grey, mode="nearest"),
        "sobel_x": ndimage.sobel(grey, axis=1, mode="nearest"),
        "sobel_y": ndimage.sobel(grey, axis=0, mode="nearest"),
        "prewitt_x": ndimage.prewitt(grey, axis=1, mode="nearest"),
        "prewitt_y": ndimage.prewitt(grey, axis=0, mode="nearest"),
        "gaussian": cv2.GaussianBlur(grey, (5, 5), 0, borderType=cv2.BORDER_REPLICATE),
        "identity": grey,
    }
    for name, expected in known.items():
        np.testing.assert_allclose(filters.apply(grey, name), expected, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", NAMES)
def test_kernels_keep_the_brightness_or_answer_to_differences_only(name):
    chosen = filters.table()[name]
    for kernel in chosen.arrays:
        assert kernel.sum() == pytest.approx(chosen.sum)
        assert kernel.shape[0] == kernel.shape[1]
        assert kernel.shape[0] % 2
    assert chosen.sum in {0.0, 1.0}
    flat = np.full((7, 9), 120.0)
    np.testing.assert_allclose(filters.apply(flat, name), flat * chosen.sum, atol=1e-9)


@pytest.mark.parametrize("name", LINES)
def test_a_line_filter_answers_most_to_lines_of_its_direction(name):
    answers = {}
    for other, angle in LINES.items():
        image = np.zeros((21, 21), np.uint8)
        step = np.round([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        ends = [tuple(int(10 + side * one) for one in step) for side in (-9, 9)]
        cv2.line(image, *ends, 255, 1)
        answers[other] = filters.apply(image, name)[10, 10]
    assert max(answers, key=lambda other: answers[other]) == name
    assert answers[name] == 6 * 255


def test_sobel_says_where_it_rises():
    right = np.tile(np.arange(9.0), (9, 1))
    assert filters.apply(right, "sobel_x")[4, 4] == 8
    assert filters.apply(right.T, "sobel_y")[4, 4] == 8
    assert filters.apply(right[:, ::-1], "sobel_x")[4, 4] == -8
    assert filters.apply(right[:, ::-1], "sobel")[4, 4] == 8


def test_colours_are_filtered_one_by_one(photo):
    whole = filters.apply(photo, "gaussian")
    for channel in range(3):
        np.testing.assert_array_equal(whole[..., channel], filters.apply(photo[..., channel], "gaussian"))


def test_brightness_is_that_of_the_decoder(photo):
    expected = np.asarray(Image.fromarray(photo).convert("L"), np.float64)
    assert np.abs(filters.grey(photo) - expected).max() <= 0.51
    np.testing.assert_array_equal(filters.grey(photo[..., :1]), photo[..., 0])


def test_views_are_pictures(photo):
    assert np.array_equal(filters.view(photo, "identity"), photo)
    for name, chosen in filters.table().items():
        seen = filters.view(photo, name)
        assert seen.dtype == np.uint8
        assert seen.shape == (photo.shape[:2] if chosen.is_edge else photo.shape)
    rising = np.tile(np.arange(0, 200, 10, dtype=np.uint8), (5, 1))[..., None]
    assert filters.view(rising, "sobel_x")[2, 10] == 255
    assert filters.view(rising[:, ::-1], "sobel_x")[2, 10] == 0
    assert set(filters.view(np.full((4, 4, 1), 9, np.uint8), "sobel_x").flat) == {128}


@pytest.mark.parametrize("shape", [(30, 41, 3), (1, 1, 1)])
def test_the_poster_is_a_picture_of_any_photo(shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    with Image.open(io.BytesIO(filters.poster(filters.shrink(image), title="$x_1$ 猫.png"))) as opened:
        assert opened.format == "PNG"
        pixels = np.asarray(opened.convert("RGB"))
    assert pixels.shape[1] > 1500
    assert (np.bincount(pixels.ravel(), minlength=256) > 0).sum() > 20


def test_shrinking_keeps_the_shape_of_the_picture(photo):
    assert filters.shrink(photo).shape == photo.shape
    assert filters.shrink(photo, 20).shape == (15, 20, 3)
    assert filters.shrink(photo[..., :1], 20).shape == (15, 20, 1)


def test_mistakes_are_named():
    with pytest.raises(SettingsError, match="unknown filter 'sobell'.*did you mean 'sobel'"):
        filters.apply(np.zeros((3, 3)), "sobell")
    for shape in ((3,), (0, 4), (2, 3, 4, 5)):
        with pytest.raises(SettingsError, match="image of shape"):
            filters.apply(np.zeros(shape), "box")
