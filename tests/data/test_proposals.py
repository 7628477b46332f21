"""Selective search finds what is in plain images, the same each time, and is searched for once."""

import numpy as np
import pytest

from striate.data import proposals
from striate.data.open import open_dataset
from striate.data.proposals import Search, overlaps, proposals_of, recall, selective_search
from striate.data.target import Boxes

cv2 = pytest.importorskip("cv2")
pytestmark = pytest.mark.skipif(not hasattr(cv2, "ximgproc"), reason="OpenCV without its contributed modules")


def scene(size_hw=(120, 160)) -> tuple[np.ndarray, np.ndarray]:
    image = np.full((*size_hw, 3), 235, np.uint8)
    true = np.array([[10, 12, 50, 44], [70, 20, 104, 90], [120, 60, 150, 110]], np.float32)
    for (x0, y0, x1, y1), colour in zip(true.astype(int), ((200, 30, 30), (30, 160, 40), (20, 40, 190)), strict=True):
        image[y0:y1, x0:x1] = colour
    return image, true


@pytest.mark.parametrize("longest_px", [160, 80])
def test_plain_things_are_found_the_same_each_time(longest_px):
    image, true = scene()
    found = selective_search(image, Search(longest_px))
    assert (overlaps(true, found).max(1) > 0.9).all()
    np.testing.assert_array_equal(found, selective_search(image, Search(longest_px)))
    assert (found >= 0).all() and (found <= [160, 120, 160, 120]).all()
    areas = (found[:, 2:] - found[:, :2]).prod(1)
    assert (np.diff(areas) <= 0).all() and len(np.unique(found, axis=0)) == len(found)


def test_at_most_so_many_stay_of_all_sizes():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)
    every = selective_search(image, Search())
    few = selective_search(image, Search(most=10))
    assert len(every) > 20 and len(few) == 10
    np.testing.assert_array_equal(few[[0, -1]], every[[0, -1]])


def test_recall_counts_the_true_boxes_that_some_proposal_reaches():
    given = Boxes.of([[[0, 0, 10, 10]], [[0, 0, 4, 4]]])
    truth = Boxes.of([[[0, 0, 10, 6], [20, 20, 30, 30]], [[0, 0, 4, 4]]], crowd=[[0, 1], [0]])
    assert recall(given, truth, np.arange(2)) == [1.0, 0.5]  # IoU 0.6 and 1; a crowd is left out
    assert np.isnan(recall(given, truth, np.arange(0))).all()


def test_a_set_is_searched_once(monkeypatch, tmp_path):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path))
    data = open_dataset("toy:shapes?n=10&size=64&noise=0&objects=1..2")
    found = proposals_of(data, Search(min_side_px=4))
    assert len(found) == len(data) and recall(found, data.target("box"), np.arange(10))[0] > 0.4  # clutter, tiny shapes
    monkeypatch.setattr(proposals, "selective_search", lambda *_: pytest.fail("searched again"))
    again = proposals_of(data, Search(min_side_px=4))
    np.testing.assert_array_equal(again.xyxy, found.xyxy)
    few = proposals_of(data, Search(min_side_px=4, most=5))  # of the same
    assert np.diff(few.starts).tolist() == [min(5, num) for num in np.diff(found.starts)]
    first = found.take(np.array([3])).xyxy
    np.testing.assert_array_equal(few.take(np.array([3])).xyxy[[0, -1]], first[[0, -1]])
    part = proposals_of(data.with_splits({"test": np.array([7, 3])}), Search(min_side_px=4))  # as `evaluate` asks
    np.testing.assert_array_equal(part.xyxy, found.take(np.array([3, 7])).xyxy)
    assert np.flatnonzero(np.diff(part.starts)).tolist() == [3, 7]
    with pytest.raises(pytest.fail.Exception):
        proposals_of(data, Search(longest_px=40))
