"""A run that was interrupted under an older version goes on under this one, and ends as if it had never stopped."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from seam import stop_after

from striate.base.errors import Interrupted
from striate.base.sums import seal
from striate.base.tensors import read_tensors
from striate.data import open_dataset
from striate.run.execute import resume, train


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for index in range(48):
        image = rng.integers(0, 120, (20, 16, 3), dtype=np.uint8)
        image[8 * (index % 2) : 8 * (index % 2) + 8] += 100
        path = tmp_path / "data" / "ab"[index % 2] / f"{index:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return tmp_path / "data"


def before_rectangles(document: dict[str, Any]) -> dict[str, Any]:
    """What run.json, or `fixed` of a checkpoint, said before there were rectangles, bands and depths.

    Written from the difference between two runs of the same data, one of the version then, one of this.
    """
    older = json.loads(json.dumps(document))
    given = older["input"]
    assert given["size_hw"] == [given["size_px"]] * 2
    older["input"] = {name: given[name] for name in ("size_px", "fit", "margin", "channels", "mean", "std")}
    for name, group in (("data", "depth"), ("model", "encoder")):
        older["recipe"][name].pop(group)
    for name in ("criterion", "gamma"):
        older["task"].pop(name, None)
    if "dataset" in older:
        older["dataset"].pop("target")
        older["resolved"]["data"].pop("depth")
    return older


def make_older(run: Path) -> int:
    """Rewrite a run's documents; return how many checkpoints there are."""
    info = run / "run.json"
    info.write_text(json.dumps(before_rectangles(json.loads(info.read_text()))))
    states = sorted(run.glob("checkpoints/step-*/state.json"))
    for path in states:
        state = json.loads(path.read_text())
        path.write_text(json.dumps(state | {"fixed": before_rectangles(state["fixed"])}))
        seal(path.parent, sorted(member.name for member in path.parent.glob("*.*")))
    return len(states)


def test_a_run_begun_before_rectangles_ends_as_if_it_had_never_stopped(folder, recipe, quiet, tmp_path, monkeypatch):
    whole = train(open_dataset(folder), "mlp", recipe, out=tmp_path / "whole", progress=quiet)
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(Interrupted):
            train(open_dataset(folder), "mlp", recipe, out=tmp_path / "run", progress=quiet)
    assert make_older(tmp_path / "run") > 0
    run = resume(tmp_path / "run", progress=quiet)
    expected, weights = read_tensors(whole.weights), read_tensors(run.weights)
    assert expected.keys() == weights.keys()
    assert all(np.array_equal(expected[name], weights[name]) for name in expected)
    assert run.scores() == whole.scores()
    assert (run.path / "predictions.csv").read_bytes() == (whole.path / "predictions.csv").read_bytes()
    assert "size_hw" not in run.info()["input"], "the run was of the older form to its end"
