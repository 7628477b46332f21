"""Several shapes an image: the boxes hold what was drawn, whatever else is."""

import numpy as np
import pytest

from striate.base.errors import DataError
from striate.data import open_dataset
from striate.data.sources import toy


def test_images_are_functions_of_the_name_and_their_place() -> None:
    short, long = toy.read("toy:shapes?objects=1..4&n=20&size=32"), toy.read("toy:shapes?objects=1..4&n=70&size=32")
    assert np.array_equal(short.images.array, long.images.array[:20])
    box, longer = short.target("box"), long.target("box").take(np.arange(20))
    assert np.array_equal(box.xyxy, longer.xyxy) and np.array_equal(box.labels, longer.labels)
    assert set(np.diff(long.target("box").starts)) == {1, 2, 3, 4} and not box.is_single
    assert set(np.diff(toy.read("toy:shapes?objects=3&n=10&size=32").target("box").starts)) == {3}
    assert set(np.diff(toy.read("toy:shapes?objects=0..1&n=40&size=32").target("box").starts)) == {0, 1}


def test_boxes_hold_what_was_drawn() -> None:
    """Against the same images without shapes: what differs lies in the boxes, and reaches each of their sides."""
    name = "n=30&size=64&noise=0&clutter=3&seed=2"
    data = toy.read(f"toy:shapes?objects=2..3&{name}")
    few = toy.read(f"toy:shapes?objects=2..2&{name}")
    for index in range(30):
        box, fewer = (found.target("box").take(np.array([index])) for found in (data, few))
        if len(box.xyxy) != 3:
            continue
        assert np.array_equal(box.xyxy[:2], fewer.xyxy)  # the third is drawn over the first two
        rows, columns = np.nonzero((data.images.array[index] != few.images.array[index]).any(2))
        hull = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        outside = (box.xyxy[2] - hull) * [1, 1, -1, -1]
        assert outside.min() >= 0 and outside.max() <= 4  # the soft edge reaches further at a sharp corner


@pytest.mark.parametrize("objects", ["0", "7..3", "13", "many", "-1", "1..x"])
def test_a_wrong_number_of_objects_is_refused(objects: str) -> None:
    with pytest.raises(DataError, match="no number or range"):
        toy.read(f"toy:shapes?objects={objects}")


def test_every_class_is_in_every_split() -> None:
    data = open_dataset("toy:shapes?objects=1..2&n=60&size=32")
    counts = {split: data.target().counts(members) for split, members in data.splits.items()}
    assert all(found.min() > 0 for found in counts.values()) and len(data.classes) == 5
    assert counts["train"].sum() > counts["val"].sum()
