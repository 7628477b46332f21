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
