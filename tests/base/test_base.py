"""The ground: error lines, settings, atomic files, seeds, folders and locks."""

import errno
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from striate.base import files
from striate.base.choose import choose
from striate.base.errors import (
    CheckError,
    DataError,
    DivergedError,
    Interrupted,
    ModelError,
    ResourceError,
    SettingsError,
    UserError,
)
from striate.base.folder import kind_of, named_folder, new_folder
from striate.base.lock import locked
from striate.base.noun import NOUNS
from striate.base.progress import Progress
from striate.base.rundir import RunDir, StudyDir
from striate.base.seeds import rng_for, seed_for
from striate.base.settings import Settings, read_toml
from striate.base.tensors import read_tensors, write_tensors
from striate.base.text import duration, shown

LINE = re.compile(r"error: .+: .+ -- fix: .+")


class Inner(Settings):
    learning_rate: float = 0.1
    name: str = "a"


class Outer(Settings):
    inner: Inner = Inner()
    count: int = 3


@pytest.mark.parametrize(
    ("total", "units", "noun", "wanted"),
    [
        (1, (), "image", "1 image"),
        (2, (), "image", "2 images"),
        (1, (), "series", "1 series"),
        (1, (), "volume", "1 volume"),
        (1, ("batch", "batches"), "volume", "1 batch"),
        (2000, ("batch", "batches"), "image", "2,000 batches"),
    ],
)
def test_the_line_after_long_work_counts_one_and_many(total, units, noun, wanted, capsys, monkeypatch):
    monkeypatch.setattr("striate.base.progress.time", SimpleNamespace(monotonic=iter((0.0, 3.0)).__next__))
    progress = Progress("lines")
    progress.noun = NOUNS[noun]
    with progress.bar("work", total, *units):
        pass
    assert capsys.readouterr().err == f"work: {wanted} in {duration(3)}\n"


def test_quiet_leaves_out_progress_and_keeps_warnings(capsys):
    progress = Progress("quiet")
    progress.line("epoch 1")
    progress.warn("3 images are left out")
    assert capsys.readouterr().err == "warning: 3 images are left out\n"


def test_every_error_is_one_short_line_with_its_exit_code():
    codes = {SettingsError: 2, DataError: 3, ModelError: 4, ResourceError: 5, DivergedError: 6, CheckError: 7}
    for error, code in codes.items():
        problem = error("w" * 500, where="x" * 500, fix="f" * 500)
        assert problem.exit_code == code
        assert len(problem.line) <= 240
        assert LINE.fullmatch(problem.line)
    stop = Interrupted("stopped and saved", where="runs/a", fix="striate resume 'a b'", signal_number=15)
    assert stop.exit_code == 143 and stop.line == "Stopped and saved. Go on with: striate resume 'a b'"


def test_control_characters_and_markup_are_shown_not_obeyed():
    line = UserError("bad\x1b[31m", where="[/x]\n\u202e.png", fix="rename").line
    assert "\x1b" not in line
    assert "\n" not in line
    assert "[/x]" in line
    assert "\\u202e" in line
    assert shown("a" * 500, 50).count("a") == 47


def test_an_unknown_name_comes_with_the_nearest():
    with pytest.raises(SettingsError, match="did you mean 'cosine'"):
        choose("schedule", "cosin", {"cosine": 1, "step": 2})
    with pytest.raises(DataError, match="choose one of a, b"):
        choose("x", "zzzz", {"a": 1, "b": 2}, DataError)


def test_a_long_list_of_known_names_is_cut_between_names():
    known = [f"network_number_{number}" for number in range(30)]
    with pytest.raises(SettingsError) as caught:
        choose("network", "zzzz", dict.fromkeys(known))
    names, _, more = str(caught.value).partition("choose one of ")[2].partition(" and ")
    shown_names = names.split(", ")
    assert shown_names == known[: len(shown_names)]
    assert more == f"{30 - len(shown_names)} more"


def test_a_required_field_that_is_misspelt_is_told_by_the_spelling():
    class Needs(Settings):
        variant: int

    with pytest.raises(SettingsError, match=r"unknown setting: f.toml: variants -- fix: did you mean variant\?"):
        Needs.parse({"variants": 1}, "f.toml")
    with pytest.raises(SettingsError, match="Field required"):
        Needs.parse({}, "f.toml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inner": {"learing_rate": 1}}, "did you mean learning_rate"),
        ({"count": "many"}, "change count"),
        ({"inner": {"learning_rate": float("nan")}}, "finite"),
        ({"nothing": 1}, "known settings: inner, count"),
    ],
)
def test_wrong_settings_name_file_field_and_fix(values, message):
    with pytest.raises(SettingsError, match=message) as caught:
        Outer.parse(values, "r.toml")
    assert "r.toml: " in caught.value.line


def test_assignments_are_typed_and_leave_the_original_alone():
    start = Outer()
    changed = start.changed(["inner.learning_rate=1e-3", "count=5", "inner.name=010"])
    assert (changed.inner.learning_rate, changed.count, changed.inner.name) == (0.001, 5, "010")
    assert start == Outer()
    with pytest.raises(SettingsError, match="is not a setting"):
        start.changed(["count"])


