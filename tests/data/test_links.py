"""Links are followed wherever they lead, as tables follow them, and never in a circle."""

from pathlib import Path

import pytest
from pictures import tree, write

from striate.data import open_dataset
from striate.data.check.check import check, prescan

TWO = {"cat": 10, "dog": 10}


def left_out(dataset) -> dict[str, tuple[str, ...]]:
    return {one.reason: one.names for one in dataset.left_out}


def test_a_class_that_is_a_link_out_of_the_folder_is_a_class(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", TWO)
    tree(tmp_path / "elsewhere", {"": 7, "nested": 2}, first_seed=5000)
    (root / "yak").symlink_to(tmp_path / "elsewhere")
    dataset = open_dataset(root)
    assert dataset.classes == ("cat", "dog", "yak")
    assert [name for name in dataset.ids if name.startswith("yak/")] == [
        *(f"yak/{index}.jpg" for index in range(7)),
        *(f"yak/nested/{index}.jpg" for index in range(2)),
    ]
    assert dataset.images.read(len(dataset) - 1).shape == (24, 32, 3) and not dataset.left_out


def test_the_folder_itself_and_a_split_may_be_links(tmp_path: Path) -> None:
    tree(tmp_path / "store" / "v3", {"train/cat": 4, "train/dog": 4})
    tree(tmp_path / "held_out", TWO, first_seed=9000)
    (tmp_path / "store" / "v3" / "test").symlink_to(tmp_path / "held_out")
    (tmp_path / "birds").symlink_to(tmp_path / "store" / "v3")
    dataset = open_dataset(tmp_path / "birds")
    assert dataset.name == "birds" and len(dataset.splits["test"]) == 20


def test_files_that_are_links(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", TWO)
    (root / "cat" / "outside.jpg").symlink_to(write(tmp_path / "outside.jpg"))
    (root / "dog" / "again.jpg").symlink_to(root / "dog" / "0.jpg")
    (root / "cat" / "gone.jpg").symlink_to(root / "nowhere.jpg")
    (root / "dog" / "self.jpg").symlink_to(root / "dog" / "self.jpg")
    dataset = open_dataset(root)
    assert {"cat/outside.jpg", "dog/again.jpg"} < set(dataset.ids) and len(dataset) == 22
    assert left_out(dataset) == {"2 broken links": ("cat/gone.jpg", "dog/self.jpg")}
    for findings in (check(dataset), prescan(dataset)):
        (finding,) = findings.of("left_out")
        assert finding.severity == "warning" and finding.ids == ("cat/gone.jpg", "dog/self.jpg")
        assert "restore" in finding.fix


def test_a_link_that_a_copy_turned_into_text_is_warned_of(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", TWO)
    tree(tmp_path / "store" / "yak", {"": 2})
    (root / "yak").write_text("../store/yak")
    (root / "notes.txt").write_text("see ../store/yak " + "x" * 400)
    dataset = open_dataset(root)
    assert left_out(dataset)["1 link that became a text file"] == ("yak",)
    assert [item.severity for item in prescan(dataset).of("left_out")] == ["warning", "note"]


@pytest.mark.parametrize("target", [".", "cat", "cat/deep", "..", "/"])
def test_circles_are_cut(tmp_path: Path, target: str) -> None:
    root = tree(tmp_path / "set", {**TWO, "cat/deep": 2})
    (root / "cat" / "deep" / "loop").symlink_to(root / target)
    dataset = open_dataset(root)
    assert len(dataset) == 22
    assert left_out(dataset) == {"1 link in a circle": ("cat/deep/loop",)}


def test_two_links_into_each_other_and_many_that_branch(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", TWO)
    for index in range(24):  # each holds two links to the next: 2 ** 24 ways in, were each of them followed
        folder = tree(tmp_path / f"level{index}", {"": 1}, first_seed=9000 + index)
        for name in ("a", "b"):
            (folder / name).symlink_to(tmp_path / f"level{(index + 1) % 24}")
    (root / "yak").symlink_to(tmp_path / "level0")
    dataset = open_dataset(root)
    assert sum(name.startswith("yak/") for name in dataset.ids) == 24
    assert sum(map(len, left_out(dataset).values())) == 25


def test_a_folder_named_like_an_image_is_said(tmp_path: Path) -> None:
    root = tree(tmp_path, {**TWO, "dog/folder.jpg": 1})
    dataset = open_dataset(root)
    assert left_out(dataset) == {"1 folder named like an image": ("dog/folder.jpg",)}
    assert [finding.severity for finding in prescan(dataset).of("left_out")] == ["warning"]
