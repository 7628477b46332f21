"""Images of four bands and of sixteen bits, trained, checked, evaluated, reported and predicted by the commands."""

import json

import cv2
import numpy as np
import pytest

from striate.cli.app import run

SMALL = ["--set", "train.epochs=3", "--set", "model.width=8", "--set", "model.depth=2", "--size", "16", "-q"]


def fields(num: int, channels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise in every band; the last one is bright for class 1, so a network that drops it learns nothing."""
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 120, (num, 16, 16, channels), np.uint8), np.arange(num) % 2
    images[labels == 1, ..., -1] += 120
    return images, labels


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    folder = tmp_path_factory.mktemp("four")
    parts = {}
    for split, num, seed in (("train", 60, 0), ("val", 20, 1), ("test", 20, 2)):
        parts[f"x_{split}"], parts[f"y_{split}"] = fields(num, 4, seed)
    np.savez(folder / "fields.npz", bands=np.array(["B2", "B3", "B4", "B8"]), **parts)
    words = ["train", str(folder / "fields.npz"), *SMALL, "--recipe", "augmented", "--out", str(folder / "run")]
    assert run(words) == 0
    return folder


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deep")
    rng = np.random.default_rng(0)
    for number in range(80):
        name = "low" if number % 2 else "high"
        (folder / "data" / name).mkdir(parents=True, exist_ok=True)
        # what tells them apart is below a level of eight bits
        image = 20_000 + rng.integers(0, 40, (18, 18), dtype=np.uint16) + np.uint16(100 * (name == "high"))
        cv2.imwrite(str(folder / "data" / name / f"{number}.tif"), image)
    return folder


def scores(run_folder) -> dict:
    return json.loads((run_folder / "scores.json").read_text())["test"]


def test_four_bands_are_learnt_from_the_fourth(four, capsys):
    info = json.loads((four / "run" / "run.json").read_text())
    assert info["input"]["channels"] == 4 and len(info["input"]["mean"]) == 4
    assert scores(four / "run")["accuracy"] == 1
    assert not {"saturation", "hue"} & {op["kind"] for op in info["augment"]} and info["augment"]
    assert any("B2, B3, B4, B8" in note for note in info["dataset"]["notes"])
    assert (four / "run" / "report.html").is_file()


def test_four_bands_are_checked_and_evaluated_and_predicted(four, capsys):
    assert run(["check", str(four / "fields.npz"), "--out", str(four / "check"), "--recipe", "augmented"]) == 0
    assert "4 channels (B2, B3, B4, B8)" in capsys.readouterr().out
    assert run(["evaluate", str(four / "run"), "--views", "2", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"]["accuracy"] == 1
    from striate.predict.predictor import Predictor

    images, labels = fields(10, 4, 7)
    found = Predictor.load(four / "run")(list(images))
    assert [one.names[0] for one in found] == [str(label) for label in labels]


def test_an_operation_on_colours_is_refused_for_bands_at_the_door(four, tmp_path, capsys):
    words = [
        "train",
        str(four / "fields.npz"),
        *SMALL,
        "--set",
        'augment=["flip","hue"]',
        "--out",
        str(tmp_path / "run"),
    ]
    assert run(words) == 2
    message = capsys.readouterr().err
    assert "hue needs grey or RGB images" in message and "leave out hue" in message


def test_channels_takes_the_first_bands(four, tmp_path, capsys):
    words = ["train", str(four / "fields.npz"), "--channels", "3", *SMALL, "--out", str(tmp_path / "rgb")]
    assert run(words) == 0
    assert json.loads((tmp_path / "rgb" / "run.json").read_text())["input"]["channels"] == 3
    assert run(["check", str(four / "fields.npz"), "--channels", "5"]) == 2


@pytest.fixture(scope="module")
def deep_run(deep):
    words = ["train", str(deep / "data"), *SMALL[2:], "--set", "train.epochs=12", "--recipe", "augmented"]
    assert run([*words, "--set", "data.depth=16", "--out", str(deep / "run16")]) == 0
    return deep / "run16"


def test_sixteen_bits_tell_apart_what_eight_cannot(deep, deep_run, capsys):
    words = ["train", str(deep / "data"), *SMALL, "--out", str(deep / "run8")]
    assert run(words) == 3  # all are one level then
    assert "constant" in capsys.readouterr().err
    assert scores(deep_run)["accuracy"] > 0.9
    info = json.loads((deep_run / "run.json").read_text())
    assert info["input"]["depth"] == 16 and info["input"]["mean"][0] == pytest.approx(20_070 / 65_535, rel=1e-3)
    assert info["input"]["std"][0] == pytest.approx(51 / 65_535, rel=0.1)


def test_a_run_of_sixteen_bits_is_evaluated_and_predicts_files(deep, deep_run, capsys):
    assert run(["evaluate", str(deep_run), "--json", "-q"]) == 0
    again = json.loads(capsys.readouterr().out)["scores"]["accuracy"]
    assert again == pytest.approx(scores(deep_run)["accuracy"])
    files = sorted((deep / "data" / "low").glob("*.tif"))[:5]
    assert run(["predict", str(deep_run), *map(str, files), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["predictions"]
    assert sum(one["prediction"] == ["low"] for one in found) >= 4
