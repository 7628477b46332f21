"""A file in 8 bits is judged on validation images, paired with the float one; a worse one is not kept."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from striate.api import Run
from striate.base.errors import ModelError, SettingsError
from striate.export import bundle
from striate.export.onnx_file import Session
from striate.export.quantise import quantise
from striate.predict import Predictor
from striate.run import images as run_images
from striate.run.execute import train
from striate.run.recipe import named


@pytest.fixture
def run(tiny, quiet, tmp_path, monkeypatch):
    """A run that knows its classes; its dataset is in memory and is handed in where a folder would be opened."""
    changes = [
        "train.epochs=15",
        "train.lr=0.01",
        "train.precision=float32",
        "model.width=8",
        "model.depth=2",
        "train.batch_size=16",
    ]
    recipe = named("baseline").changed(changes)
    folder = train(tiny, "bipyramid", recipe, target="label", out=tmp_path / "run", progress=quiet)
    predictor = Predictor.load(folder)

    def stored(_, most=32, *, split=None, **__):
        return [predictor.fitted(tiny.images.read(int(index))) for index in tiny.splits[split or "val"][:most]]

    monkeypatch.setattr(run_images, "stored_images", stored)
    return Run(folder)


@pytest.fixture
def batches(run, tiny, monkeypatch):
    from striate.data.sample import Batch

    predictor = Predictor.load(run.folder)

    def all_of(*_, **__):
        chosen = tiny.splits["val"]
        pixels = predictor.inputs([predictor.fitted(tiny.images.read(int(index))) for index in chosen])
        import torch

        labels = torch.from_numpy(tiny.targets["label"].values[chosen])
        for start in range(0, len(chosen), 5):
            part = slice(start, start + 5)
            yield Batch(pixels[part], {"label": labels[part]}, chosen[part])

    monkeypatch.setattr(run_images, "validation_batches", all_of)
    return all_of


@pytest.mark.parametrize("is_normalising", [False, True])
def test_both_scores_are_those_of_the_files(run, batches, tmp_path, is_normalising):
    found = run.export(int8=True, is_normalising=is_normalising, out=tmp_path / "out")
    told = found.eight_bits
    scale = Predictor.load(run.folder)
    right = {"model.onnx": [], bundle.INT8: []}
    for batch in batches():
        images = batch.images.contiguous().numpy()
        if is_normalising:
            images = (images * np.array(scale.std).reshape(-1, 1, 1) + np.array(scale.mean).reshape(-1, 1, 1)) * 255
        for name, rows in right.items():
            shares = Session(found.folder / name)(images.astype(np.float32))[1]
            rows += (shares.argmax(1) == batch.targets["label"].numpy()).tolist()
    before, after = (np.mean(rows) for rows in right.values())
    assert (told.before, told.after, told.num_images) == (pytest.approx(before), pytest.approx(after), 18)
    assert told.difference.mean == pytest.approx(after - before)
    assert told.agreement >= 0.8 and before > 0.6
    types = {one.op_type for one in onnx.load(found.folder / bundle.INT8).graph.node}
    assert "QuantizeLinear" in types and (found.folder / bundle.INT8).stat().st_size < found.file.stat().st_size


def test_a_worse_one_is_refused_unless_it_is_accepted(run, batches, tmp_path, monkeypatch):
    def spoiled(path, out, images):
        choice = quantise(path, out, images)
        model = onnx.load(out)
        for one in model.graph.initializer:
            if one.name.endswith("_scale"):
                one.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one) * 40, one.name))
        onnx.save(model, out)
        return choice

    monkeypatch.setattr(bundle, "quantise", spoiled)
    with pytest.raises(ModelError, match="8 bits are worse; nothing was kept") as problem:
        run.export(int8=True, out=tmp_path / "out")
    assert "in 8 bits" in problem.value.details[0] and not (tmp_path / "out").exists()
    found = run.export(int8=True, accept=True, out=tmp_path / "out")
    assert found.eight_bits.is_worse and (tmp_path / "out" / bundle.INT8).exists()


def test_a_program_has_no_8_bits(run, batches, tmp_path):
    with pytest.raises(SettingsError, match="8 bits are for ONNX files"):
        run.export("torch", int8=True, out=tmp_path / "out")
