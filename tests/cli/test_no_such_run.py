"""A run that is not there ends every command in the same way: one line, code 4."""

import pytest
import typer

from striate.cli.app import app, run

COMMANDS = typer.main.get_command(app).commands
OF_RUNS = sorted(
    name
    for name, command in COMMANDS.items()
    if any(one.param_type_name == "argument" and "RUN" in (one.metavar or "") for one in command.params)
)
MORE = {"compare": ["other"], "predict": ["cat.png"], "explain": ["cat.png"], "evaluate": ["--adversarial"]}


def test_the_commands_of_runs_are_found() -> None:
    assert {"evaluate", "predict", "explain", "explore", "embed", "activations", "report", "resume"} <= {*OF_RUNS}


@pytest.mark.parametrize("where", ["nowhere", "runs/nowhere"])
@pytest.mark.parametrize("name", OF_RUNS)
def test_a_run_that_is_not_there_is_code_4(name: str, where: str, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([name, where, *MORE.get(name, [])]) == 4
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith(("error: no such ", "error: no folder of a run")) and where in line
    assert " -- fix: " in line and said.out == "" and not any(tmp_path.iterdir())


def test_a_network_that_is_misspelt_is_near_another_and_a_file_is_no_run(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["explore", "resent18"]) == 4
    assert "no such run or network: resent18 -- fix: did you mean 'resnet18'?" in capsys.readouterr().err
    (tmp_path / "note.txt").write_text("x")
    assert run(["explore", "note.txt"]) == 2
    assert "neither a run nor a blueprint: note.txt" in capsys.readouterr().err
