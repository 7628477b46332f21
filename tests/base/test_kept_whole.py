"""What a signal, a full disk, a second process or an older format must not spoil."""

import json
from typing import Any

import pytest

from striate.base import files
from striate.base.errors import ModelError, ResourceError, SettingsError
from striate.base.folder import named_folder
from striate.base.lock import locked
from striate.base.rundir import RunDir
from striate.base.settings import Settings, read_toml, value_of
from striate.run.recipe import named


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
def test_ctrl_c_in_a_write_leaves_the_old_file_and_no_rest(tmp_path, step):
    path = tmp_path / "a.json"
    files.write_text(path, "old")

    def plan(name, _):
        if name == step:
            raise KeyboardInterrupt

    with files.faults(plan), pytest.raises(KeyboardInterrupt):
        files.write_text(path, "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "old"


def test_too_little_room_is_said_before_work_begins(tmp_path):
    files.require_room(tmp_path / "not" / "yet", 1000, "two files")
    with pytest.raises(ResourceError, match="two files need 1,000,000,000,000,000,000 bytes"):
        files.require_room(tmp_path / "not" / "yet", 10**18, "two files")
    assert not (tmp_path / "not").exists()


def test_a_folder_in_use_is_not_moved_aside(tmp_path):
    folder = named_folder(tmp_path / "run")
    (folder / "run.json").write_text("{}")
    with locked(folder), pytest.raises(ResourceError, match="in use by pid"):
        named_folder(folder, overwrite=True)
    assert (folder / "run.json").exists()
    named_folder(folder, overwrite=True)
    assert (tmp_path / "run.old1" / "run.json").exists()


def test_what_a_run_leaves_that_never_began_is_in_nobodys_way(tmp_path):
    folder = named_folder(tmp_path / "run")
    with locked(folder):
        (folder / "split.json").write_text("{}")
    assert named_folder(folder) == folder
    (folder / "run.json").write_text("{}")
    with pytest.raises(SettingsError, match="not empty"):
        named_folder(folder)


def test_a_lock_that_cannot_be_taken_says_why(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot be written"), locked(tmp_path / "file"):
        pass


@pytest.mark.parametrize("schema", [0, -1, None, "1"])
def test_a_format_that_never_was_is_not_half_read(tmp_path, schema):
    (tmp_path / "run.json").write_text(json.dumps({"schema": schema, "kind": "run"}))
    with pytest.raises(ModelError, match="not a run description"):
        RunDir(tmp_path).info()


def test_true_is_no_number():
    class Some(Settings):
        count: int | None = None
        is_on: bool = False

    assert Some.parse({"is_on": True}).is_on
    for values in ({"count": True}, {"count": False}):
        with pytest.raises(SettingsError, match="integer"):
            Some.parse(values)


def test_brackets_without_end_are_text_or_an_error(tmp_path):
    deep: Any = "[" * 100_000
    assert value_of(deep) == deep
    (tmp_path / "deep.toml").write_text(f"x = {deep}")
    with pytest.raises(SettingsError, match="not TOML"):
        read_toml(tmp_path / "deep.toml")


def test_a_setting_is_known_by_its_long_name_too():
    for spelling in ("learning_rate", "learing_rate"):
        with pytest.raises(SettingsError) as caught:
            named("baseline").changed([f"train.{spelling}=0.1"])
        assert caught.value.fix == "did you mean lr?"
