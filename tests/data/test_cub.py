"""Folders with the lists of Caltech-UCSD Birds: what is read, and what is refused with its line."""

import numpy as np
import pytest
from PIL import Image

from striate.base.errors import DataError
from striate.data import open_dataset


def write(root, **changed):
    """Write 40 images of two species; a list can be given anew."""
    names = [
        f"{number}.{kind}/{index} x.jpg" for number, kind in (("007", "Auk"), ("010", "Owl")) for index in range(20)
    ]
    lists = {
        "images": [f"{5 * index} {name}" for index, name in enumerate(names)],
        "image_class_labels": [f"{5 * index} {3 if 'Auk' in name else 1}" for index, name in enumerate(names)],
        "classes": ["1 010.Owl", "3 007.Little_Auk"],
        "train_test_split": [f"{5 * index} {int(index % 4 > 0)}" for index in range(len(names))],
    }
    for index, name in enumerate(names):
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 10), (index, 100, 200)).save(path)
    for name, lines in (lists | changed).items():
        if lines is not None:
            (root / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return names


def test_classes_and_the_published_split(tmp_path):
    names = write(tmp_path)
    data = open_dataset(tmp_path)
    assert data.classes == ("Owl", "Little Auk")
    truth = [data.classes[value] for value in data.target("label").values]
    assert truth == ["Little Auk" if "Auk" in name else "Owl" for name in data.ids]
    assert {data.ids[index] for index in data.splits["test"]} == set(names[::4])
    assert len(data.splits["train"]) + len(data.splits["val"]) == 30
    assert data.images.read(3).shape == (10, 12, 3)


def test_a_list_without_test_images_leaves_the_split_to_us(tmp_path):
    write(tmp_path, train_test_split=[f"{5 * index} 1" for index in range(40)])
    assert {name: len(found) for name, found in open_dataset(tmp_path).splits.items()} == {
        "train": 28,
        "val": 6,
        "test": 6,
    }


def test_without_a_split_list_the_images_are_split_here(tmp_path):
    write(tmp_path, train_test_split=None)
    data = open_dataset(tmp_path)
    assert [len(data.splits[name]) for name in ("train", "val", "test")] == [28, 6, 6]
    assert len(np.unique(np.concatenate(list(data.splits.values())))) == 40


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"images": ["1 007.Auk/0 x.jpg", "1 007.Auk/1 x.jpg"]}, r"id '1' is there twice.*images.txt:2"),
        ({"images": ["1 007.Auk/0 x.jpg", "2 007.Auk/0 x.jpg"]}, r"image .* is also in line 1.*images.txt:2"),
        ({"images": ["1 ../images.txt"]}, r"image .* leads out of images/.*images.txt:1"),
        ({"images": ["0 007.Auk/99.jpg"]}, r"image .* is missing.*images.txt:1"),
        ({"images": ["0"]}, r"not an id, a blank and a value.*images.txt:1"),
        ({"image_class_labels": ["0 3"]}, r"'007.Auk/1 x.jpg' \(id 5, line 2 of images.txt\).*image_class_labels.txt"),
        ({"train_test_split": [f"{5 * index} 2" for index in range(40)]}, r"'2' is not one of.*train_test_split.txt:1"),
        ({"train_test_split": [f"{5 * index} {int(index < 20)}" for index in range(40)]}, "'Owl' is in test but n"),
        ({"classes": ["1 010.Owl"]}, r"fewer than two classes.*classes.txt"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path, changed, problem):
    write(tmp_path, **changed)
    with pytest.raises(DataError, match=problem):
        open_dataset(tmp_path)


def test_bytes_that_are_no_text(tmp_path):
    write(tmp_path)
    (tmp_path / "classes.txt").write_bytes(b"1 \xff\xfe")
    with pytest.raises(DataError, match="list cannot be read"):
        open_dataset(tmp_path)


def test_parts_are_points(tmp_path):
    names = write(tmp_path)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "parts.txt").write_text("1 back\n2 left eye\n7 right eye\n")
    places = [
        f"{5 * index} {part} {index / 10 + part:.1f} {part}.0 {int((index + part) % 5 > 0)}"
        for index in range(len(names))
        for part in (1, 2, 7)
    ]
    path = tmp_path / "parts" / "part_locs.txt"
    path.write_text("\n".join([*places, "999 1 0.0 0.0 0"]))  # of an image that the list does not have
    data = open_dataset(tmp_path, task="points")
    target = data.target()
    assert list(data.targets) == ["points", "label"]
    assert (target.names, target.pairs) == (("back", "left eye", "right eye"), ((1, 2),))
    for index in range(len(names)):
        seen = [(index + part) % 5 > 0 for part in (1, 2, 7)]
        assert (target.visible[index] > 0).tolist() == seen
        assert target.xy[index] == pytest.approx(np.array([[index / 10 + part, part] for part in (1, 2, 7)]), abs=0.01)
    assert open_dataset(tmp_path).target().kind == "label"
    path.write_text("\n".join([*places[:4], "5 3 1.0 1.0 1"]))
    with pytest.raises(DataError, match=r"part_locs.txt:5"):
        open_dataset(tmp_path)
