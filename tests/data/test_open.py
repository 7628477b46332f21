"""Class folders and what `open_dataset` does with them: layouts, names, junk, links, splits, subsets."""

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from pictures import tree, write

from striate.base.errors import DataError
from striate.data import open_dataset
from striate.data.check.check import check
from striate.data.sources import images as image_sources
from striate.data.sources.names import natural_key

TWO = {"cat": 10, "dog": 10}
SPLIT = {
    f"{split}/{name}": count for split, count in (("train", 6), ("val", 3), ("test", 2)) for name in ("cat", "dog")
}


def refused(where: Path, **options: object) -> DataError:
    with pytest.raises(DataError) as caught:
        open_dataset(where, **options)
    assert caught.value.fix
    return caught.value


def names_in(dataset, split: str) -> list[str]:
    return [dataset.ids[index] for index in dataset.splits[split]]


def test_one_tree_is_split_by_class(tmp_path: Path) -> None:
    dataset = open_dataset(tree(tmp_path, {"cat": 40, "dog": 20}))
    assert dataset.classes == ("cat", "dog") and dataset.ids[:2] == ("cat/0.jpg", "cat/1.jpg")
    labels = dataset.target("label").values
    assert [np.bincount(labels[dataset.splits[name]]).tolist() for name in ("train", "val", "test")] == [
        [28, 14],
        [6, 3],
        [6, 3],
    ]
    assert np.array_equal(np.sort(np.concatenate(list(dataset.splits.values()))), np.arange(60))
    for index in (0, 59):
        assert dataset.ids[index].startswith(dataset.classes[labels[index]])
    assert dataset.images.read(0).shape == (24, 32, 3)


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
def test_folders_of_splits_are_kept(tmp_path: Path, val: str) -> None:
    dataset = open_dataset(tree(tmp_path, {name.replace("val/", f"{val}/"): count for name, count in SPLIT.items()}))
    assert {name: len(found) for name, found in dataset.splits.items()} == {"train": 12, "val": 6, "test": 4}
    assert all(name.startswith(f"{val}/") for name in names_in(dataset, "val"))


@pytest.mark.parametrize("absent", ["val", "test"])
def test_a_missing_split_is_taken_from_train(tmp_path: Path, absent: str) -> None:
    dataset = open_dataset(tree(tmp_path, {name: 20 for name in SPLIT if not name.startswith(absent)}))
    assert all(name.startswith("train/") for name in names_in(dataset, absent))
    assert len(dataset.splits["train"]) + len(dataset.splits[absent]) == 40
    assert any(f"no {absent} split" in note for note in dataset.notes)


def test_opening_decodes_nothing_and_needs_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path / "set", TWO)
    monkeypatch.setattr(image_sources, "decode", lambda *_, **__: pytest.fail("an image was decoded"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("an image was loaded"))
    open_dataset(root)
    code = (
        "import sys; from striate.data import open_dataset; from striate.data.check.check import check, prescan; "
        f"prescan(open_dataset({str(root)!r})); check(open_dataset({str(root)!r})); "
        "open_dataset('toy:shapes?n=50'); sys.exit('torch' in sys.modules or 'cv2' in sys.modules)"
    )
    environment = {**os.environ, "STRIATE_CACHE": str(tmp_path / "cache")}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_splits_depend_on_seed_and_ids_only(tmp_path: Path) -> None:
    first = open_dataset(tree(tmp_path / "a", {"cat": 30, "dog": 30}), seed=3)
    (tmp_path / "b").mkdir()
    for name in reversed(first.ids):  # another order on disk
        write(tmp_path / "b" / name, 7)
    second = open_dataset(tmp_path / "b", seed=3)
    assert all(names_in(first, split) == names_in(second, split) for split in first.splits)
    other = open_dataset(tmp_path / "b", seed=4)
    assert names_in(first, "test") != names_in(other, "test")


def test_numbers_in_names_are_in_natural_order(tmp_path: Path) -> None:
    dataset = open_dataset(tree(tmp_path, {"10": 8, "2": 8, "1": 12}))
    assert dataset.classes == ("1", "2", "10")
    assert [name for name in dataset.ids if name.startswith("1/")][:3] == ["1/0.jpg", "1/1.jpg", "1/2.jpg"]
    assert dataset.ids.index("1/10.jpg") > dataset.ids.index("1/9.jpg")
    assert sorted(["a10", "a2", "A1"], key=natural_key) == ["A1", "a2", "a10"]


def test_a_class_missing_from_val_keeps_all_indices(tmp_path: Path) -> None:
    counts = {name: count for name, count in SPLIT.items() if name != "val/cat"}
    dataset = open_dataset(tree(tmp_path, counts))
    assert dataset.classes == ("cat", "dog")
    assert set(dataset.target("label").values[dataset.splits["val"]]) == {1}
    assert any("without images in the val split: cat" in note for note in dataset.notes)


def test_a_folder_wrapped_twice_names_the_one_to_open(tmp_path: Path) -> None:
    tree(tmp_path / "set" / "set", TWO)
    assert refused(tmp_path).fix.endswith("set/set instead")
    assert len(open_dataset(tmp_path / "set" / "set")) == 20


def test_a_class_only_in_val_is_refused(tmp_path: Path) -> None:
    problem = refused(tree(tmp_path, {**SPLIT, "val/yak": 2}))
    assert "'yak' in val but not in train" in problem.what


def test_an_empty_class_is_refused_unless_allowed(tmp_path: Path) -> None:
    root = tree(tmp_path, {**TWO, "empty": 0})
    problem = refused(root)
    assert problem.what == "class folder is empty" and problem.where.endswith("empty")
    assert "--allow-empty" in problem.fix
    assert open_dataset(root, allow_empty=True).classes == ("cat", "dog", "empty")


@pytest.mark.parametrize(
    ("first", "second"), [("Cat", "cat"), ("caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9")), ("dog", "dog ")]
)
def test_names_that_look_the_same_are_refused(tmp_path: Path, first: str, second: str) -> None:
    problem = refused(tree(tmp_path, {first: 4, second: 4, "yak": 4}))
    assert "differ only by case" in problem.what
    assert (ascii(first)[1:-1] in problem.what and ascii(second)[1:-1] in problem.what) or first.casefold() == "cat"


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"": 4}, "4 images directly in the folder"),
        ({"cat": 4}, "only one class, 'cat'"),
        ({"cat": 1, "dog": 1}, "too few: the val split would be empty"),
        ({"train/": 3, "val/": 2}, "3 images directly in the folder"),
        ({"cat": 0, "dog": 0}, "no images found"),
    ],
)
def test_layouts_that_are_not_understood(tmp_path: Path, counts: dict[str, int], words: str) -> None:
    problem = refused(tree(tmp_path, counts))
    assert words in problem.what
    assert "few" in words or any("DATA/train/cat/1.jpg" in line for line in problem.details)


