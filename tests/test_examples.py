"""Every example runs, as a user would run it."""

import runpy
import sys
from pathlib import Path

import pytest

from striate.base import plugin
from striate.data.augment.own import OWN
from striate.model.zoo import ZOO
from striate.nn.blocks import BLOCKS
from striate.task import TASKS

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.fixture
def tables():
    """What an example adds is taken out again."""
    before = [(table, dict(table)) for table in (BLOCKS, ZOO, TASKS, OWN, plugin.LOADED)]
    yield
    for table, rows in before:
        table.clear()
        table.update(rows)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.usefixtures("tables")
def test_example_runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path), "--quick"])
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.strip()
