"""What is exported answers like the run, in programs that know nothing of it; or it is not kept."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from alone import ALONE
from onnx import numpy_helper
from PIL import Image

from striate.base.errors import ModelError, SettingsError
from striate.export import bundle
from striate.export.bundle import SCRIPT, export
from striate.export.graph import Answering
from striate.export.onnx_file import Session, write_onnx
from striate.predict import Predictor
from striate.run.execute import train
from striate.run.recipe import named


@pytest.fixture
def made(request, tiny, quiet, tmp_path):
    """A run of the target that the test names, and its validation images as they are stored."""
    target, *changes = getattr(request, "param", ("label",))
    small = ("train.epochs=1", "model.width=4", "model.depth=1", "train.precision=float32", *changes)
    recipe = named("regularized").changed(list(small))
    run = train(tiny, "bipyramid", recipe, target=target, out=tmp_path / "run", progress=quiet)
    predictor = Predictor.load(run)
    return run, [predictor.fitted(tiny.images.read(int(index))) for index in tiny.splits["val"]]


def predicted(run, image):
    return Predictor.load(run)([image])[0]


@pytest.mark.parametrize("is_normalising", [False, True])
@pytest.mark.parametrize("made", [("label",), ("place",), ("tags",)], indirect=True, ids=lambda one: one[0])
def test_onnx_runtime_answers_like_the_run(made, is_normalising, tmp_path):
    run, stored = made
    found = export(run, stored, "onnx", tmp_path / "out", is_normalising=is_normalising)
    levels = np.stack(stored).transpose(0, 3, 1, 2).astype(np.float32)
    images = levels if is_normalising else Predictor.load(run).inputs(stored).numpy()
    session = Session(found.file)
    config = json.loads(session.metadata["striate"])
    names = list(Predictor.load(run).task.names)
    assert config["names"] == names == json.loads((found.folder / "config.json").read_text())["names"]
    for number in (1, len(stored)):  # any number of images
        values, *shares = session(np.ascontiguousarray(images[:number]))
        for image, value, row in zip(stored[:number], values, shares[0] if shares else values, strict=False):
            one = predicted(run, image)
            wanted = list(one.probabilities.values()) if one.probabilities else list(one.values)
            np.testing.assert_allclose(row if shares else value, wanted, atol=1e-4)


@pytest.mark.parametrize("made", [("label", "data.size=20", "data.fit=letterbox"), ("label",)], indirect=True)
def test_the_script_needs_neither_torch_nor_us(made, tmp_path):
    run, stored = made
    found = export(run, stored, "onnx", tmp_path / "out")
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 255, (31, 47, 3), np.uint8)).save(tmp_path / "own.png")
    files = [tmp_path / "own.png", *sorted((found.folder / "samples").glob("*.png"))]
    command = [sys.executable, "-c", ALONE, str(found.folder / SCRIPT), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(files) >= 4
    for path, line in zip(files, lines, strict=True):
        told = {cell.split()[0]: float(cell.split()[1]) for cell in line.split("\t")[1:]}
        wanted = predicted(run, path).probabilities
        assert told == pytest.approx(wanted, abs=2e-3)  # Pillow and torch round a resized pixel apart by at most 1
    for words, said in (([], "Usage: "), ([str(found.folder / "config.json")], "is no image")):
        done = subprocess.run([*command[:4], *words], capture_output=True, text=True, check=False)
        assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr


def test_what_answers_otherwise_is_refused_and_removed(made, tmp_path, monkeypatch):
    run, stored = made

    def spoiled(module, images, path, names, metadata):
        write_onnx(module, images, path, names, metadata)
        model = onnx.load(path)
        weight = next(one for one in model.graph.initializer if len(one.dims) == 4)
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 1.5, weight.name))
        onnx.save(model, path)

    monkeypatch.setattr(bundle, "write_onnx", spoiled)
    with pytest.raises(ModelError, match=r"answers otherwise than the run, first in row conv1; nothing was kept"):
        export(run, stored, "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists() and not [path for path in tmp_path.iterdir() if path.name != "run"]


def test_a_taken_folder_is_not_overwritten(made, tmp_path):
    run, stored = made
    (tmp_path / "out").mkdir()
    with pytest.raises(SettingsError, match="taken"):
        export(run, stored, "torch", tmp_path / "out")
    found = export(run, stored, "torch", tmp_path / "out", overwrite=True)
    program = torch.export.load(str(found.file)).module()
    images = Predictor.load(run).inputs(stored[:3])
    torch.testing.assert_close(program(images)[1], Answering.of(Predictor.load(run))(images)[1], atol=1e-5, rtol=1e-4)
