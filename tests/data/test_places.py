"""The same dataset from every current folder and by every way to write its place."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from pictures import tree

from striate import api
from striate.base.errors import DataError, SettingsError
from striate.cli.app import run
from striate.data import open_dataset
from striate.data.open import name_of, options_again, where_again

PLAIN = {"cat": 8, "dog": 8}
SPLIT = {f"{split}/{name}": count for split, count in (("train", 6), ("val", 3)) for name in ("cat", "dog")}
# the current folder, relative to the data's parent, and how the data are named from there
WAYS = [
    *((".", way) for way in ("birds", "birds/", "birds//", "./birds/", "birds/../birds", "~/birds", "link", "link/")),
    *(("birds", way) for way in (".", "./", "../birds", "./././", "../link/.")),
    *(("birds/.inner", way) for way in ("..", "../", "./..", "../../birds/.inner/..")),
    ("link", "."),
    ("other", "../birds"),
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "other").mkdir()
    (tmp_path / "birds" / ".inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("birds")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("counts", [PLAIN, SPLIT], ids=["one-tree", "splits"])
def test_class_folders(place: Path, monkeypatch: pytest.MonkeyPatch, counts: dict[str, int]) -> None:
    root = tree(place / "birds", counts)
    wanted = sorted(str(path.relative_to(root)) for path in root.rglob("*.jpg"))
    first = open_dataset(root)
    for current, way in [*WAYS, (".", str(root)), (".", str(place / "link"))]:
        monkeypatch.chdir(place / current)
        dataset = open_dataset(way)
        assert sorted(dataset.ids) == wanted, (current, way)
        assert dataset.classes == ("cat", "dog") and dataset.name in {"birds", "link"}, (current, way)
        assert all(np.array_equal(dataset.splits[name], first.splits[name]) for name in first.splits)
        assert dataset.images.read(len(dataset) - 1).shape == (24, 32, 3), (current, way)


def test_tables_and_arrays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(place / "birds", PLAIN)
    names = [str(path.relative_to(root)) for path in sorted(root.rglob("*.jpg"))]
    (root / "labels.csv").write_text("path,label\n" + "".join(f"{name},{name[:3]}\n" for name in names))
    pixels = np.zeros((16, 8, 8), np.uint8)
    head = bytes([0, 0, 8, 3, 0, 0, 0, 16, 0, 0, 0, 8, 0, 0, 0, 8])
    (root / "inner").mkdir()
    (root / "inner" / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + pixels.tobytes()))
    labels = bytes([0, 0, 8, 1, 0, 0, 0, 16]) + bytes([0, 1] * 8)
    (root / "inner" / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    np.savez(root / "arrays.npz", x=pixels, y=np.arange(16) % 2)
    for current, way in WAYS:
        monkeypatch.chdir(place / current)
        dataset = open_dataset(f"{way.rstrip('/')}/labels.csv")
        assert sorted(dataset.ids) == names and dataset.images.read(0).shape == (24, 32, 3), (current, way)
        assert open_dataset(f"{way}/inner").name == "inner" and len(open_dataset(f"{way}/arrays.npz")) == 16
        assert len(open_dataset(root / "labels.csv", root=way)) == 16, (current, way)
    monkeypatch.chdir(root)
    assert len(open_dataset("labels.csv")) == len(open_dataset("./arrays.npz")) == 16
    monkeypatch.chdir(root / "inner")
    assert open_dataset(".").name == "inner"


@pytest.mark.parametrize("empty", ["", "  "])
def test_nothing_is_not_the_current_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], empty: str
) -> None:
    monkeypatch.chdir(tree(place / "birds", PLAIN))
    for call in (open_dataset, api.train, api.study):
        with pytest.raises(SettingsError, match="no dataset is named"):
            call(empty)
    with pytest.raises(SettingsError, match="no dataset is named"):
        open_dataset(".", root=empty)
    commands = [[name, empty] for name in ("check", "train", "study", "search", "rate", "predict", "evaluate")]
    commands += [["predict", "run", empty], ["evaluate", "run", empty], ["check", ".", "--root", empty]]
    commands += [["check", ".", f"--out={empty}"], ["resume", "run", "--data", empty], ["explain", "saliency", empty]]
    for words in commands:
        assert run(words) == 2, words
        last = capsys.readouterr().err.strip().split("\n")[-1]
        assert last.startswith("error: ") and "argument" in last and " -- fix: " in last, last
    assert sorted(path.name for path in Path().iterdir()) == [".inner", "cat", "dog"]  # nothing was written


def test_commands_in_the_data_folder(place: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tree(place / "birds", SPLIT))
    for way in (".", "../birds/", "~/birds", "../link"):
        assert run(["check", way, "--out", str(place / "sheet"), "-q"]) == 0
        said = capsys.readouterr().out
        assert "18 images" in said and f"striate train {way if way != '~/birds' else chr(39) + way + chr(39)}" in said


def test_a_run_on_the_current_folder_is_found_again_from_another(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from striate.run.prepare import describe_dataset

    root = tree(place / "birds", SPLIT)
    monkeypatch.chdir(root)
    described = {where: describe_dataset(open_dataset(where), "label") for where in (".", "../birds", str(root))}
    assert where_again(described["."]) == "."
    monkeypatch.chdir(place / "other")
    assert where_again(described["."]) == str(root) and where_again(described["../birds"]) == "../birds"
    assert open_dataset(where_again(described["."])).ids == open_dataset(root).ids
    shutil.move(root, place / "moved")
    for where in described.values():  # `.` is here, but not the data
        with pytest.raises(DataError, match="the data are gone") as caught:
            where_again(where)
        assert "--data" in caught.value.fix and caught.value.where.rstrip("/").endswith("birds")
    assert where_again({"where": "toy:shapes"}) == "toy:shapes"  # as run folders of an older version say it


def test_names_of_results(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree(place / "birds", PLAIN) / "cat")
    assert [name_of(where) for where in ("..", ".", "../", "/")] == ["birds", "cat", "birds", "data"]


def test_the_root_of_a_table_is_found_again_from_elsewhere(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(place / "birds", PLAIN)
    names = [str(path.relative_to(root)) for path in sorted(root.rglob("*.jpg"))]
    (place / "labels.csv").write_text("path,label\n" + "".join(f"{name},{name[:3]}\n" for name in names))
    monkeypatch.chdir(place / "other")
    options = open_dataset("../labels.csv", root="../birds").options
    monkeypatch.chdir(place)
    assert len(open_dataset(place / "labels.csv", **options)) == len(names)
    (place / "birds").rename(place / "elsewhere")
    with pytest.raises(DataError, match="folder of the images is gone") as caught:
        options_again({"options": options}, None)
    assert "--data" in str(caught.value.fix)
    moved = shutil.move(place / "labels.csv", place / "elsewhere" / "labels.csv")
    assert len(open_dataset(moved, **options_again({"options": options}, str(moved)))) == len(names)
