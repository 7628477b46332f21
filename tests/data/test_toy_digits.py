"""Turned digits: drawn ones against Pillow's own rotation, those of MNIST against the upright ones."""

import gzip

import numpy as np
import pytest
from PIL import Image

from striate.base.errors import DataError
from striate.data import open_dataset
from striate.data.sources import toy_digits


def turned_by_pillow(upright: np.ndarray, degrees: float) -> np.ndarray:
    return np.asarray(Image.fromarray(upright).rotate(degrees, Image.Resampling.BICUBIC), np.float32)


def test_a_digit_is_turned_anticlockwise_by_its_angle():
    glyph = toy_digits._glyph("DejaVuSans", "4")
    for degrees in (0.0, 30.0, -45.0, 90.0):
        ours = toy_digits._turned(glyph, degrees, len(glyph)).astype(np.float32)
        assert np.abs(ours - turned_by_pillow(glyph, degrees)).mean() < 1.0
        assert np.abs(ours - turned_by_pillow(glyph, -degrees)).mean() > 10 or degrees == 0


def test_every_font_draws_every_digit_in_the_middle_of_its_square():
    for font in toy_digits.FONTS:
        for digit in toy_digits.DIGITS:
            rows, columns = np.nonzero(toy_digits._glyph(font, digit) > 127)
            height = rows.max() - rows.min() + 1
            assert abs(height - toy_digits.HEIGHT * toy_digits.GLYPH_PX) < 5, (font, digit)
            assert abs((rows.max() + rows.min()) / 2 - 55.5) < 2
            assert abs((columns.max() + columns.min()) / 2 - 55.5) < 2


def test_the_name_says_everything():
    data, again = (open_dataset("toy:digits?n=200&angle=30&size=20&seed=3") for _ in range(2))
    assert data.images.read(7).shape == (20, 20, 1)
    assert all(np.array_equal(data.images.read(index), again.images.read(index)) for index in range(200))
    angles = (data.targets["angle"].values + 180) % 360 - 180
    assert -30 <= angles.min() < -25 and 25 < angles.max() <= 30
    assert next(iter(data.targets)) == "angle"
    assert set(data.targets["label"].values.tolist()) == set(range(10))
    assert list(open_dataset("toy:digits?n=50&angle=0").targets) == ["label"]


def idx_file(path, array):
    head = bytes([0, 0, 8, array.ndim]) + b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    path.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))


def test_digits_of_mnist_keep_their_halves(tmp_path):
    rng = np.random.default_rng(0)
    for prefix, count, level in (("train", 60, 100), ("t10k", 20, 200)):
        images = np.zeros((count, 28, 28))
        images[:, 9:19, 9:19] = level
        idx_file(tmp_path / f"{prefix}-images-idx3-ubyte.gz", images)
        idx_file(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", rng.integers(0, 10, count))
    data = open_dataset("toy:digits?n=40&angle=45", root=tmp_path)
    assert {name: len(members) for name, members in data.splits.items()} == {"train": 28, "val": 6, "test": 6}
    levels = [int(np.median(data.images.read(index)[12:16, 12:16])) for index in range(40)]
    assert levels == [100] * 34 + [200] * 6
    with pytest.raises(DataError, match="60 digits in the train files, 85 are wanted"):
        open_dataset("toy:digits?n=100", root=tmp_path)
    with pytest.raises(DataError, match="a root is for toy:digits"):
        open_dataset("toy:shapes?n=100", root=tmp_path)