def test_a_folder_around_the_dataset_is_pointed_out(tmp_path: Path) -> None:
    tree(tmp_path / "download" / "birds", TWO)
    assert "birds instead" in refused(tmp_path / "download").fix


def test_classes_may_be_called_like_splits(tmp_path: Path) -> None:
    assert open_dataset(tree(tmp_path, {"train": 8, "bus": 8})).classes == ("bus", "train")


def test_train_and_val_may_not_be_one_folder(tmp_path: Path) -> None:
    tree(tmp_path, {"train/cat": 4, "train/dog": 4})
    (tmp_path / "val").symlink_to(tmp_path / "train")
    assert "train and val are the same folder" in refused(tmp_path).what
    tree(tmp_path, {"valid/cat": 4, "valid/dog": 4})
    assert "are both a val split" in refused(tmp_path).what


def test_junk_is_left_out_and_counted(tmp_path: Path) -> None:
    root = tree(tmp_path, {"cat": 8, "dog": 8, ".ipynb_checkpoints": 2, "__MACOSX/cat": 1, "cat/@eaDir": 3})
    for name in (".DS_Store", "cat/Thumbs.db", "cat/._0.jpg", "dog/notes.txt", "dog/no_extension"):
        (root / name).write_bytes(b"junk")
    write(root / "dog" / "UPPER.JPG")
    dataset = open_dataset(root)
    assert dataset.classes == ("cat", "dog") and len(dataset) == 17
    reasons = {one.reason: len(one.names) for one in dataset.left_out}
    assert reasons == {"6 hidden or system files and folders": 6, "2 files that are not images": 2}
    assert "left out: 2 files that are not images (dog/no_extension, dog/notes.txt)" in dataset.notes


def test_every_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    root = tree(tmp_path, TWO)
    names = [f"cat/{number}.txt" for number in range(6)]
    for name in names:
        (root / name).write_bytes(b"junk")
    dataset = open_dataset(root)
    assert any("(cat/0.txt, cat/1.txt, cat/2.txt, cat/3.txt, ...)" in note for note in dataset.notes)
    layout = check(dataset).to_dict()["findings"]
    assert [item["ids"] for item in layout if "files that are not images" in item["text"]] == [names]


ODD = ["\U0001f408.jpg", "new\nline.jpg", "-dash.jpg", "x" * 246 + ".jpg", unicodedata.normalize("NFD", "été.jpg")]


def test_odd_names_round_trip(tmp_path: Path) -> None:
    tree(tmp_path, TWO)
    for name in ODD:
        write(tmp_path / "cat" / name)
    raw = os.fsencode(tmp_path / "cat") + b"/bad\xff.jpg"
    os.link(tmp_path / "cat" / "0.jpg", raw)
    dataset = open_dataset(tmp_path)
    assert {f"cat/{name}" for name in ODD} < set(dataset.ids)
    index = dataset.ids.index(os.fsdecode(b"cat/bad\xff.jpg"))
    assert dataset.images.read(index).shape == (24, 32, 3)
    assert os.fsencode(dataset.images.path(index)) == raw


