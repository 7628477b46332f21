"""Files of sixteen bits that hold fewer: they are named, spread on request, and read the same ever after."""

import json
from pathlib import Path

import numpy as np
import pytest
from pictures import photo
from PIL import Image

from striate.cli.app import run
from striate.data import open_dataset
from striate.data.check.check import check, prescan
from striate.predict import Predictor

SMALL = [
    "--size",
    "16",
    "--set",
    "train.precision=float32",
    "--set",
    "train.epochs=1",
    "--set",
    "model.width=4",
    "--set",
    "model.depth=1",
]


def tree(root: Path, top: int, *, deep: bool, num: int = 14, low: int = 0) -> Path:
    """Write two classes of grey noise with levels low..top as 16-bit PNG, or as 8-bit of the same look."""
    for band, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for index in range(num):
            grey = np.asarray(photo(100 * band + index, (24, 24)).convert("L")).astype(np.int64)
            grey = (grey - grey.min()) * 255 // (grey.max() - grey.min())  # each image from black to white
            pixels = (low + grey * (top - low) // 255).astype(np.uint16) if deep else grey.astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root


@pytest.mark.parametrize(("low", "top"), [(0, 15), (0, 255), (0, 1023), (0, 4095), (21_000, 24_000)])
def test_few_levels_are_a_warning_and_nothing_else(tmp_path: Path, low: int, top: int) -> None:
    dataset = open_dataset(tree(tmp_path / "data", top, deep=True, low=low))
    for findings in (prescan(dataset), check(dataset)):
        (found,) = findings.problems
        assert (found.kind, found.severity, len(found.ids)) == ("few_levels", "warning", 28)
        assert f"levels {low} to {top} of 0 to 65535" in found.text and "--levels auto" in found.text
    image = dataset.images.read(0)
    assert len(np.unique(image)) <= 1 + 255 * (top - low) // 65535 + 1


@pytest.mark.parametrize("top", [8192, 30_000, 65535])
def test_enough_levels_are_no_warning(tmp_path: Path, top: int) -> None:
    assert not prescan(open_dataset(tree(tmp_path / "data", top, deep=True))).of("few_levels")


def test_one_hot_pixel_does_not_hide_few_levels(tmp_path: Path) -> None:
    root = tree(tmp_path / "data", 1023, deep=True)
    pixels = np.asarray(Image.open(root / "cat" / "0.png")).copy()
    pixels[0, 0] = 65535
    Image.fromarray(pixels).save(root / "cat" / "0.png")
    assert prescan(open_dataset(root)).of("few_levels")


def test_identical_files_are_still_leaks_and_blank_ones_still_blank(tmp_path: Path) -> None:
    root = tree(tmp_path / "data", 255, deep=True)
    (root / "cat" / "copy.png").write_bytes((root / "cat" / "0.png").read_bytes())
    Image.fromarray(np.full((24, 24), 77, np.uint16)).save(root / "dog" / "blank.png")
    findings = check(open_dataset(root))
    assert findings.of("duplicate") or findings.of("duplicate_leak")
    assert findings.of("constant")[0].ids == ("dog/blank.png",)


def test_levels_read_a_deep_file_as_its_twin_of_eight_bits(tmp_path: Path) -> None:
    deep, eight = tree(tmp_path / "deep", 1020, deep=True), tree(tmp_path / "eight", 255, deep=False)
    for levels in ("0-1020", "auto"):
        one, other = open_dataset(deep, levels=levels), open_dataset(eight)
        assert one.options["levels"] == "0-1020"
        assert all(np.array_equal(one.images.read(at), other.images.read(at)) for at in range(len(one)))
        assert not prescan(one).problems
    assert not np.array_equal(open_dataset(deep).images.read(0), open_dataset(eight).images.read(0))


def test_auto_is_measured_on_training_images_and_the_rest_is_said_to_be_clipped(tmp_path: Path) -> None:
    root = tree(tmp_path / "data", 1000, deep=True)
    dataset = open_dataset(root)
    outlier = int(dataset.splits["test"][0])
    Image.fromarray(np.full((24, 24), 5000, np.uint16)).save(root / dataset.ids[outlier])
    dataset = open_dataset(root, levels="auto")
    assert dataset.options["levels"] == "0-1000"
    assert prescan(dataset).of("beyond_levels")[0].ids == (dataset.ids[outlier],)
    assert (dataset.images.read(outlier) == 255).all()


def test_a_run_keeps_its_levels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep, eight = tree(tmp_path / "deep", 1020, deep=True), tree(tmp_path / "eight", 255, deep=False)
    one, other = tmp_path / "one", tmp_path / "other"
    assert run(["train", str(deep), "--levels", "auto", "--out", str(one), *SMALL]) == 0
    assert run(["train", str(eight), "--out", str(other), *SMALL]) == 0
    assert json.loads((one / "run.json").read_text())["dataset"]["options"]["levels"] == "0-1020"
    assert (one / "weights.safetensors").read_bytes() == (other / "weights.safetensors").read_bytes()
    files = sorted(deep.glob("*/*.png"))
    twins = [eight / path.relative_to(deep) for path in files]
    said = [[item.probabilities for item in Predictor.load(one)(paths)] for paths in (files, twins)]
    assert said[0] == said[1]
    capsys.readouterr()
    texts = []
    for folder, data in ((one, deep), (other, eight)):
        assert run(["evaluate", str(folder), str(data), "--split", "all", "--json"]) == 0
        texts.append(json.loads(capsys.readouterr().out)["scores"])
    assert texts[0] == texts[1]
    assert run(["train", str(deep), "--levels", "9-3", "--out", str(tmp_path / "no"), *SMALL]) == 2


def test_arrays_of_sixteen_bits(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(100, 1000, (40, 8, 8)).astype(np.uint16)
    images[0, 0, :2] = 100, 999
    np.savez(tmp_path / "deep.npz", images=images, labels=np.arange(40) % 2)
    (found,) = prescan(open_dataset(tmp_path / "deep.npz")).of("few_levels")
    assert "levels 100 to 999 of 0 to 65535" in found.text
    for levels, low, high in (("auto", 100, 999), ("0-1023", 0, 1023)):
        dataset = open_dataset(tmp_path / "deep.npz", levels=levels)
        assert dataset.options["levels"] == f"{low}-{high}"
        golden = (images.astype(float) - low) / (high - low) * 255
        assert np.abs(dataset.images.array[..., 0] - golden).max() <= 0.51
        assert not prescan(dataset).of("few_levels")
    np.savez(tmp_path / "dark.npz", images=images // 4, labels=np.arange(40) % 2)
    assert open_dataset(tmp_path / "dark.npz", levels="auto").images.array.max() == 255