def test_toml_errors_name_the_line(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text("a = 1\na = 2\n")
    with pytest.raises(SettingsError, match=r"r\.toml"):
        read_toml(path)


def test_json_is_strict_and_plain():
    text = files.to_json({"a": float("nan"), "b": np.float32(1.5), "c": np.arange(2), "d": [float("inf")]})
    assert json.loads(text) == {"a": None, "b": 1.5, "c": [0, 1], "d": [None]}


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
def test_a_write_that_fails_leaves_the_old_file_and_no_rest(tmp_path, step):
    path = tmp_path / "a.json"
    files.write_json(path, 1)

    def plan(at, where):
        if at == step:
            raise OSError(errno.ENOSPC, "No space left on device")

    with files.faults(plan), pytest.raises(ResourceError, match="bytes needed"):
        files.write_json(path, 2)
    assert json.loads(path.read_text()) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(("step", "new"), [("write", 0), ("fsync", 0), ("rename", 1)])
def test_many_files_are_whole_each_when_one_fails(tmp_path, step, new):
    paths = [tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg")]
    files.write_files(dict.fromkeys(paths, b"old"))

    def plan(at, path):
        if at == step and path == paths[1]:
            raise OSError(errno.ENOSPC, "No space left on device")

    with files.faults(plan), pytest.raises(ResourceError) as caught:
        files.write_files(dict.fromkeys(paths, b"new"))
    assert str(caught.value.where) == str(paths[1])
    assert [path.read_bytes() for path in paths] == [b"new"] * new + [b"old"] * (3 - new)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "b.jpg", "c.jpg"]


def test_a_half_written_history_line_is_left_out(tmp_path):
    run = RunDir(tmp_path)
    run.add_epoch({"epoch": 1})
    with (tmp_path / "history.jsonl").open("ab") as file:
        file.write(b'{"epoch": 2, "tr')
    assert run.history() == [{"epoch": 1}]


def test_streams_differ_by_every_key_and_repeat():
    seeds = {seed_for(0, "order", 1), seed_for(0, "order", 2), seed_for(1, "order", 1), seed_for(0, "augment", 1)}
    assert len(seeds) == 4
    assert (rng_for(3, "x").random(4) == rng_for(3, "x").random(4)).all()


def test_folders_are_numbered_and_never_overwritten(tmp_path):
    assert [new_folder(tmp_path, "a b/c").name for _ in range(2)] == ["001-a-b-c", "002-a-b-c"]
    used = tmp_path / "mine"
    used.mkdir()
    (used / "x").touch()
    with pytest.raises(SettingsError, match="not empty"):
        named_folder(used)
    with pytest.raises(ResourceError):
        named_folder(used / "x")


def test_one_lock_a_folder(tmp_path):
    with locked(tmp_path), pytest.raises(ResourceError, match="in use by pid"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_what_is_no_run_folder_or_newer_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no folder of a run, study or search"):
        kind_of(tmp_path)
    with pytest.raises(ModelError, match="not a run folder"):
        RunDir(tmp_path).info()
    (tmp_path / "study.json").write_text('{"schema": 99}')
    with pytest.raises(ModelError, match="newer Striate"):
        StudyDir(tmp_path).info()


def test_hostile_tensor_files_are_refused(tmp_path):
    import torch

    path = tmp_path / "w.safetensors"
    write_tensors(path, {"a": torch.arange(6.0).reshape(2, 3)})
    assert torch.equal(read_tensors(path)["a"], torch.arange(6.0).reshape(2, 3))
    good = path.read_bytes()
    header = (
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    )
    twice = len(header).to_bytes(8, "little") + header + bytes(4)
    for content in (good[:-3], (2**40).to_bytes(8, "little") + good[8:], twice, b"", b"PK\x03\x04" + good):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="not a readable safetensors file"):
            read_tensors(path)


def test_durations_read_well():
    assert [duration(value) for value in (0.04, 59.7, 61, 7200)] == ["0.0 s", "1 min 00 s", "1 min 01 s", "2 h 00 min"]


def test_a_study_in_place_of_a_run_is_told_where_its_runs_are(tmp_path):
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(ModelError, match="a study, not a run") as caught:
        RunDir(tmp_path).info()
    assert caught.value.fix == f"name one of its runs, in {tmp_path / 'runs'}"


def test_a_run_that_is_not_there_comes_with_the_nearest(tmp_path):
    for name in ("001-mlp", "020-resnet18-regularized", "002-resnet18-regularized-changed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    with pytest.raises(ModelError, match="no such run") as caught:
        RunDir(tmp_path / "002-resnet18-regularized").info()
    assert caught.value.fix == f"did you mean {tmp_path / '002-resnet18-regularized-changed'}?"
    with pytest.raises(ModelError, match="no such study"):
        StudyDir(tmp_path / "nowhere").info()
