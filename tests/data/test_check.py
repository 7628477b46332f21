"""What check says of a folder with every fault planted in it, and of one with none."""

import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, photo, tree
from PIL import Image

from striate.base.errors import DataError
from striate.base.files import to_json
from striate.data import open_dataset
from striate.data.check import scan as scanning
from striate.data.check.check import check, exclude_bad, prescan
from striate.data.check.finding import Findings
from striate.data.check.labels import class_counts
from striate.data.sample import Dataset
from striate.data.sources.arrays import from_arrays


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def kinds(findings: Findings) -> dict[str, tuple[str, ...]]:
    return {item.kind: item.ids for item in findings if item.kind != "layout"}


def mixed(root: Path, count: int = 12) -> Path:
    """Write photos of two classes that no single number tells apart."""
    for index in range(count):
        for number, name in enumerate(("cat", "dog")):
            path = root / name / f"{index}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(photo(100 * index + number, (48, 64))))
    return root


def test_a_clean_folder_has_no_problems(tmp_path: Path) -> None:
    findings = check(open_dataset(mixed(tmp_path / "set", 16)))
    assert findings.problems == () and not len(findings.bad)
    assert repr(findings).startswith(f"Findings({len(findings)} notes)\n  note: ")
    assert findings.summary()["formats"] == {"JPEG": 32} and findings.summary()["median"] == [48, 64]
    assert to_json(findings.to_dict())


def messy(root: Path) -> Path:
    """The messy folder of the comparison with other tools: every fault once."""
    mixed(root, 40)
    cat = root / "cat"
    cut = (cat / "0.jpg").read_bytes()
    (cat / "truncated.jpg").write_bytes(cut[: len(cut) // 2])
    (root / "dog" / "text.jpg").write_text("this is no image")
    (root / "empty_class").mkdir()
    ramp = (np.arange(48 * 64).reshape(48, 64) * 20).astype(np.uint16)
    Image.fromarray(ramp).save(cat / "deep.png")
    photo(7001, (48, 64)).convert("L").save(cat / "grey.png")
    photo(7002, (48, 64)).convert("RGBA").save(cat / "alpha.png")
    shutil.copy(cat / "1.jpg", cat / "same.jpg")
    shutil.copy(cat / "2.jpg", root / "dog" / "mislabelled.jpg")
    return root


def test_the_messy_folder(tmp_path: Path) -> None:
    dataset = open_dataset(messy(tmp_path / "set"), allow_empty=True)
    findings = check(dataset)
    found = kinds(findings)
    assert {item.ids[0] for item in findings.of("unreadable")} == {"cat/truncated.jpg", "dog/text.jpg"}
    assert found["sixteen_bit"] == ("cat/deep.png",) and found["transparent"] == ("cat/alpha.png",)
    assert set(found["grey_in_colour"]) == {"cat/grey.png", "cat/deep.png"}
    assert found["conflicting_labels"] == ("cat/2.jpg", "dog/mislabelled.jpg")
    copies = {item.ids for kind in ("duplicate", "duplicate_leak") for item in findings.of(kind)}
    assert copies == {("cat/1.jpg", "cat/same.jpg"), ("cat/2.jpg", "dog/mislabelled.jpg")}
    assert "empty_class" in findings.of("missing_class")[0].text
    assert "not an image" in next(item.text for item in findings.of("unreadable") if item.ids[0] == "dog/text.jpg")


def test_training_stops_at_bad_files_or_goes_on_without_them(tmp_path: Path) -> None:
    dataset = open_dataset(messy(tmp_path / "set"), allow_empty=True)
    findings = prescan(dataset)
    assert findings.reasons(dataset)[0] == ("cat/truncated.jpg", findings.scan.probes[int(findings.bad[0])].problem)
    with pytest.raises(DataError, match="2 of 87 images cannot be used; the first: damaged") as caught:
        findings.require_usable(dataset)
    assert "--on-bad skip" in caught.value.fix and any("dog/text.jpg" in line for line in caught.value.details)
    good = exclude_bad(dataset, findings)
    assert len(good) == 85 and not {"cat/truncated.jpg", "dog/text.jpg"} & set(good.ids)
    for split, members in good.splits.items():
        before = {dataset.ids[index] for index in dataset.splits[split]}
        assert {good.ids[index] for index in members} == before - {"cat/truncated.jpg", "dog/text.jpg"}
    prescan(good).require_usable(good)
    assert good.notes[-1] == "left out: 2 images that cannot be used"


def test_every_planted_bad_file_is_found_and_no_good_one(tmp_path: Path) -> None:
    """A part of the planned 2,000: every tenth file is damaged in one of seven ways."""
    root = tree(tmp_path / "set", {"a": 100, "b": 100})
    damages = (
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-3],
        lambda data: b"<html>" + data,
        lambda data: data[:20],
        lambda data: encoded(photo(1, (8, 8)), "PNG")[:-30],
        lambda data: encoded(Image.new("F", (4, 4)), "TIFF"),
    )
    planted = set()
    for number, path in enumerate(sorted(root.rglob("*.jpg"))[::10]):
        path.write_bytes(damages[number % 7](path.read_bytes()))
        planted.add(str(path.relative_to(root)))
    dataset = open_dataset(root)
    assert {dataset.ids[index] for index in prescan(dataset).bad} == planted


def test_unchanged_files_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = mixed(tmp_path / "set")
    first = check(open_dataset(root))
    reads: list[str] = []
    real = scanning.decode.read_bytes
    monkeypatch.setattr(scanning.decode, "read_bytes", lambda path: reads.append(path.name) or real(path))
    second = check(open_dataset(root))
    assert reads == [] and second.items == first.items
    assert np.array_equal(first.scan.thumbs, second.scan.thumbs)
    (root / "cat" / "3.jpg").write_bytes(b"changed")
    assert [item.ids for item in check(open_dataset(root)).of("unreadable")] == [("cat/3.jpg",)]
    assert reads == ["3.jpg"]
    prescan(open_dataset(root, per_class=4))
    assert reads == ["3.jpg"]  # a part of the folder does not forget the rest
    check(open_dataset(root))
    assert reads == ["3.jpg"]


def test_a_damaged_or_unwritable_cache_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = mixed(tmp_path / "set")
    wanted = check(open_dataset(root)).items
    for path in (tmp_path / "cache").rglob("*.npz"):
        path.write_bytes(path.read_bytes()[:100])
    assert check(open_dataset(root)).items == wanted
    (tmp_path / "file").touch()
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "file" / "cache"))
    assert check(open_dataset(root)).items == wanted


