"""Training images that are in val or test as well: refused when they are many, said when they are few."""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, photo, tree
from PIL import Image

from striate.api import study, train
from striate.base.errors import DataError
from striate.base.progress import Progress
from striate.data import open_dataset
from striate.data.check.check import check, prescan
from striate.data.check.duplicates import exact_groups
from striate.data.check.leaks import KIND
from striate.data.check.skip import without_bad
from striate.data.sample import Dataset
from striate.data.sources.arrays import from_arrays

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def split_tree(root: Path, count: int = 30) -> Path:
    """Write so many images of each of two classes into train, half as many into val and test, all different."""
    tree(root / "train", {"cat": count, "dog": count})
    tree(root / "val", {"cat": count // 2, "dog": count // 2}, first_seed=5000)
    tree(root / "test", {"cat": count // 2, "dog": count // 2}, first_seed=9000)
    return root


def leaky(counts: dict[str, int], num_train: int = 100, num_others: int = 40) -> Dataset:
    """Return a dataset in memory whose val and test begin with so many copies of training images."""
    images = RNG.integers(0, 256, (num_train + 2 * num_others, 6, 6), dtype=np.uint8)
    places = np.arange(len(images), dtype=np.intp)
    splits = dict(zip(("train", "val", "test"), np.split(places, [num_train, num_train + num_others]), strict=True))
    for split, count in counts.items():
        images[splits[split][:count]] = images[:count]
    return from_arrays(images, places % 2).with_splits(splits)


def test_one_set_as_train_val_and_test_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "leak"
    tree(root / "train", {"cat": 30, "dog": 30})
    for split in ("val", "test"):
        shutil.copytree(root / "train", root / split)
    for start in (train, study):
        with pytest.raises(DataError) as caught:
            start(str(root), progress=Progress("quiet"))
        problem = caught.value
        assert problem.what == "training on 60 of 60 val and 60 of 60 test images, the first as train/cat/0.jpg"
        assert problem.where == str(root / "val" / "cat" / "0.jpg")
        assert "remove the copies (striate check DATA lists them), or open train/ alone" in problem.fix
        assert "  val/cat/0.jpg = train/cat/0.jpg" in problem.details and "  and 70 more" in problem.details
    with pytest.raises(DataError, match="training on 60 of 60 val"):  # a leak is no bad file: skipping has no say
        without_bad(open_dataset(root), "skip", Progress("quiet"))
    assert len(str(problem)) < 240
    assert [item.severity for item in check(open_dataset(root)).of(KIND)] == ["error"]


def test_few_copies_are_said_and_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = split_tree(tmp_path / "set", 60)
    shutil.copy(root / "train" / "cat" / "3.jpg", root / "test" / "cat" / "copy.jpg")
    dataset, skipped = without_bad(open_dataset(root), "stop", Progress("plain"))
    said = "1 of 61 test images is also in train: test/cat/copy.jpg = train/cat/3.jpg"
    assert [(item["severity"], item["text"]) for item in dataset.findings] == [("warning", said)]
    assert not skipped and f"warning: {said}" in capsys.readouterr().err
    assert not check(open_dataset(root)).of(KIND)  # there each copy has its own warning


@pytest.mark.parametrize(
    ("counts", "severity"),
    [
        ({}, None),
        ({"val": 1}, "warning"),
        ({"test": 2}, "warning"),  # 5 % of 40
        ({"test": 3}, "error"),
        ({"val": 2, "test": 1}, "warning"),
        ({"val": 1, "test": 3}, "error"),
    ],
)
def test_the_limit_is_five_percent_of_a_split(counts: dict[str, int], severity: str | None) -> None:
    found = [item for item in prescan(leaky(counts)).of(KIND) if "also in train" in item.text]
    assert [item.severity for item in found] == ([severity] if severity else [])
    if severity:
        assert len(found[0].ids) == 2 * sum(counts.values())


def test_one_copy_in_a_tiny_split_is_no_refusal() -> None:
    assert [item.severity for item in prescan(leaky({"val": 1}, 20, 5)).of(KIND)] == ["warning"]
    assert [item.severity for item in prescan(leaky({"val": 2}, 20, 5)).of(KIND)] == ["error"]


def test_copies_of_val_in_test_are_said() -> None:
    dataset = leaky({})
    dataset.images.array[dataset.splits["test"][:6]] = dataset.images.array[dataset.splits["val"][:6]]
    (found,) = prescan(dataset).of(KIND)
    assert found.severity == "warning" and found.text.startswith("6 of 40 test images are also in val: ")
    assert found.text.endswith("143 = 103 and 2 more")
    without_bad(dataset, "stop", Progress("quiet"))


def test_the_real_sets_have_no_leak(real_data: Path) -> None:
    for name in ("cats_dogs", "cifar10", "flowers102"):
        dataset = open_dataset(real_data / name, limit={"train": 400, "val": 200, "test": 200})
        assert not prescan(dataset).of(KIND)


def test_copies_are_found_as_by_brute_force_and_fast() -> None:
    digests = RNG.integers(0, 256, (25_000, 16), dtype=np.uint8)
    digests[RNG.integers(0, 25_000, 900)] = digests[RNG.integers(0, 25_000, 900)]
    members = np.flatnonzero(RNG.random(25_000) < 0.9)
    wanted: dict[bytes, list[int]] = {}
    for index in members.tolist():
        wanted.setdefault(digests[index].tobytes(), []).append(index)
    start = time.process_time()
    found = exact_groups(digests, members)
    assert time.process_time() - start < 0.3
    assert found == [group for group in wanted.values() if len(group) > 1]
    assert exact_groups(digests, members[:0]) == []


def test_the_same_pixels_in_another_format_are_identical(tmp_path: Path) -> None:
    root = split_tree(tmp_path / "set", 12)
    picture = photo(4242, (48, 64))
    for name, kind in {"train/cat/a.png": "PNG", "val/cat/b.bmp": "BMP", "val/cat/c.webp": "WEBP"}.items():
        (root / name).write_bytes(encoded(picture, kind, **({"lossless": True} if kind == "WEBP" else {})))
    (root / "val/cat/d.png").write_bytes(encoded(Image.fromarray(np.asarray(picture) // 2 * 2), "PNG"))  # not the same
    findings = check(open_dataset(root))
    assert [item.ids for item in findings.of("duplicate_leak")] == [
        ("train/cat/a.png", "val/cat/b.bmp", "val/cat/c.webp")
    ]
    assert findings.of(KIND)[0].text.startswith("2 of 15 val images are also in train")


def test_large_jpegs_are_identical_by_their_bytes_only(tmp_path: Path) -> None:
    """They are decoded at an eighth, where two images may agree that differ in detail."""
    root = split_tree(tmp_path / "set", 12)
    flat = np.full((640, 640, 3), 128, dtype=np.uint8)
    fine = flat.copy()
    fine[::2, ::2], fine[1::2, 1::2] = 138, 118  # the mean of every block of 8 x 8 stays
    for name, pixels in {"train/cat/a.jpg": flat, "val/cat/b.jpg": fine, "test/cat/c.jpg": flat}.items():
        (root / name).write_bytes(encoded(Image.fromarray(pixels), quality=95))
    found = check(open_dataset(root)).of("duplicate_leak")
    assert [item.ids for item in found] == [("train/cat/a.jpg", "test/cat/c.jpg")]


def test_copies_inside_a_split_are_problems(tmp_path: Path) -> None:
    root = split_tree(tmp_path / "set", 12)
    shutil.copy(root / "train" / "cat" / "0.jpg", root / "train" / "cat" / "again.jpg")
    (found,) = check(open_dataset(root)).problems
    assert (found.kind, found.severity) == ("duplicate", "warning")
    assert found.ids == ("train/cat/0.jpg", "train/cat/again.jpg")
