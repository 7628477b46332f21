"""The fault matrix: quick rows by default, all of them with `-m slow` (or `make faults`).

Left to the whole matrix for their price, since tests hold the same promise: D8 tests/run/test_odd_batches.py, E2
test_skipped_steps.py, E3 test_undefined_scores.py, H4 tests/transfer/test_kept_head.py.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "faults.py"
QUICK = (
    *("A10", "A12", "A14", "A16", "A18", "A19"),
    *("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8c", "B8r", "B9", "B9b", "B9m", "B10", "B11", "B11b"),
    *("B12", "B12c", "B13", "C4", "D1", "D6", "D7", "D9", "E1", "E4", "G2", "G3", "H7", "H8"),
)


def rows_of(folder: Path, *words: str) -> list[dict[str, Any]]:
    """Run the tool with a cache of its own and return its rows."""
    environment = os.environ | {"STRIATE_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, str(TOOL), *words, "--json"],
        stdout=subprocess.PIPE,
        env=environment,
        cwd=folder,
        check=False,
    )
    return json.loads(done.stdout)["rows"]


def failures(rows: list[dict[str, Any]]) -> list[str]:
    return [f"{row['id']}: {row['text']}" for row in rows if row["status"] == "FAIL"]


@pytest.fixture(scope="module")
def quick_rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return rows_of(tmp_path_factory.mktemp("rows"), "--only", ",".join(QUICK))


@pytest.mark.parametrize("name", QUICK)  # a test a row: files with many tests are begun early by xdist
def test_a_quick_row_holds(quick_rows: list[dict[str, Any]], name: str) -> None:
    rows = [row for row in quick_rows if row["id"] == name]
    assert rows
    assert not failures(rows)


@pytest.mark.slow
def test_every_row_holds(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    assert len(rows) >= 60
    assert not failures(rows)