def test_beyond_the_time_limit_headers_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = mixed(tmp_path / "set")
    (root / "cat" / "empty.jpg").touch()
    cut = (root / "cat" / "0.jpg").read_bytes()
    (root / "cat" / "cut.jpg").write_bytes(cut[:-50])
    monkeypatch.setattr(scanning, "MAX_TIME_S", -1.0)
    quick = check(open_dataset(root))
    assert [item.ids[0] for item in quick.of("unreadable")] == ["cat/empty.jpg"]
    assert "25 files looked at by header only" in quick.of("unchecked")[0].text
    slow = check(open_dataset(root), full=True)
    assert {item.ids[0] for item in slow.of("unreadable")} == {"cat/cut.jpg", "cat/empty.jpg"}
    assert not slow.of("unchecked")


def test_copies_across_splits_are_leaks(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for split in ("train", "val", "test"):
        mixed(root / split, 12)
        for path in (root / split).rglob("*.jpg"):  # different images in every split
            path.write_bytes(encoded(photo(zlib.crc32(str(path.relative_to(root)).encode()), (48, 64))))
    shutil.copy(root / "train" / "cat" / "0.jpg", root / "test" / "cat" / "copy.jpg")
    picture = photo(4242, (96, 128))
    (root / "train" / "dog" / "big.jpg").write_bytes(encoded(picture))
    (root / "val" / "dog" / "small.jpg").write_bytes(encoded(picture.resize((64, 48)), quality=50))
    findings = check(open_dataset(root))
    exact, near = findings.of("duplicate_leak")[0], findings.of("near_duplicate_leak")[0]
    assert exact.ids == ("train/cat/0.jpg", "test/cat/copy.jpg") and exact.severity == "warning"
    assert "across train and test" in exact.text and all(name in exact.text for name in exact.ids)
    assert near.ids == ("train/dog/big.jpg", "val/dog/small.jpg")
    assert set(findings.problems) == {exact, near}


def test_turned_and_cropped_copies_are_reported_apart(tmp_path: Path) -> None:
    root = mixed(tmp_path / "set")
    picture = photo(4242, (96, 128))
    for name, copy in {
        "a": picture,
        "b": picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "c": picture.crop((0, 0, 115, 86)),
    }.items():
        (root / "cat" / f"{name}.jpg").write_bytes(encoded(copy))
    found = check(pooled(root))
    assert found.of("turned_duplicate")[0].ids == ("cat/a.jpg", "cat/b.jpg")
    assert found.of("cropped_duplicate")[0].ids == ("cat/a.jpg", "cat/c.jpg")


def pooled(root: Path) -> Dataset:
    """Return a folder as one pool, so that no copy is across splits."""
    return open_dataset(root).with_splits({})


def test_modes_frames_names_and_sizes(tmp_path: Path) -> None:
    root = mixed(tmp_path / "set")
    cat = root / "cat"
    frames = [photo(seed, (48, 64)) for seed in (1, 3)]
    frames[0].save(cat / "film.gif", save_all=True, append_images=frames[1:])
    photo(5, (48, 64)).convert("CMYK").save(cat / "ink.jpg")
    (cat / "named.png").write_bytes(encoded(photo(8, (48, 64))))
    exif = Image.Exif()
    exif[0x0112] = 6
    (cat / "turned.jpg").write_bytes(encoded(photo(9, (48, 64)), exif=exif))
    Image.new("RGB", (48, 64), (9, 9, 9)).save(cat / "flat.png")
    photo(10, (12, 64)).save(cat / "thin.png")
    found = kinds(check(open_dataset(root)))
    wanted = {
        "frames": "film.gif",
        "cmyk": "ink.jpg",
        "wrong_extension": "named.png",
        "rotated": "turned.jpg",
        "constant": "flat.png",
        "tiny": "thin.png",
        "long": "thin.png",
    }
    assert {kind: found[kind] for kind in wanted} == {kind: (f"cat/{name}",) for kind, name in wanted.items()}


def test_counts_by_class(tmp_path: Path) -> None:
    dataset = open_dataset(tree(tmp_path / "set", {"many": 150, "few": 6}))
    assert {split: counts.tolist() for split, counts in class_counts(dataset).items()} == {
        "train": [4, 105],
        "val": [1, 23],
        "test": [1, 22],
    }
    found = {item.kind: item.text for item in check(dataset)}
    assert found["small_class"] == "1 class with fewer than 10 training images: few"
    assert found["imbalance"] == "uneven classes: 105 training images of 'many', 4 of 'few'"


def test_groups_on_two_sides(tmp_path: Path) -> None:
    dataset = open_dataset(mixed(tmp_path / "set"))
    groups = tuple(f"p{index // 2}" for index in range(len(dataset)))
    train = np.arange(0, 21)
    leaky = replace(dataset, groups=groups).with_splits(
        {"train": train, "val": np.array([21, 22]), "test": np.array([23])}
    )
    leaks = check(leaky).of("group_leak")
    assert [item.ids for item in leaks] == [("cat/8.jpg", "cat/9.jpg")] or len(leaks) == 2
    assert all("group 'p1" in item.text for item in leaks)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda image: np.pad(image[3:-3, 3:-3], ((3, 3), (3, 3), (0, 0))), "border"),
        (lambda image: image // 3, "colour or brightness"),
    ],
)
def test_shortcuts(change: Callable[[np.ndarray], np.ndarray], what: str) -> None:
    pictures = np.stack([np.asarray(photo(seed, (32, 32))) for seed in range(160)])
    labels = np.arange(160) % 4
    assert check(from_arrays(pictures, labels)).of("shortcut") == ()
    pictures[labels == 2] = np.stack([change(image) for image in pictures[labels == 2]])
    found = check(from_arrays(pictures, labels)).of("shortcut")
    assert [("class '2'" in item.text) for item in found] == [True]
    assert what in found[0].text.split(" alone tells ")[0] and "balanced accuracy" in found[0].text


