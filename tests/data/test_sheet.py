import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from pictures import tree
from PIL import Image

from striate.data import open_dataset
from striate.data.sheet import CURVES, GAP_PX, TITLE_PX, contact_sheet, curves
from striate.data.sources.series_images import SeriesImages, ranges_of


def sheet(*arguments: object, **options: object) -> np.ndarray:
    picture = Image.open(io.BytesIO(contact_sheet(*arguments, **options)))
    assert picture.format == "PNG"
    return np.asarray(picture)


def tile(pixels: np.ndarray, row: int, column: int, side: int) -> np.ndarray:
    top = GAP_PX + row * (TITLE_PX + side + GAP_PX) + TITLE_PX
    left = GAP_PX + column * (side + GAP_PX)
    return pixels[top : top + side, left : left + side]


def test_a_row_a_class() -> None:
    dataset = open_dataset("toy:shapes?n=100&noise=0")
    pixels = sheet(dataset, per_row=3, tile_px=48)
    assert pixels.shape == (GAP_PX + 5 * (TITLE_PX + 48 + GAP_PX), GAP_PX + 3 * (48 + GAP_PX), 3)
    for row in range(5):
        members = np.flatnonzero(dataset.target().values == row)
        shown = [np.array_equal(tile(pixels, row, 0, 48), dataset.images.read(int(index))) for index in members]
        assert sum(shown) == 1


def test_the_same_seed_gives_the_same_sheet(tmp_path: Path) -> None:
    dataset = open_dataset(tree(tmp_path, {"cat": 9, "dog": 9}))
    assert contact_sheet(dataset) == contact_sheet(dataset)
    assert contact_sheet(dataset, per_row=4, seed=1) != contact_sheet(dataset, per_row=4, seed=2)


def test_unreadable_and_skipped_pictures(tmp_path: Path) -> None:
    dataset = open_dataset(tree(tmp_path, {"cat": 9, "\u732b": 9}))
    for name in dataset.ids:
        if name.startswith("cat"):
            (tmp_path / name).write_bytes(b"")
    first = tile(sheet(dataset, tile_px=40), 0, 0, 40)
    assert (first[1:-1, 1:-1] == 255).all() and (first[0] == 128).all()
    assert (tile(sheet(dataset, tile_px=40, skip=range(9)), 0, 0, 40) == 255).all()


def test_datasets_without_classes() -> None:
    dataset = open_dataset("toy:shapes?n=60")
    bare = replace(dataset, targets={"angle": dataset.target("angle")})
    assert sheet(bare, per_row=5, tile_px=32).shape[0] == GAP_PX + 4 * (TITLE_PX + 32 + GAP_PX)


def test_series_are_drawn_as_curves():
    """A rising line from the lowest to the highest training value runs from corner to corner."""
    values = np.linspace(-2, 5, 50, dtype=np.float32)[:, None]
    images = SeriesImages((values,), ranges_of([values]))
    tile = np.asarray(curves(images.read_samples(0, None, 16), 60))
    down, across = np.nonzero((tile == CURVES[0]).all(2))
    assert np.abs(down - (59 - across)).max() <= 1 and set(across) == set(range(60))


def test_the_sheet_of_a_set_of_series_shows_no_grey_stripes():
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(open_dataset("toy:order?n=20")))).convert("RGB"))
    assert (sheet == CURVES[0]).all(2).sum() > 20 * 96
