"""A row of the matrix, what came of it, and the totals."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .bench import Bench, Failed, Skipped


@dataclass(frozen=True)
class Row:
    """One fault: its id in the matrix, what it is, and the function that provokes it.

    The function raises `Failed` when a promise does not hold; it may return a figure worth showing. No command of it
    may take more than `max_cpu_s` of processor time or grow by more than `max_mb`. Slow rows run when they are named,
    or with --slow.
    """

    id: str
    what: str
    provoke: Callable[[Bench], str | None]
    max_cpu_s: float = 60.0
    max_mb: float = 1000.0
    is_slow: bool = False


@dataclass(frozen=True)
class Result:
    """What came of a row: `status` is "pass", "FAIL" or "skip"; `text` the figure or the reason."""

    row: Row
    status: str
    text: str
    time_s: float
    num_messages: int
    num_clear: int

    def __str__(self) -> str:
        text = f"  ({self.text})" if self.text else ""
        return f"{self.row.id:<4} {self.status:<4} {self.time_s:6.1f} s  {self.row.what}{text}"

    def to_json(self) -> dict[str, Any]:
        """Return the plain description."""
        return {
            "id": self.row.id,
            "what": self.row.what,
            "status": self.status,
            "text": self.text,
            "time_s": round(self.time_s, 2),
            "messages": self.num_messages,
            "clear_messages": self.num_clear,
        }


def carry_out(row: Row, folder: Path, *, is_debug: bool = False, is_kept: bool = False) -> Result:
    """Provoke a row in its own folder and return what came of it."""
    start_s, bench = time.monotonic(), Bench(folder, row.max_cpu_s, row.max_mb)
    try:
        status, text = "pass", row.provoke(bench) or ""
    except Skipped as reason:
        status, text = "skip", str(reason)
    except Failed as problem:
        status, text = "FAIL", " ".join(str(problem).split())
    except Exception as problem:  # the row itself is at fault, which must not pass for a pass
        status, text = "FAIL", f"{type(problem).__name__}: {problem}"
        if is_debug:
            traceback.print_exc()
    if not is_kept:
        bench.close()
    return Result(row, status, text, time.monotonic() - start_s, bench.num_messages, bench.num_clear)


def totals(results: list[Result]) -> dict[str, dict[str, Any]]:
    """Return rows, passed and skipped ones, messages and the share of clear ones by group (the id's letter)."""
    found: dict[str, dict[str, Any]] = {}
    for result in results:
        group = found.setdefault(
            result.row.id[0], dict.fromkeys(("rows", "passed", "skipped", "messages", "clear_messages"), 0)
        )
        group["rows"] += 1
        group["passed"] += result.status == "pass"
        group["skipped"] += result.status == "skip"
        group["messages"] += result.num_messages
        group["clear_messages"] += result.num_clear
    return found
