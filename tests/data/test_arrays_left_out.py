"""Arrays of an .npz: none is left out without a word, and slips among labels are named."""

from pathlib import Path

import numpy as np
import pytest

from striate.base.errors import DataError
from striate.data import Dataset, open_dataset

X, Y = np.random.default_rng(0).integers(0, 255, (30, 8, 8), dtype=np.uint8), np.arange(30) % 3
ONE_HOT = np.eye(3)[Y]


def opened(folder: Path, task: str | None = None, **arrays: object) -> Dataset:
    np.savez(folder / "a.npz", **arrays)
    return open_dataset(folder / "a.npz", task=task)


@pytest.mark.parametrize("name", ["x_val", "y_val", "x_test", "y_test", "x_validation"])
def test_half_a_split_is_refused(tmp_path: Path, name: str) -> None:
    half = {name: X[:9] if name[0] == "x" else Y[:9]}
    with pytest.raises(DataError, match=f"{name} without"):
        opened(tmp_path, x_train=X, y_train=Y, **half)


@pytest.mark.parametrize(
    "names", [("x_train", "y_train", "x_valid", "y_valid"), ("train_x", "train_y", "validation_x", "validation_y")]
)
def test_other_words_for_splits_are_known(tmp_path: Path, names: tuple[str, ...]) -> None:
    data = opened(tmp_path, **dict(zip(names, (X, Y, X[:9], Y[:9]), strict=True)))
    assert len(data.splits["val"]) == 9 and not any(one.is_doubtful for one in data.readings)


def test_arrays_that_are_not_used_are_a_warning(tmp_path: Path) -> None:
    data = opened(tmp_path, images=X, labels=Y, class_names=np.array(["a", "b", "c"]))
    assert [one.text for one in data.readings if one.is_doubtful] == ["1 array not used: class_names"]


def with_slip(labels: np.ndarray, place: object, value: float) -> np.ndarray:
    slipped = labels.astype(float)
    slipped[place] = value
    return slipped


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        (with_slip(ONE_HOT, (4, 1), 0.5), "0.5 of image 4"),
        (with_slip(Y, 5, 1.5), "1.5 of image 5"),
        (np.array(["a", "b", ""] * 10), "image 2 .* empty"),
    ],
)
def test_a_slip_among_labels_names_the_image(tmp_path: Path, labels: np.ndarray, word: str) -> None:
    with pytest.raises(DataError, match=word):
        opened(tmp_path, images=X, labels=labels)


def test_numbers_and_nearly_one_hot_are_said(tmp_path: Path) -> None:
    numbers = opened(tmp_path, images=X, labels=np.linspace(0, 1, 30))
    assert numbers.target().kind == "value" and "numbers" in numbers.readings[0].text
    nearly = with_slip(ONE_HOT, (4, 0), 1)
    assert "image 4 has not" in opened(tmp_path, images=X, labels=nearly).readings[0].text
    with pytest.raises(DataError, match="image 4 .* 2 columns"):
        opened(tmp_path, "classify", images=X, labels=nearly)


@pytest.mark.parametrize(("labels", "names"), [(Y, ["a", "a", "c"]), (ONE_HOT, ["a", "b", "c", "d"])])
def test_class_names_that_do_not_fit_are_refused(tmp_path: Path, labels: np.ndarray, names: list[str]) -> None:
    with pytest.raises(DataError, match="two classes are called 'a'|4 class names for 3"):
        opened(tmp_path, images=X, labels=labels, classes=np.array(names))