def test_a_size_of_its_own_is_a_shortcut(tmp_path: Path) -> None:
    root = mixed(tmp_path / "set", 60)
    for path in (root / "dog").iterdir():
        path.write_bytes(encoded(photo(zlib.crc32(path.name.encode()), (64, 48))))
    text = check(open_dataset(root)).of("shortcut")[0].text
    assert text.startswith("shortcut: the size") and "class 'cat'" in text


def test_several_labels_an_image(tmp_path: Path) -> None:
    pictures = np.stack([np.asarray(photo(seed, (16, 16))) for seed in range(40)])
    pictures[1] = pictures[0]
    tags = np.random.default_rng(0).integers(0, 2, (40, 3))
    tags[0], tags[1] = (1, 0, 1), (0, 1, 1)
    dataset = from_arrays(pictures, tags, classes=["x", "y", "z"])
    conflict = check(dataset).of("conflicting_labels")[0]
    assert "0 (x + z), 1 (y + z)" in conflict.text


def test_hostile_names_are_shown_escaped(tmp_path: Path) -> None:
    root = mixed(tmp_path / "set")
    (root / "cat" / "\x1b[31mred\n.jpg").write_bytes(b"")
    finding = check(open_dataset(root)).of("unreadable")[0]
    assert finding.ids == ("cat/\x1b[31mred\n.jpg",) and "\x1b" not in finding.text and "\n" not in finding.text


def test_real_messy_folder(real_data: Path, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(real_data / "bad_images" / "messy_folder.zip") as archive:
        archive.extractall(tmp_path)  # the archive is our own
    findings = check(open_dataset(tmp_path / "messy_folder", allow_empty=True))
    assert [item.ids for item in findings.of("unreadable")] == [("cat/broken.jpg",)]
    copies = [item.ids for item in findings if item.kind in {"duplicate", "duplicate_leak"}]
    assert copies == [("cat/cat.64.jpg", "cat/same.jpg")]
    assert findings.of("frames")[0].ids == ("dog/dog.8.gif",)


def test_the_known_near_copy_of_a_real_set(real_data: Path) -> None:
    findings = check(open_dataset(real_data / "cats_dogs", limit={"val": 10, "test": 10}))
    assert [item.ids for item in findings.of("near_duplicate")] == [("train/dog/dog.74.jpg", "train/dog/dog.180.jpg")]
    assert findings.problems == ()
