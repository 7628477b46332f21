"""The fault matrix: quick rows by default, all of them with `-m slow` (or `make faults`)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "faults.py"


def failures(tmp_path: Path, *words: str) -> tuple[int, list[str]]:
    """Run the tool with a cache of its own; return how many rows there were, and those that do not hold."""
    environment = os.environ | {"STRIATE_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, str(TOOL), *words, "--json"],
        stdout=subprocess.PIPE,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    rows = json.loads(done.stdout)["rows"]
    return len(rows), [f"{row['id']}: {row['text']}" for row in rows if row["status"] == "FAIL"]


def test_quick_rows_hold(tmp_path: Path) -> None:
    count, failed = failures(tmp_path, "--only", "A10,A12,A14,A16,A18,A19,B,C4,D,E1,E2,E3,E4,G2,G3,H4,H7,H8")
    assert count >= 20
    assert not failed


@pytest.mark.slow
def test_every_row_holds(tmp_path: Path) -> None:
    count, failed = failures(tmp_path)
    assert count >= 60
    assert not failed
