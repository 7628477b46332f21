"""The Oxford pets: trimaps, breeds, species and heads, by the lists; what is wrong is named."""

from pathlib import Path

import numpy as np
import pytest
from masked import areas, put_photos
from PIL import Image

from striate.base.errors import DataError
from striate.data import open_dataset
from striate.data.sample import IGNORE
from striate.data.sources.voc_xml import read_things

BREEDS = {"Abyssinian": (1, 1, 1), "great_dane": (8, 2, 3), "Bengal": (6, 1, 2)}
XML = (
    "<annotation><object><name>cat</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>"
    "</bndbox><difficult>0</difficult></object></annotation>"
)


def pets(root: Path, count: int = 8) -> Path:
    (root / "annotations" / "trimaps").mkdir(parents=True)
    (root / "annotations" / "xmls").mkdir()
    lists: dict[str, list[str]] = {"trainval.txt": [], "test.txt": []}
    for seed, (breed, ids) in enumerate(BREEDS.items()):
        names = [f"{breed}_{index}" for index in range(count)]
        put_photos(root / "images", [f"{name}.jpg" for name in names], 20 * seed)
        for index, name in enumerate(names):
            is_test = index >= count - 2
            lists["test.txt" if is_test else "trainval.txt"].append(" ".join([name, *map(str, ids)]))
            Image.fromarray(areas(index, 3) + 1).save(root / "annotations" / "trimaps" / f"{name}.png")
            if not is_test:
                (root / "annotations" / "xmls" / f"{name}.xml").write_text(XML.format(5, 7, 20 + index, 30))
    for name, lines in lists.items():
        (root / "annotations" / name).write_text("# name class species breed\n" + "\n".join(lines) + "\n")
    return root


def test_every_target_is_offered_and_the_mask_comes_first(tmp_path: Path) -> None:
    dataset = open_dataset(pets(tmp_path))
    assert list(dataset.targets) == ["mask", "breed", "species", "head"]
    assert any("mask comes first" in note and "breed, species, head" in note for note in dataset.notes)
    assert dataset.targets["breed"].names == ("Abyssinian", "Bengal", "great dane"), "in the order of their numbers"
    assert dataset.targets["species"].names == ("cat", "dog")
    assert [len(part) for part in dataset.splits.values()] == [15, 3, 6]
    index = dataset.ids.index("images/great_dane_3.jpg")
    assert np.array_equal(dataset.target().read(index), areas(3, 3))
    assert dataset.targets["breed"].text(index) == "great dane" and dataset.targets["species"].text(index) == "dog"
    heads = dataset.targets["head"].take(np.array([index]))
    assert heads.xyxy.tolist() == [[4, 6, 23, 30]], "stored pixels count from 1, and the last one belongs to the box"


def test_a_task_chooses_its_target(tmp_path: Path) -> None:
    root = pets(tmp_path)
    assert next(iter(open_dataset(root, task="segment").targets)) == "mask"
    assert next(iter(open_dataset(root, task="classify").targets)) == "breed", "species only group the breeds"
    assert next(iter(open_dataset(root, target="species").targets)) == "species"
    heads = open_dataset(root, task="localise")
    assert next(iter(heads.targets)) == "head" and len(heads) == 18 and len(heads.splits["test"]) > 0
    assert any("6 images without head" in note for note in heads.notes)
    with pytest.raises(DataError, match="target 'mask' is of kind 'mask'"):
        open_dataset(root, target="mask", task="classify")


def test_a_border_may_be_ignored(tmp_path: Path) -> None:
    mask = open_dataset(pets(tmp_path), ignore="border").target()
    assert mask.names == ("pet", "background")
    assert np.array_equal(mask.read(0), np.array([0, 1, IGNORE], np.uint8)[areas(0, 3)])


def test_lines_without_files_are_left_out_by_name(tmp_path: Path) -> None:
    root = pets(tmp_path)
    (root / "images" / "Bengal_1.jpg").unlink()
    (root / "annotations" / "trimaps" / "great_dane_7.png").unlink()
    dataset = open_dataset(root)
    assert len(dataset) == 22
    assert [(one.reason, one.names, one.is_serious) for one in dataset.left_out] == [
        ("1 line of the lists without image", ("Bengal_1",), True),
        ("1 line of the lists without trimap", ("great_dane_7",), True),
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [("Bengal_0 6 1", "is not a name, a class"), ("Bengal_0 6 3 2", "is not a name"), ("Bengal_7 6 1 2", "twice")],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    root = pets(tmp_path)
    with (root / "annotations" / "trainval.txt").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=says) as caught:
        open_dataset(root)
    assert caught.value.where.endswith(("trainval.txt:20", "test.txt:7")) and caught.value.fix


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "declares entities"),
        ("<annotation><object>", "no XML"),
        (XML.format(1, 2, "three", 4), "cat has no number xmax"),
        ("<annotation><object><name/></object></annotation>", "a thing has no name"),
    ],
)
def test_a_bad_file_of_boxes_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(DataError, match=says) as caught:
        read_things(tmp_path / "a.xml")
    assert "a.xml" in caught.value.where and caught.value.fix


def test_the_real_pets(real_data: Path) -> None:
    dataset = open_dataset(real_data / "oxford_pets")
    mask = dataset.target()
    assert len(dataset) == 481 and mask.names == ("pet", "background", "border")
    shares = mask.shares(np.arange(481))
    counts = np.zeros(256, np.int64)
    for path in (real_data / "oxford_pets" / "annotations" / "trimaps").glob("*.png"):
        counts += np.bincount(np.asarray(Image.open(path)).ravel(), minlength=256)
    assert np.allclose(list(shares.values()), counts[1:4] / counts.sum())
    assert np.allclose(list(shares.values()), [0.28, 0.59, 0.13], atol=0.005)
    heads = open_dataset(real_data / "oxford_pets", task="localise")
    assert len(heads) == 238 and (heads.target().xyxy[:, 2:] > heads.target().xyxy[:, :2]).all()
