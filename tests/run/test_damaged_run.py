"""What became of a run's files since they were written: a flipped byte is named, a change made on purpose has a way."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from striate import api
from striate.base import files
from striate.base.errors import DamagedError, ModelError
from striate.base.rundir import RunDir
from striate.predict import Predictor
from striate.report import report_run
from striate.run.evaluate import calibrate_run
from striate.run.execute import resume, train
from striate.run.recipe import named
from striate.studies.execute import resume_study, study
from striate.studies.plan import Variant


@pytest.fixture
def quick(recipe):
    return recipe.changed(["train.epochs=1", "train.ema=0", "model.depth=1"])


def flip(path: Path, place: int = -2) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_every_file_that_is_read_again_is_held_against_its_checksum(tiny, quick, quiet, tmp_path):
    run = train(tiny, "bipyramid", quick, out=tmp_path / "run", progress=quiet)
    picture = next(run.pictures.glob("*.jpg"))
    wanted = {"run.json", "split.json", "history.jsonl", "scores.json", "predictions.csv", "weights.safetensors"}
    listed = {line.split("  ")[1] for line in (run.path / "SHA256SUMS").read_text().splitlines()}
    assert wanted | {"pictures/index.json", f"pictures/{picture.name}"} <= listed
    reads = {
        "run.json": lambda found: found.info(),
        "split.json": lambda found: found.splits(),
        "history.jsonl": report_run,
        "scores.json": report_run,
        "predictions.csv": report_run,
        "pictures/index.json": report_run,
        "weights.safetensors": Predictor.load,
    }
    for name, read in reads.items():
        copy = RunDir(shutil.copytree(run.path, tmp_path / "copy"))
        flip(copy.path / name)
        with pytest.raises(DamagedError, match=f"{re.escape(name)} does not match its checksum"):
            read(copy)
        shutil.rmtree(copy.path)
    copy = RunDir(shutil.copytree(run.path, tmp_path / "edited"))
    text = (copy.path / "run.json").read_text().replace('"name": "bipyramid', '"name": "mine')
    (copy.path / "run.json").write_text(text)
    with pytest.raises(DamagedError, match=r"run\.json") as caught:
        copy.info()
    assert "delete SHA256SUMS" in caught.value.fix
    (copy.path / "SHA256SUMS").unlink()
    resume(copy.path, progress=quiet)
    assert copy.info()["name"].startswith("mine")
    assert copy.is_sealed


def test_a_calibration_is_held_against_its_checksum_too(tiny, quick, quiet, tmp_path, monkeypatch):
    run = train(tiny, "bipyramid", quick, out=tmp_path / "run", progress=quiet)
    monkeypatch.setattr("striate.run.evaluate.reopen", lambda *_, **__: tiny)
    monkeypatch.setattr("striate.run.evaluate.fit_temperature", lambda *_: 2.0)
    calibrate_run(run.path, progress=quiet)
    Predictor.load(run)
    path = run.path / "calibration.json"
    path.write_text(path.read_text().replace('"temperature": ', '"temperature": 1'))
    with pytest.raises(DamagedError, match=r"calibration\.json"):
        Predictor.load(run)


def test_a_study_is_sealed_when_it_ends_and_so_are_its_runs(tiny, quick, quiet, tmp_path):
    variants = [Variant("a", "bipyramid", quick, "custom")]
    found = study([tiny], variants, seeds=1, out=tmp_path / "study", progress=quiet)
    run = found.run("a", 0)
    assert "test" in run.scores()
    assert run.is_sealed
    for name, read in (("study.json", found.info), ("verdict.json", found.verdict)):
        keep = (found.path / name).read_bytes()
        flip(found.path / name)
        with pytest.raises(DamagedError, match=name):
            read()
        (found.path / name).write_bytes(keep)
    (run.path / "SHA256SUMS").unlink()  # as a kill between scores and checksums leaves it
    study([tiny], variants, seeds=1, out=found.path, progress=quiet)
    assert run.is_sealed
    flip(run.predictions)
    with pytest.raises(DamagedError, match=r"predictions\.csv"):
        study([tiny], variants, seeds=1, out=found.path, progress=quiet)
    (found.path / "split.json").write_text("[]")
    (found.path / "SHA256SUMS").unlink(missing_ok=True)
    info = found.info()
    found.save_info({**info, "dataset": {**info["dataset"], "where": "toy:shapes"}})
    with pytest.raises(ModelError, match="0 folds"):
        resume_study(found.path, progress=quiet)


def stopped(data, recipe, quiet, out):
    """Return a run stopped in its third epoch."""
    from striate.run.training import Training

    record = Training.record

    def stopping(self, row):
        record(self, row)
        if row["epoch"] == 2:
            os.kill(os.getpid(), 2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "record", stopping)
        with pytest.raises(BaseException, match="stopped and saved"):
            train(data, "bipyramid", recipe, out=out, progress=quiet)
    return RunDir(out)


@pytest.mark.parametrize(
    ("field", "value"),
    [("seed", 7), ("precision", {"name": "bfloat16"}), ("batch_size", 8), ("num_epochs", 2), ("is_test_open", False)],
)
def test_what_decides_a_run_is_compared_when_it_goes_on(tiny, recipe, quiet, tmp_path, field, value):
    run = stopped(tiny, recipe, quiet, tmp_path / "run")
    run.save_info({**run.info(), field: value})
    with pytest.raises(ModelError, match=f"{field} changed since the run began") as caught:
        resume(run.path, dataset=tiny, progress=quiet)
    assert "--fork" in caught.value.fix


def test_a_history_of_another_run_is_refused_and_one_without_checkpoints_begins_anew(
    tiny, recipe, quiet, tmp_path, capsys
):
    run = stopped(tiny, recipe, quiet, tmp_path / "run")
    path = run.path / "history.jsonl"
    keep = path.read_text()
    assert len(run.history()) == 2
    path.write_text(keep.replace('"loss": 1', '"loss": 0') if '"loss": 1' in keep else keep.replace(".", ".0", 1))
    with pytest.raises(ModelError, match=r"history\.jsonl is not what it was"):
        resume(run.path, dataset=tiny, progress=quiet)
    path.write_text(keep)
    shutil.rmtree(run.checkpoints)
    resume(run.path, dataset=tiny, progress=quiet)
    assert [row["epoch"] for row in run.history()] == [1, 2, 3, 4]
    assert "no checkpoint is left of 2 epochs" in capsys.readouterr().err


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
@pytest.mark.parametrize("name", ["split.json", "run.json"])
def test_a_run_killed_before_it_began_begins_anew_with_the_same_command(tiny, quick, quiet, tmp_path, step, name):
    """A child process ends without any clean-up, as with SIGKILL, before a chosen step of a chosen file."""
    child = os.fork()
    if not child:
        with files.faults(lambda at, path: os._exit(9) if (at, path.name) == (step, name) else None):
            train(tiny, "bipyramid", quick, out=tmp_path / "run", progress=quiet)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert not (tmp_path / "run" / "run.json").exists()
    with pytest.raises(ModelError, match="stopped before it began"):
        api.resume(tmp_path / "run")
    if (step, name) in {("rename", "run.json"), ("write", "split.json")}:
        run = train(tiny, "bipyramid", quick, out=tmp_path / "run", progress=quiet)
        assert run.info()["status"] == "finished"
        assert not list(run.path.rglob("*.tmp"))


def test_runs_of_earlier_versions_have_no_checksums_and_open(tmp_path):
    kept = shutil.copytree(Path(__file__).parent / "kept" / "schema-1", tmp_path / "old")
    run = RunDir(kept)
    assert not run.is_sealed
    assert run.info()["status"] == "finished"
    assert np.isfinite(list(Predictor.load(run)([kept / "picture.png"])[0].probabilities.values())).all()
    assert named("baseline")
    assert json.loads((kept / "run.json").read_text())["schema"] == 1
