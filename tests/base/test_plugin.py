"""A user's file is loaded from any place of the command line and from the environment; its errors are one line."""

import hashlib
import shlex

import pytest

from striate.base import plugin
from striate.base.errors import Interrupted, SettingsError
from striate.base.rundir import RunDir, resumable
from striate.cli.app import run
from striate.nn.blocks import BLOCKS

ADDS_A_BLOCK = """
from torch import nn
from striate.nn.blocks import BLOCKS

BLOCKS["{name}"] = lambda c_in: nn.Identity()
"""


@pytest.fixture(autouse=True)
def tables():
    """The tables as they were."""
    blocks, loaded = dict(BLOCKS), dict(plugin.LOADED)
    yield
    for table, before in ((BLOCKS, blocks), (plugin.LOADED, loaded)):
        table.clear()
        table.update(before)


def write(folder, text, name="mine.py"):
    file = folder / name
    file.write_text(text)
    return file


def test_what_a_plugin_adds_is_there_and_its_digest_is_known(tmp_path):
    file = write(tmp_path, ADDS_A_BLOCK.format(name="same"))
    plugin.load(file)
    assert "same" in BLOCKS
    expected = {"file": "mine.py", "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    assert plugin.described() == [expected]
    assert plugin.changes([expected]) == []
    write(tmp_path, "# other\n")
    plugin.load(file)
    assert plugin.changes([expected]) == ["the plugin mine.py changed"]
    assert plugin.changes([{"file": "gone.py", "sha256": ""}]) == ["the plugin gone.py is not loaded, as it was"]


@pytest.mark.parametrize("place", ["before", "behind", "joined", "environment"])
def test_a_command_loads_it(tmp_path, monkeypatch, capsys, place):
    file = str(write(tmp_path, ADDS_A_BLOCK.format(name=f"from_{place}")))
    words = {
        "before": ["--plugin", file, "models"],
        "behind": ["models", "--plugin", file],
        "joined": ["models", f"--plugin={file}"],
        "environment": ["models"],
    }
    if place == "environment":
        monkeypatch.setenv("STRIATE_PLUGINS", file)
    assert run(words[place]) == 0
    assert f"from_{place}" in BLOCKS
    assert plugin.environment()["STRIATE_PLUGINS"].endswith("mine.py")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = 1\nraise ValueError('no\\nluck')\n", "the plugin fails: ValueError: no luck: {file}:2"),
        ("x = (\n", "the plugin fails: SyntaxError: "),
        ("import nothing_such\n", "the plugin fails: ModuleNotFoundError: No module named 'nothing_such': {file}:1"),
    ],
)
def test_one_that_fails_is_one_line_with_its_place(tmp_path, capsys, text, line):
    file = write(tmp_path, text)
    assert run(["models", "--plugin", str(file)]) == 2
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0
    assert line.format(file=file) in said
    assert "fix: mend the file" in said


def test_what_is_no_plugin_is_refused(tmp_path, capsys):
    with pytest.raises(SettingsError, match="no such plugin"):
        plugin.load(tmp_path / "none.py")
    with pytest.raises(SettingsError, match="a plugin is a Python file"):
        plugin.load(write(tmp_path, "", "mine.txt"))
    assert run(["models", "--plugin"]) == 2
    assert "--plugin has no file" in capsys.readouterr().err


def test_the_command_that_goes_on_loads_what_was_loaded(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    folder = RunDir(tmp_path / "run")
    folder.save_info({"status": "running"})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "away").mkdir()
    for place in ("mine.py", "set.py", "away/other.py"):
        (tmp_path / place).write_text("")
        plugin.load(place)
    monkeypatch.setenv("STRIATE_PLUGINS", "set.py")  # which loads it the next time too
    monkeypatch.chdir(tmp_path / "away")
    with pytest.raises(Interrupted) as stopped, resumable(folder, str):
        raise KeyboardInterrupt
    wanted = ["striate", "resume", str(tmp_path / "run"), "--plugin", str(tmp_path / "mine.py"), "--plugin"]
    assert shlex.split(stopped.value.fix)[:6] == wanted
    monkeypatch.chdir(tmp_path)
    assert plugin.typed() == ["--plugin", "mine.py", "--plugin", "away/other.py"]
