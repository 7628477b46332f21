"""Settings that train in a moment, a finished run, and the line a mistake ends in."""

from collections.abc import Callable
from pathlib import Path

import pytest

from striate.cli.app import run

TOY = "toy:shapes?n=80&size=16"


@pytest.fixture(scope="session")
def quick() -> list[str]:
    """What a command that trains is given to be done in a moment, alike everywhere, and silent."""
    settings = ("train.epochs=1", "train.precision=float32", "model.width=4")
    return [*(word for setting in settings for word in ("--set", setting)), "--threads", "1", "--quiet"]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, quick: list[str]) -> Path:
    """A run folder on the toy data."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert run(["train", TOY, *quick, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def last_line(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Return the last line of stderr."""
    return lambda: capsys.readouterr().err.strip().split("\n")[-1]
