"""Results that a command wrote among the images are left out of the next look at them, and said."""

from pathlib import Path

import pytest
from pictures import tree, write

from striate.base.errors import DataError
from striate.cli.app import run
from striate.data import open_dataset

TWO = {"cat": 12, "dog": 12}
SMALL = ("--set", "train.epochs=1", "--set", "model.width=4", "--size", "16", "--threads", "1")


def own(root: Path) -> tuple[str, ...]:
    """The results of ours that were left out; nothing else may be."""
    dataset = open_dataset(root)
    assert dataset.classes == ("cat", "dog") and len(dataset) == 24, dataset
    found = {one.reason.partition(" ")[2]: one for one in dataset.left_out}
    assert set(found) <= {"results of striate", "result of striate"} and not any(
        one.is_serious for one in found.values()
    )
    return next(iter(found.values())).names if found else ()


def document(folder: Path, kind: str) -> None:
    folder.mkdir(parents=True)
    (folder / f"{kind}.json").write_text(f'{{\n "schema": 1,\n "kind": "{kind}"\n}}\n')
    write(folder / "pictures" / "test-0000.jpg")


def test_commands_in_the_data_folder_may_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path / "set", TWO)
    monkeypatch.chdir(root)
    for words in (["check", ".", "--augment", "-q"], ["explain", "filters", "cat/0.jpg"], ["train", ".", *SMALL]):
        assert run(words) == 0
    assert "left out: 3 results of striate (0-filters.png, check/augm" in capsys.readouterr().err
    names = own(root)
    assert names[:3] == ("0-filters.png", "check/augmentation.png", "check/contact-sheet.png")
    assert len(names) == 4 and names[3].startswith("runs/001-")
    assert run(["check", ".", "-q"]) == 0
    said = capsys.readouterr().out
    assert "set: 24 images" in said and "left out: 4 results of striate" in said


@pytest.mark.parametrize("kind", ["run", "study", "search"])
def test_folders_of_results(tmp_path: Path, kind: str) -> None:
    root = tree(tmp_path / "set", TWO)
    for name in ("001-a", "results/old/002-b", "cat/003-c"):
        document(root / name, kind)
    (root / "results" / "old" / "004-begun" / "checkpoints").mkdir(parents=True)  # killed before it had a document
    assert own(root) == ("001-a", "cat/003-c", "results/old/002-b")
    with pytest.raises(DataError, match="results, not of images"):
        open_dataset(root / "001-a")


def test_beside_splits(tmp_path: Path) -> None:
    root = tree(tmp_path, {f"{split}/{name}": 6 for split in ("train", "val") for name in ("cat", "dog")})
    document(root / "runs" / "001", "run")
    assert own(root) == ("runs/001",)


def test_what_only_looks_like_ours_is_kept(tmp_path: Path) -> None:
    root = tree(tmp_path, {"cat": 11, "dog": 11, "runs": 4, "check": 4})
    write(root / "cat" / "contact-sheet.png")  # somebody else's
    write(root / "dog" / "rate-1.png")
    for text in ("{}", '{"kind": "bird"}', "[1, 2"):
        (root / "runs" / "run.json").write_text(text)
        dataset = open_dataset(root)
        assert dataset.classes == ("cat", "check", "dog", "runs") and len(dataset) == 32
