"""The resize policy: what lands where, and that nothing is resampled without need."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from striate.base.errors import SettingsError
from striate.data.geometry import FITS, Geometry


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    channels=st.sampled_from([1, 3]),
    wanted=st.sampled_from([1, 3]),
    fit=st.sampled_from(sorted(FITS)),
    margin=st.sampled_from([1.0, 1.15]),
)
def test_every_size_becomes_the_store_square(height, width, channels, wanted, fit, margin):
    geometry = Geometry((20, 20), fit, margin, wanted)
    stored = geometry.to_store(picture(height, width, channels))
    assert stored.shape == (*geometry.store_hw, wanted)
    assert stored.dtype == np.uint8 and stored.flags.c_contiguous


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_of_the_right_size_is_not_resampled(fit, channels):
    image = picture(28, 28, channels)
    np.testing.assert_array_equal(Geometry((28, 28), fit, 1.0, channels).to_store(image), image)


@pytest.mark.parametrize(("height", "width"), [(47, 90), (31, 200), (8, 100), (7, 9), (20, 64)])
@pytest.mark.parametrize("fit", ["crop", "squash"])
@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_is_antialiased_like_pillow(height, width, fit, channels):
    image = picture(height, width, channels)
    short, left, top = min(height, width), max(0, width - height) // 2, max(0, height - width) // 2
    box = (left, top, left + short, top + short) if fit == "crop" else (0, 0, width, height)
    theirs = Image.fromarray(image.squeeze()).crop(box).resize((20, 20), Image.Resampling.BILINEAR)
    ours = Geometry((20, 20), fit, channels=channels).to_store(image)
    np.testing.assert_allclose(ours.squeeze().astype(int), np.asarray(theirs).astype(int), atol=1)


def test_letterbox_pads_with_grey_and_keeps_the_whole_picture():
    stored = Geometry((20, 20), "letterbox").to_store(np.zeros((10, 40, 3), np.uint8))
    assert (stored[:7] == 128).all() and (stored[12:] == 128).all() and (stored[8:12] == 0).all()


def test_grey_becomes_rgb_and_back():
    grey = picture(12, 12, 1)
    rgb = Geometry((12, 12)).to_store(grey)
    assert (rgb == grey).all()
    np.testing.assert_array_equal(Geometry((12, 12), channels=1).to_store(rgb), grey)


def test_rgb_to_grey_is_the_luma():
    image = picture(12, 12)
    luma = image @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(Geometry((12, 12), channels=1).to_store(image)[..., 0], luma, atol=1)


@pytest.mark.parametrize("fit", FITS)
def test_the_matrix_says_where_a_picture_lands(fit):
    height, width, geometry = 90, 150, Geometry((60, 60), fit)
    image = np.zeros((height, width, 3), np.uint8)
    image[40:50, 70:90] = 255  # near the centre, so that every fit keeps it
    rows, columns = np.nonzero(geometry.to_store(image)[..., 0] > 160)
    matrix = geometry.matrix(height, width)
    left, top = matrix @ [70, 40, 1]
    right, bottom = matrix @ [90, 50, 1]
    np.testing.assert_allclose(
        [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], [left, top, right, bottom], atol=1
    )


@pytest.mark.parametrize("fit", FITS)
def test_a_mask_lands_where_its_picture_lands(fit):
    geometry = Geometry((48, 48), fit)
    mask = np.zeros((60, 100), np.uint8)
    mask[20:40, 40:70] = 1
    stored = geometry.mask_to_store(mask)
    image = geometry.to_store(np.repeat(mask[..., None] * 255, 3, axis=2))
    inside = stored != 255
    assert ((stored == 1) == (image[..., 0] > 127))[inside].mean() > 0.97
    assert (~inside).any() == (fit == "letterbox")


def test_a_mask_keeps_its_values_only():
    mask = np.random.default_rng(0).choice([0, 7, 255], (33, 47)).astype(np.uint8)
    assert set(np.unique(Geometry((16, 16)).mask_to_store(mask))) <= {0, 7, 255}


@pytest.mark.parametrize(
    ("wrong", "field"), [({"size_hw": (0, 8)}, "size_hw"), ({"margin": 0.9}, "margin"), ({"channels": 0}, "channels")]
)
def test_impossible_values_are_refused(wrong, field):
    with pytest.raises(SettingsError, match=field):
        Geometry(**{"size_hw": (8, 8), **wrong})


def test_an_unknown_fit_names_the_nearest():
    with pytest.raises(SettingsError, match="letterbox"):
        Geometry((8, 8), "leterbox")
