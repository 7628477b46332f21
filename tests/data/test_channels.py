"""Grey or colour: every class has a say, a person can decide, and what was done is said."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.base.errors import SettingsError
from striate.cli.app import run
from striate.data import open_dataset
from striate.data.arguments import option_words
from striate.data.channels import in_channels
from striate.data.check.check import check
from striate.data.sources.arrays import from_arrays


def fill(folder: Path, count: int, mode: str, seed: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for index in range(count):
        pixels = rng.integers(0, 256, (18, 18, 3), np.uint8)
        Image.fromarray(pixels).convert(mode).save(folder / f"{index:03d}.png")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Sixty grey images of the first class, and eight in colour of the last."""
    fill(tmp_path / "set" / "axial", 60, "L")
    fill(tmp_path / "set" / "stained", 8, "RGB", seed=1)
    return tmp_path / "set"


def test_a_small_last_class_in_colour_makes_all_rgb_and_it_is_said(mixed: Path) -> None:
    dataset = open_dataset(mixed)
    assert dataset.channels == 3 and dataset.images.read(0).shape[2] == 3
    (note,) = [note for note in dataset.notes if note.startswith("read as")]
    assert note == "read as RGB (3 channels), by the headers of 68 files, 60 in grey and 8 in colour; " + (
        "--channels 1 makes all grey"
    )
    assert [item.severity for item in check(dataset).of("grey_in_colour")] == ["note"]


@pytest.mark.parametrize("num", [300, 3000])
def test_a_table_that_goes_class_by_class_is_sampled_over_its_labels(tmp_path: Path, num: int) -> None:
    fill(tmp_path, 1, "L")
    Image.fromarray(np.zeros((18, 18, 3), np.uint8)).save(tmp_path / "colour.png")
    lines = [f"{index}.png,{'rare' if index == num else 'common'}" for index in range(num + 1)]
    (tmp_path / "labels.csv").write_text("path,label\n" + "\n".join(lines) + "\n")
    for index in range(num):
        (tmp_path / f"{index}.png").hardlink_to(tmp_path / "000.png")
    (tmp_path / f"{num}.png").hardlink_to(tmp_path / "colour.png")
    from striate.data.sources.table import read

    assert read(tmp_path / "labels.csv", "labels.csv").channels == 3


def test_a_person_decides_and_the_words_round_trip(mixed: Path) -> None:
    dataset = open_dataset(mixed, channels=1)
    assert dataset.channels == 1 and dataset.images.read(67).shape == (18, 18, 1)
    assert "read as grey (1 channel), as asked for" in dataset.notes
    luma = np.asarray(Image.open(mixed / dataset.ids[67]).convert("L"), float)
    assert np.abs(dataset.images.read(67)[..., 0] - luma).max() <= 1
    assert [item.severity for item in check(dataset).of("colour_in_grey")] == ["note"]
    assert option_words(dataset.options) == ["--channels", "1"]
    with pytest.raises(SettingsError, match="images of 4 channels"):
        open_dataset(mixed, channels=4)


def test_arrays_change_too() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 5, 3), np.uint8)
    grey = in_channels(from_arrays(pixels, np.arange(6) % 2), 1)
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey.images.read(3)[..., 0] - luma[3]).max() <= 1
    back = in_channels(grey, 3)
    assert back.channels == 3 and np.array_equal(back.images.read(2), np.repeat(grey.images.read(2), 3, axis=2))


def test_the_option_reaches_training_and_other_data_are_read_as_the_run_was(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from striate.base.rundir import RunDir

    small = ["--set", "train.epochs=1", "--set", "model.width=4", "--set", "model.depth=1", "--size", "16", "-q"]
    assert run(["train", str(mixed), "--channels", "1", *small, "--out", str(tmp_path / "run")]) == 0
    assert RunDir(tmp_path / "run").info()["input"]["channels"] == 1
    assert run(["evaluate", str(tmp_path / "run"), str(mixed), "-q"]) == 0
    assert run(["train", str(mixed), "--channels", "2", *small]) == 2
    assert "give 1 (grey) or 3 (RGB)" in capsys.readouterr().err
