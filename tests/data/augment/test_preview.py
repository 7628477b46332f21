"""The preview grid."""

import numpy as np
import pytest

from striate.data.augment import STRENGTHS, Flip, Pipeline, Shift
from striate.data.augment.preview import preview
from striate.data.geometry import Geometry
from striate.data.target import Boxes
from striate.data.target.palette import colour_of

IMAGE = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)


@pytest.mark.parametrize("count", [0, 1, 15])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_grid_shows_the_evaluation_view_first(count, channels):
    geometry = Geometry((32, 32), "crop", 1.0, channels)
    grid = preview(IMAGE, Pipeline(STRENGTHS["strong"]), geometry, count, seed=1)
    assert grid.dtype == np.uint8 and grid.shape[2] == 3
    np.testing.assert_array_equal(grid[:32, :32], np.broadcast_to(geometry.to_store(IMAGE), (32, 32, 3)))
    cells = ((grid.shape[0] + 2) // 34) * ((grid.shape[1] + 2) // 34)
    assert cells >= count + 1


def test_draws_differ_from_each_other_and_repeat_by_seed():
    geometry = Geometry((24, 24))
    first = preview(IMAGE, Pipeline.named("medium"), geometry, 3, seed=1)
    np.testing.assert_array_equal(first, preview(IMAGE, Pipeline.named("medium"), geometry, 3, seed=1))
    assert (first != preview(IMAGE, Pipeline.named("medium"), geometry, 3, seed=2)).any()
    assert (first[:24, 26:50] != first[26:50, :24]).any() if first.shape[0] > 26 else True


def test_boxes_are_drawn_where_they_come_to_lie():
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:20, 15:35] = 200
    target = Boxes.of([[[0, 0, 5, 5]], [[15, 10, 35, 20]]], names=("a",))
    ops, geometry = (Flip(horizontal=1.0), Shift(max_frac=0.3)), Geometry((40, 60), "squash")
    plain = preview(image, Pipeline(ops), geometry, 5, seed=0)
    drawn = preview(image, Pipeline(ops), geometry, 5, seed=0, target=target, indices=[1])
    changed = (plain != drawn).any(-1)
    assert not changed[:40, :60].any() and changed.any()  # the image itself, and beyond the border: grey, and frames
    frames = (drawn == colour_of(0)).all(-1)  # around 20 x 10 px, parts of some beyond the border
    assert 5 * 20 < frames.sum() <= 5 * 56
