"""Files that go bad while they are read anew every epoch."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.api import train
from striate.base.errors import DataError
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.engine.update import Update
from striate.run.execute import resume
from striate.run.recipe import named

SETTINGS = ["train.epochs=2", "train.batch_size=8", "train.precision=float32", "model.width=2", "model.depth=1"]


def test_a_run_that_loses_too_many_saves_and_can_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STRIATE_CACHE_LIMIT", "0.0000001")
    for split, num in (("train", 16), ("val", 6)):
        for number in range(2 * num):
            folder = tmp_path / "data" / split / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng((num, number)).integers(0, 255, (12, 12, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    bad, call = tmp_path / "data" / "train" / "a" / "0.png", Update.__call__
    content = bad.read_bytes()

    def spoiling(self: Update, batch: object, at: int) -> object:
        if at == 2:
            bad.unlink(missing_ok=True)
        return call(self, batch, at)

    monkeypatch.setattr(Update, "__call__", spoiling)
    out, recipe = tmp_path / "run", named("baseline").changed(SETTINGS)
    with pytest.raises(DataError, match="striate resume") as caught:
        train(str(tmp_path / "data"), "bipyramid", recipe, out=out, progress=Progress("quiet"))
    assert "0.png" in str(caught.value) and "the state is saved" in caught.value.what
    assert RunDir(out).info()["status"] == "interrupted"
    step = max(int(path.name.partition("-")[2]) for path in RunDir(out).checkpoints.glob("step-*"))
    assert step >= 3  # not the state from before the first step, the only one that was due
    monkeypatch.setattr(Update, "__call__", call)
    bad.write_bytes(content)
    info = resume(out, progress=Progress("quiet")).info()
    assert info["status"] == "finished" and info["result"]["epochs"] == 2
