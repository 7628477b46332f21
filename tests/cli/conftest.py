"""A finished run, and the line a mistake ends in."""

from collections.abc import Callable
from pathlib import Path

import pytest

from striate.cli.app import run

TOY = "toy:shapes?n=80&size=16"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder on the toy data."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    settings = ["--set", "train.epochs=1", "--set", "model.width=4", "--set", "train.precision=float32"]
    assert run(["train", TOY, *settings, "--threads", "1", "-q", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def last_line(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Return the last line of stderr."""
    return lambda: capsys.readouterr().err.strip().split("\n")[-1]