def test_grey_only_when_all_are_grey(tmp_path: Path) -> None:
    root = tree(tmp_path, TWO)
    for path in root.rglob("*.jpg"):
        from PIL import Image

        Image.new("L", (8, 8), 3).save(path)
    assert open_dataset(root).channels == 1 and open_dataset(root).images.read(0).shape == (8, 8, 1)
    write(root / "dog" / "9.jpg")
    assert open_dataset(root).channels == 3 and open_dataset(root).images.read(0).shape == (8, 8, 3)


def test_groups_stay_on_one_side(tmp_path: Path) -> None:
    for patient in range(30):
        for shot in range(1 + patient % 4):
            write(tmp_path / ("ill" if patient % 3 else "well") / f"p{patient}_{shot}.jpg", patient)
    dataset = open_dataset(tmp_path, group=r"/p(\d+)_")
    side = {}
    for split, members in dataset.splits.items():
        for index in members:
            assert side.setdefault(dataset.groups[index], split) == split
    shares = [len(members) / len(dataset) for members in dataset.splits.values()]
    assert np.allclose(shares, (0.7, 0.15, 0.15), atol=0.06)
    assert "does not fit this id" in refused(tmp_path, group=r"(patient)").what
    assert "has 0 groups" in refused(tmp_path, group="p").what
    one_group = refused(tmp_path, group="(p)")
    assert "in 1 group, too few" in one_group.what and "--group" in one_group.fix
    assert "not a regular expression" in refused(tmp_path, group="(").what


def test_folds_cover_everything_once(tmp_path: Path) -> None:
    root = tree(tmp_path, {"cat": 25, "dog": 25})
    folds = [open_dataset(root, folds=5, fold=fold) for fold in range(5)]
    tests = np.concatenate([found.splits["test"] for found in folds])
    assert np.array_equal(np.sort(tests), np.arange(50))
    for found in folds:
        assert np.bincount(found.target().values[found.splits["test"]]).tolist() == [5, 5]
        assert sum(map(len, found.splits.values())) == 50 and len(found.splits["val"]) == 7
    assert "fold 5 of 5" in refused(root, folds=5, fold=5).what


def test_folds_leave_the_own_test_split_alone(tmp_path: Path) -> None:
    root = tree(tmp_path, SPLIT)
    folds = [open_dataset(root, folds=3, fold=fold) for fold in range(3)]
    assert all(all(name.startswith("test/") for name in names_in(found, "test")) for found in folds)
    vals = np.concatenate([found.splits["val"] for found in folds])
    assert len(vals) == len(set(vals.tolist())) == 18


def test_limits_and_choices(tmp_path: Path) -> None:
    root = tree(tmp_path, {"cat": 40, "dog": 20, "yak": 10})
    limited = open_dataset(root, limit={"train": 14, "test": 7})
    assert [len(found) for found in limited.splits.values()] == [14, 11, 7] and len(limited) == 32
    assert np.bincount(limited.target().values[limited.splits["train"]]).tolist() == [8, 4, 2]
    for index, name in enumerate(limited.ids):
        assert name.startswith(limited.classes[limited.target().values[index]])
        assert limited.images.path(index) == root / name
    more = open_dataset(root, limit={"train": 28})
    said = [one.text for one in open_dataset(root, limit={"train": 14, "test": 999}).readings]
    assert said == ["the limit of test is 999, and there are 10 images: all are taken"] and not limited.readings
    assert len(open_dataset(root).splits["test"]) == 10
    assert "the largest class has 40 images" in open_dataset(root, per_class=41).readings[0].text
    assert "there are 3 classes" in open_dataset(root, top_classes=4).readings[0].text
    assert not open_dataset(root, per_class=40, top_classes=3).readings
    assert set(names_in(limited, "train")) < set(names_in(more, "train"))
    assert open_dataset(root, top_classes=2).classes == ("cat", "dog")
    chosen = open_dataset(root, classes=["yak", "cat"])
    assert chosen.classes == ("cat", "yak") and len(chosen) == 50
    assert set(chosen.target().values.tolist()) == {0, 1}
    few = open_dataset(root, per_class=10)
    assert np.bincount(few.target().values).tolist() == [10, 10, 10]
    assert "did you mean 'yak'" in refused(root, classes=["yack", "cat"]).fix
    assert "leaves nothing to tell apart" in refused(root, classes=["cat"]).what
    assert "unknown split" in refused(root, limit={"trian": 3}).what
    assert "is not three numbers" in refused(root, split=(0.5, 0.5)).what


def test_the_limit_per_class_holds_in_each_given_split(tmp_path: Path) -> None:
    few = open_dataset(tree(tmp_path, SPLIT), per_class=2)
    assert [len(found) for found in few.splits.values()] == [4, 4, 4]


def test_what_is_not_there(tmp_path: Path) -> None:
    assert "did you mean 'fashion-mnist'" in refused(Path("fashon-mnist")).fix
    (tmp_path / "x.doc").touch()
    assert "not a dataset" in refused(tmp_path / "x.doc").what


def test_real_folders(real_data: Path) -> None:
    flowers = open_dataset(real_data / "flowers102")
    assert repr(flowers) == "Dataset('flowers102': 2,029 images, 89 classes; train 1,246, val 353, test 430)"
    assert flowers.classes[:3] == ("2", "3", "4") and flowers.channels == 3
