"""Networks that make images, exported: the script makes the image that `predict` makes, of any size."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from alone import ALONE
from PIL import Image

from striate.cli.app import run as command
from striate.export.images import settings_of_images
from striate.predict import Predictor
from striate.task.restore import Colourise, Denoise


@pytest.mark.parametrize(
    ("task", "channels", "is_grey"),
    [(Colourise("image"), 3, True), (Denoise("image"), 3, False), (Denoise("image"), 1, False)],
)
def test_colours_are_left_out_of_what_is_to_be_coloured_only(task, channels, is_grey):
    predictor = SimpleNamespace(makes_images=True, task=task, geometry=SimpleNamespace(channels=channels))
    assert settings_of_images(predictor) == {"image": {"scale": 1, "is_grey": is_grey}}


SMALL = ("--size", "16", "--epochs", "1", "--set", "model.width=4", "--set", "model.depth=1", "--threads", "1", "-q")


@pytest.mark.parametrize(("task", "scale"), [("denoise", 1), ("superresolve", 2)])
def test_the_script_makes_the_image_that_predict_makes(task, scale, tmp_path, capsys):
    folder, out = str(tmp_path / "run"), tmp_path / "out"
    assert command(["train", "toy:shapes?n=24&size=32", "--task", task, *SMALL, "--out", folder]) == 0
    capsys.readouterr()
    assert command(["export", folder, "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["checked"]["num_images"] >= 2
    assert "It answers with an image." in (out / "README.md").read_text()
    own = tmp_path / "own.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (37, 13, 3), np.uint8)).save(own)
    program = [sys.executable, "-c", ALONE, str(out / "predict_onnx.py"), str(own)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\t")[1:] == ["own-restored.png", f"{13 * scale} x {37 * scale}\n"]
    found = np.asarray(Image.open(tmp_path / "own-restored.png")).astype(int)
    wanted = Predictor.load(folder)([own])[0].map  # (H, W, C) in 0..1
    assert np.abs(found - np.rint(wanted * 255)).max() <= 1  # in steps of a level
    assert command(["export", folder, "--int8", "--out", str(tmp_path / "no")]) == 2
    assert "makes images is not written in 8 bits" in capsys.readouterr().err
    assert command(["time", folder, "--batch", "1", "--engine", "eager", "--engine", "onnxruntime", "--json"]) == 0
    assert all(one["median_ms"] for one in json.loads(capsys.readouterr().out)["latencies"])
