"""The preview grid."""

import numpy as np
import pytest

from striate.data.augment import STRENGTHS, Pipeline
from striate.data.augment.preview import preview
from striate.data.geometry import Geometry

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
