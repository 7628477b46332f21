"""Every command explains itself, stands in the documentation, and starts quickly."""

import re
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from striate.cli.app import app, run

ROOT = Path(__file__).parents[2]
COMMANDS = get_command(app).commands
LARGE = {"train", "study", "search"}  # whose options are found by what they are of
START = "import sys; from striate.cli import main; main()"


def help_of(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert run([name, "-h"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does_and_every_option_what_it_is(name, capsys):
    text = help_of(name, capsys)
    assert text.startswith(f"Usage: striate {name}")
    assert len(text.split("\n\n")[1].strip()) > 30
    for parameter in COMMANDS[name].params:
        assert getattr(parameter, "help", ""), f"{name}: {parameter.name} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_of_the_command_and_the_help_fits_80_columns(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = help_of(name, capsys)
    examples = re.findall(r"^ +(striate .+)$", text, re.MULTILINE)
    assert any(f"{line} ".startswith(f"striate {name} ") for line in examples)
    assert all(len(line) <= 80 for line in text.split("\n"))
    assert not re.search(r"<\w|<=|\[required", text)  # the types and bounds of a program
    titles = re.findall(r"^(\w+):$", text, re.MULTILINE)
    assert name not in LARGE or titles == ["Arguments", "Data", "Model", "Training", "Output"]


def test_the_list_of_commands_has_a_whole_line_for_each(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["-h"]) == 0
    text = capsys.readouterr().out
    assert all(len(line) <= 80 for line in text.split("\n"))
    listed = re.findall(r"^  ([a-z-]+)  +(\S.+)$", text.split("Start:")[1], re.MULTILINE)
    assert {name for name, _ in listed} == set(COMMANDS) and "Other:" not in text
    assert not any(line.endswith("...") for _, line in listed)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_json_and_debug(name):
    flags = {flag for parameter in COMMANDS[name].params for flag in parameter.opts}
    assert {"--json", "--debug"} <= flags


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_stands_in_the_readme_and_in_the_documentation(name):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"`(striate )?{name}\b", readme), "README.md, Commands"
    documents = readme + "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    assert re.search(rf"\bstriate {name}\b|\bmake {name}\b", documents)


def test_what_the_documentation_types_exists():
    """Commands and options in README.md and docs/*.md are those of the program."""
    known = {
        name: {"--plugin"} | {flag for one in command.params for flag in one.opts} for name, command in COMMANDS.items()
    }
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for line in re.findall(r"\bstriate [a-z]+[^`#|\n]*", path.read_text(encoding="utf-8")):
            name, *words = line.removeprefix("striate ").split()
            if name in known:
                odd = {word.split("=")[0] for word in words if re.fullmatch(r"--[a-z][a-z-]+", word)} - known[name]
                assert not odd, f"{path.name}: {line}"


def test_the_bare_command_gives_help(capsys):
    assert run([]) == 0
    assert "Examples:" in (text := capsys.readouterr().out)
    assert all(re.search(rf"^ +{name}\b", text, re.MULTILINE) for name in COMMANDS)
    assert run(["--version"]) == 0
    assert re.fullmatch(r"striate \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_help_comes_at_once_and_without_torch():
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        done = subprocess.run([sys.executable, "-X", "importtime", "-c", START, "-h"], capture_output=True, check=False)
        times.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
        assert done.returncode == 0
        loaded = {line.rsplit(b"|", 1)[-1].strip() for line in done.stderr.split(b"\n")}
        assert b"typer" in loaded
        assert not loaded & {b"torch", b"numpy", b"PIL", b"pydantic", b"rich"}
    assert statistics.median(times) < 0.25, times


def test_the_package_runs_as_a_module():
    words = [sys.executable, "-m", "striate", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"striate \d+\.\d+\.\d+\n", done.stdout)
