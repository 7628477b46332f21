"""striate clean: shows first, removes on request, and only what nothing needs."""

import json
from pathlib import Path

import pytest

from striate.base.rundir import RunDir
from striate.cli.app import run

SMALL = ["--set", "train.epochs=1", "--set", "model.width=4", "--set", "model.depth=1", "--size", "16", "-q"]


def test_finished_runs_keep_their_best_weights_only_and_clean_frees_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    data = "toy:shapes?n=90&size=24"
    assert run(["train", data, *SMALL, "--out", "runs/plain"]) == 0
    assert run(["train", data, *SMALL, "--out", "runs/kept", "--keep-checkpoints"]) == 0
    kept, old = RunDir("runs/kept"), RunDir("runs/old")
    assert not RunDir("runs/plain").checkpoints.exists() and any(kept.checkpoints.glob("step-*"))
    assert run(["predict", "runs/plain", "nowhere.png"]) == 3  # the image is missing, not the weights
    (tmp_path / "runs" / "old").mkdir()
    for path in kept.path.rglob("*"):
        target = old.path / path.relative_to(kept.path)
        target.mkdir() if path.is_dir() else target.write_bytes(path.read_bytes())
    info = old.info()
    del info["keep_checkpoints"]  # as an older version left it
    old.save_info(info)
    capsys.readouterr()
    assert run(["clean", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["num"]["checkpoints of finished runs"] == 1 and any(old.checkpoints.glob("step-*"))
    assert not shown["removed"] and (tmp_path / "cache" / "stores").exists()
    assert run(["clean", "--yes", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["num"] == shown["num"] and done["num_bytes"] == shown["num_bytes"] and done["removed"]
    assert not old.checkpoints.exists() and any(kept.checkpoints.glob("step-*"))
    assert not any((tmp_path / "cache" / "stores").iterdir()) and old.weights.exists()
    assert run(["clean", "nowhere"]) == 4
