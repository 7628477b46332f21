"""Tables and lists fit a terminal of 40 columns; sentences wrap there by themselves."""

import pytest

from striate.cli.app import run


@pytest.mark.parametrize("words", [["recipes"], ["models"], ["analyze", "lenet5"]], ids=lambda words: words[0])
def test_a_table_fits_forty_columns(words, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    assert run(words) == 0
    lines = capsys.readouterr().out.splitlines()
    wide = [line for line in lines if len(line) > 40 and "  " in line.strip()]  # sentences are one line in a pipe
    assert not wide
    assert any("lenet5" in line or "regularized" in line for line in lines)
