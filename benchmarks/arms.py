"""Arms of a benchmark: each lives in its own process and answers words with JSON lines, so that arms take turns."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class Arm:
    """A worker process: `python SCRIPT ARGUMENTS...`, which says `ready` and then answers every line."""

    def __init__(self, name: str, python: str, script: str, arguments: list[str], threads: int) -> None:
        import os

        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), TF_CPP_MIN_LOG_LEVEL="3")
        self.name = name
        self.process = subprocess.Popen(
            [python, str(HERE / script), *arguments, "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.ready = self.read()

    def read(self) -> dict[str, Any]:
        """Return the next JSON line of the worker."""
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"{self.name} ended with {self.process.wait()}")

    def ask(self, word: str) -> dict[str, Any]:
        """Send one word and return the answer."""
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self) -> None:
        """End the worker."""
        self.process.stdin.close()
        self.process.wait()


def serve(ready: dict[str, Any], answer: Callable[[str], dict[str, Any]]) -> None:
    """Be a worker: say `ready`, then answer each line of stdin."""
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(line.strip())), flush=True)


def spread(values: list[float]) -> dict[str, float]:
    """Return median, least and greatest."""
    return {"median": round(statistics.median(values), 4), "min": round(min(values), 4), "max": round(max(values), 4)}


def take_turns(arms: list[Arm], repeats: int) -> dict[str, dict[str, Any]]:
    """Train one epoch an arm, then so many more in turns; return the times of each arm, the first arm's as the unit."""
    first = {arm.name: arm.ask("go")["time_s"] for arm in arms}
    times: dict[str, list[float]] = {arm.name: [] for arm in arms}
    for _ in range(repeats):
        for arm in arms:
            times[arm.name].append(arm.ask("go")["time_s"])
    ours = times[arms[0].name]
    return {
        arm.name: {
            "ready": arm.ready,
            "first_epoch_s": round(first[arm.name], 3),
            "epoch_s": spread(times[arm.name]),
            f"ratio_to_{arms[0].name}": spread([b / a for a, b in zip(ours, times[arm.name], strict=True)]),
        }
        for arm in arms
    }


def line(name: str, row: dict[str, Any], ratio: dict[str, float]) -> str:
    """Return the times of an arm as a line of a table."""
    epoch_s = row["epoch_s"]
    times = f"{epoch_s['median']:7.2f} s ({epoch_s['min']:.2f} to {epoch_s['max']:.2f})  {ratio['median']:5.2f}x"
    return f"{name:<16} first {row['first_epoch_s']:7.2f} s  then {times}"
