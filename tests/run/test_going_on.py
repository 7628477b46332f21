"""Going on with a run when its data or settings are not where or what they were; and what is said before one begins."""

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from striate import api
from striate.base import files
from striate.base.errors import DataError, Interrupted, ModelError, ResourceError, SettingsError
from striate.base.rundir import RunDir
from striate.base.tensors import read_tensors
from striate.data import open_dataset
from striate.engine.update import Update
from striate.run.execute import resume, train
from striate.run.prepare import restore_or_fork


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(48):
        picture = rng.integers(0, 120, (16, 16, 3), dtype=np.uint8)
        picture[8 * (index % 2) : 8 * (index % 2) + 8] += 100
        save(picture, tmp_path / "data" / "ab"[index % 2] / f"{index:02d}.png")
    return tmp_path / "data"


def save(picture, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


@pytest.fixture
def stopped(folder, recipe, quiet, tmp_path, monkeypatch):
    """A run stopped in its second epoch."""
    call = Update.__call__

    def stopping(self, batch, at):
        if at == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return call(self, batch, at)

    with monkeypatch.context() as patch:
        patch.setattr(Update, "__call__", stopping)
        with pytest.raises(Interrupted):
            train(open_dataset(folder), "bipyramid", recipe, out=tmp_path / "run", progress=quiet)
    return tmp_path / "run"


def test_moved_data_are_named_and_found_again(stopped, folder, recipe, quiet, tmp_path):
    whole = train(open_dataset(folder), "bipyramid", recipe, out=tmp_path / "whole", progress=quiet)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="data are gone") as caught:
        resume(stopped, progress=quiet)
    assert "--data" in caught.value.fix
    run = resume(stopped, where=str(tmp_path / "elsewhere"), progress=quiet)
    first, second = read_tensors(whole.weights), read_tensors(run.weights)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert run.info()["dataset"]["where"] == str(tmp_path / "elsewhere")


def test_what_makes_other_bits_is_warned_of_and_kept(stopped, quiet, capsys):
    torch.set_num_threads(2)
    try:
        run = resume(stopped, progress=quiet)
    finally:
        torch.set_num_threads(1)
    (note,) = run.info()["notes"]
    end = "but not bit-identical to an uninterrupted run: threads was 1, is 2"
    assert note.startswith("resumed at step ")
    assert note.endswith(end)
    assert capsys.readouterr().err == f"warning: {note}\n"


def test_on_the_same_machine_nothing_is_warned_of(stopped, quiet, capsys):
    assert resume(stopped, progress=quiet).info()["notes"] == []
    assert capsys.readouterr().err == ""


def test_a_picture_that_is_gone_is_a_changed_dataset(stopped, folder, quiet):
    name = RunDir(stopped).splits()["train"][0]
    (folder / name).unlink()
    with pytest.raises(ModelError, match="dataset changed since the run began: 1 image gone") as caught:
        resume(stopped, progress=quiet)
    assert name in caught.value.what
    assert "--fork" in caught.value.fix
    assert restore_or_fork(Path("runs/my run")).endswith("`striate resume 'runs/my run' --fork`")


def test_a_fork_takes_settings_and_data_as_they_are_now(stopped, folder, quiet, tmp_path):
    (folder / RunDir(stopped).splits()["train"][0]).unlink()
    rng = np.random.default_rng(1)
    for index in range(24):
        save(rng.integers(0, 250, (16, 16, 3), dtype=np.uint8), folder / "c" / f"{index:02d}.png")
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    with pytest.raises(ModelError):
        api.resume(stopped, progress=quiet)
    new = api.fork(stopped, out=tmp_path / "new", progress=quiet)
    info, old = new.info(), RunDir(stopped).info()
    assert info["task"]["names"] == ["a", "b", "c"]
    assert (info["recipe"], info["recipe_name"], info["seed"]) == (old["recipe"], old["recipe_name"], old["seed"])
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("name", ["run.json", "state.json"])
def test_a_run_stopped_before_its_first_checkpoint_starts_from_the_beginning(
    tiny, recipe, quiet, tmp_path, monkeypatch, name
):
    whole = train(tiny, "bipyramid", recipe, out=tmp_path / "whole", progress=quiet)
    seen = []

    def plan(step, path):
        if step == "rename" and path.name == name:
            seen.append(path)
            if len(seen) == (2 if name == "run.json" else 1):
                raise KeyboardInterrupt

    with files.faults(plan), pytest.raises(Interrupted, match="stopped at once") as caught:
        train(tiny, "bipyramid", recipe, out=tmp_path / "run", progress=quiet)
    assert caught.value.exit_code == 130
    assert caught.value.fix == f"striate resume {tmp_path / 'run'}"
    run = resume(tmp_path / "run", dataset=tiny, progress=quiet)
    first, second = read_tensors(whole.weights), read_tensors(run.weights)
    assert all(np.array_equal(first[key], second[key]) for key in first)
    assert whole.scores() == run.scores()


def test_resume_leaves_nothing_in_a_folder_that_is_no_run(tmp_path, quiet):
    with pytest.raises(ModelError, match="not a run folder"):
        resume(tmp_path, progress=quiet)
    assert not list(tmp_path.iterdir())


def test_no_folder_is_begun_without_room_for_checkpoints(tiny, recipe, quiet, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 5000, 5000))
    with pytest.raises(ResourceError, match="checkpoints of a run need"):
        train(tiny, "bipyramid", recipe, out=tmp_path / "run", progress=quiet)
    assert not (tmp_path / "run").exists()


def test_pictures_too_small_for_a_network_are_data_a_size_too_small_is_a_setting(tiny, recipe, quiet, tmp_path):
    recipe = recipe.changed(["model.width=1"])
    with pytest.raises(DataError, match="images of 16 px are too small for lenet5") as caught:
        train(tiny, "lenet5", recipe, out=tmp_path / "run", progress=quiet)
    assert "at least 32x32" in caught.value.fix
    with pytest.raises(SettingsError) as caught:
        train(tiny, "lenet5", recipe.changed(["data.size=24"]), out=tmp_path / "run", progress=quiet)
    assert "at least 32x32" in caught.value.fix


def test_what_the_look_at_the_data_found_is_said_and_kept(folder, recipe, quiet, tmp_path, capsys):
    frames = [Image.fromarray(np.full((16, 16, 3), level, np.uint8)) for level in (10, 90, 200)]
    frames[0].save(folder / "a" / "film.gif", save_all=True, append_images=frames[1:])
    run = api.train_run(open_dataset(folder), "bipyramid", recipe.changed(["train.epochs=1"]), out=tmp_path / "run")
    said = [line for line in capsys.readouterr().err.split("\n") if line.startswith("warning: ")]
    kept = run.info()["dataset"]["findings"]
    assert [f"warning: {item['text']}" for item in kept] == said
    film = next(item for item in kept if item["kind"] == "frames")
    assert (film["severity"], film["count"]) == ("warning", 1)
    assert "film.gif" in film["text"]
    assert "film.gif" in run.report.read_text()
    assert json.loads((run.path / "run.json").read_text())["status"] == "finished"
