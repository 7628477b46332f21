"""Synthetic run and study folders for the report's tests; report_runs.py and report_studies.py make them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_runs import write_run
from report_studies import write_study


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives a fresh copy of a finished folder: label, tags, angle, values or study."""
    root, made = tmp_path_factory.mktemp("folders"), {}
    makers: dict[str, Callable[[Path], Any]] = {
        "label": write_run,
        "tags": lambda path: write_run(path, "tags"),
        "angle": lambda path: write_run(path, "value", names=("angle",), unit="deg"),
        "values": lambda path: write_run(path, "value", names=("x", "y"), unit="mm"),
        "study": lambda path: write_study(path, num_pictures=25, num_images=200),
    }

    def copy(kind: str) -> Path:
        if kind not in made:
            made[kind] = root / kind
            makers[kind](made[kind])
        target = tmp_path_factory.mktemp(kind) / "copy"
        shutil.copytree(made[kind], target)
        return target

    return copy
