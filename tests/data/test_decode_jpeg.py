"""JPEG pixels come from simplejpeg; they must be Pillow's, and so must every refusal."""

import io

import numpy as np
import numpy.typing as npt
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import encoded, photo
from PIL import Image, ImageFile

from striate.base.errors import DataError
from striate.data.decode import decode_bytes
from striate.data.decode_jpeg import flawless


def by_pillow(data: bytes, short_side_px: int | None) -> npt.NDArray[np.uint8] | None:
    """Pillow's own pixels of a file, None when it finds it damaged."""
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        with Image.open(io.BytesIO(data)) as image:
            if short_side_px:
                image.draft("", (short_side_px, short_side_px))
            pixels = np.array(image)
    except (OSError, SyntaxError):
        return None
    return pixels if pixels.ndim == 3 else pixels[..., None]


def by_striate(data: bytes, short_side_px: int | None) -> npt.NDArray[np.uint8] | None:
    try:
        return decode_bytes(data, name="x.jpg", short_side_px=short_side_px)
    except DataError as problem:
        assert problem.where == "x.jpg"
        return None


files = st.builds(
    lambda seed, height, width, mode, **options: encoded(photo(seed, (height, width)).convert(mode), **options),
    st.integers(0, 9), st.integers(2, 220), st.integers(2, 220), st.sampled_from(["L", "RGB"]),
    quality=st.sampled_from([20, 75, 97]), subsampling=st.sampled_from([0, 1, 2]), progressive=st.booleans(),
)  # fmt: skip


def assert_same(data: bytes, short_side_px: int | None) -> None:
    """Pillow's pixels, and refused where Pillow refuses them, or libjpeg complains and rows are missing."""
    ours, theirs = by_striate(data, short_side_px), by_pillow(data, short_side_px)
    if ours is None and theirs is not None:
        with pytest.raises(ValueError, match=r"\w"):
            simplejpeg.decode_jpeg(data, "GRAY")
        return
    assert (ours is None) == (theirs is None)
    if ours is not None and theirs is not None:
        assert np.array_equal(ours, theirs)


@settings(max_examples=60, deadline=None)
@given(files, st.sampled_from([None, 5, 16, 50]))
def test_pixels_are_those_of_pillow_at_every_size(data: bytes, short_side_px: int | None) -> None:
    assert by_striate(data, short_side_px) is not None
    assert_same(data, short_side_px)


@settings(max_examples=60, deadline=None)
@given(files, st.sampled_from([None, 16]), st.floats(0.2, 1), st.floats(0, 1), st.integers(0, 255))
@pytest.mark.filterwarnings("ignore")  # Pillow's, of damaged metadata
def test_damaged_files_are_refused_or_read_as_by_pillow(
    data: bytes, short_side_px: int | None, kept: float, place: float, value: int
) -> None:
    cut = data[: int(kept * len(data))]
    assert_same(cut, short_side_px)
    changed = bytearray(data)
    changed[700 + int(place * (len(data) - 701)) if len(data) > 701 else -1] = value  # behind the tables of the header
    assert_same(bytes(changed), short_side_px)


@settings(max_examples=100, deadline=None)
@given(files, st.floats(0, 1), st.integers(0, 255))
@pytest.mark.filterwarnings("ignore")
def test_no_damage_of_a_header_makes_other_pixels_than_pillows(data: bytes, place: float, value: int) -> None:
    changed = bytearray(data)
    changed[int(place * min(700, len(data) - 1))] = value
    pixels = flawless(bytes(changed), None, None, 10**8)
    if pixels is not None:
        assert np.array_equal(pixels, by_pillow(bytes(changed), None))


def test_what_says_how_a_picture_lies_is_left_to_pillow() -> None:
    upright, turned = photo(4), Image.Exif()
    turned[0x0112] = 6
    assert flawless(encoded(upright), None, None, 10**8) is not None
    data = encoded(upright, exif=turned)
    assert flawless(data, None, None, 10**8) is None
    assert np.array_equal(by_striate(data, None), np.rot90(by_pillow(data, None), -1))


@pytest.mark.parametrize(
    ("channels", "max_pixels", "is_read"), [(3, 10**8, True), (None, 10**8, True), (1, 10**8, False), (3, 99, False)]
)
def test_other_colours_and_large_pictures_are_left_to_pillow(channels: int, max_pixels: int, is_read: bool) -> None:
    assert (flawless(encoded(photo(5)), channels, None, max_pixels) is not None) == is_read
    assert flawless(encoded(photo(5).convert("CMYK")), channels, None, max_pixels) is None
    assert flawless(b"GIF89a", channels, None, max_pixels) is None


def test_a_second_picture_behind_the_first_is_not_read() -> None:
    first, second = encoded(photo(1)), encoded(photo(2))
    assert np.array_equal(by_striate(first + second, None), by_pillow(first, None))


def test_a_jpeg_that_stores_rgb_itself_keeps_its_colours() -> None:
    data = encoded(photo(3), keep_rgb=True, quality=95)
    assert np.array_equal(by_striate(data, None), by_pillow(data, None))
    assert np.abs(by_striate(data, None).astype(int) - np.asarray(photo(3))).mean() < 4
