"""Runs of a study in processes of their own, several at once, each with one thread.

For small images two runs with one thread each train 9 to 14 % more images than one run with two threads (two
cores, 28 to 64 px; on another machine 30 % more); beyond that one run uses the cores as well. A process takes one job
after the other from its standard input, a line each, and is told to stop by closing it, which also happens when this
process dies, so that no run is left behind.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import striate
from striate.base import plugin
from striate.base.answers import to_problem
from striate.base.device import num_cpus
from striate.base.errors import ResourceError, SettingsError
from striate.base.progress import Progress

from .jobs import Job, next_job, stopped

SMALL_PX = 64  # images up to this size train faster two runs at once
LONG_S = 120.0  # a shorter study does not win back what starting the processes costs
POLL_S = 0.05
MAX_AT_ONCE = 128
REPLY = b"\x1e"  # begins the line on stderr that answers a job; a line of progress has no control characters


@dataclass
class Process:
    """A process and the job it is at: its lines go to `progress` under the job's name, its answers to `answers`."""

    child: "subprocess.Popen[bytes]"
    progress: Progress
    answers: "queue.SimpleQueue[tuple[Process, Any]]"
    job: Job | None = None

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.child.stderr is not None
        for line in self.child.stderr:
            text = line.decode("utf-8", "replace").rstrip()
            if line.startswith(REPLY):
                self.answers.put((self, json.loads(line[len(REPLY) :])))
            elif text and self.job is not None:
                self.progress.line(f"[{self.job.run.path.name}] {text}")
        self.answers.put((self, None))

    def give(self, job: Job) -> None:
        """Let it do a job; one that has died says so by the end of its stderr."""
        assert self.child.stdin is not None
        self.job = job
        with suppress(OSError):
            self.child.stdin.write(json.dumps(job.words).encode() + b"\n")
            self.child.stdin.flush()

    def ask_to_stop(self) -> None:
        """Let it save its state and end."""
        assert self.child.stdin is not None
        with suppress(OSError):
            self.child.stdin.close()

    def close(self) -> None:
        """Wait for its end and close its pipes."""
        with self.child:
            self.reader.join()

    def problem(self, answer: dict[str, Any] | None) -> Exception | None:
        """Return why its job failed, None when it did not; the job is over."""
        assert self.job is not None
        where, self.job = self.job.run.path, None
        if answer is None:
            code = self.child.wait()
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            return ResourceError(f"the process of the run {how}", where=where, fix="use --parallel 1")
        return to_problem(answer) if answer else None


def at_once(wanted: int | str, device: str, sizes_px: Sequence[int], times_s: Sequence[float]) -> int:
    """Return how many runs are trained at the same time; "auto" is 2 where that is faster, else 1.

    Args:
        sizes_px, times_s: of the runs' images, and what the runs are expected to take.

    Raises:
        SettingsError: it is neither "auto" nor a number of runs that a machine can hold.

    Example:
        >>> at_once(3, "cpu", [224], [9]), at_once("auto", "cpu", [224], [600]), at_once("auto", "cpu", [32], [9])
        (3, 1, 1)
    """
    if wanted == "auto":
        is_small = max(sizes_px, default=0) <= SMALL_PX
        is_long = sum(times_s) >= LONG_S and len(times_s) > 1
        return 2 if is_small and is_long and device == "cpu" and num_cpus() >= 2 else 1
    text = str(wanted)
    if not (text.isascii() and text.isdecimal() and len(text) <= 3 and 1 <= int(text) <= MAX_AT_ONCE):
        fix = f"give auto or a number up to {MAX_AT_ONCE}, such as 2"
        raise SettingsError(f"{wanted!r} runs at once", where="--parallel", fix=fix)
    return int(text)


class Pool:
    """Up to `num` processes that do the jobs of one study, started when they are needed; a block ends them."""

    def __init__(self, study: Path, num: int, *, device: str, progress: Progress) -> None:
        self.study, self.num, self.device, self.progress = study, num, device, progress
        self._processes: list[Process] = []
        self._answers: queue.SimpleQueue[tuple[Process, Any]] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if process.job is None:
                process.ask_to_stop()
            else:
                process.child.kill()
        for process in self._processes:
            process.close()

    def carry_out(self, jobs: Sequence[Job]) -> None:
        """Do jobs. When one fails no more are begun, but those at work are finished.

        Raises:
            UserError: the first failure, after the others have ended.
            Interrupted: Ctrl-C or SIGTERM; every run at work has saved its state.
        """
        waiting, failure = list(jobs), None
        try:
            while self._active or (waiting and failure is None):
                while failure is None and len(self._active) < self.num and (job := next_job(waiting, self._active)):
                    waiting.remove(job)
                    if job.task == "train":
                        number = len(jobs) - len(waiting)
                        self.progress.line(f"run {number}/{len(jobs)}: {job.run.path.name}, one thread")
                    self._idle().give(job)
                problem = self._wait()
                failure = failure or problem
        except KeyboardInterrupt as stop:
            self._stop()
            raise stopped(self.study, stop) from None
        if failure:
            raise failure

    @property
    def _active(self) -> list[Job]:
        return [process.job for process in self._processes if process.job is not None]

    def _idle(self) -> Process:
        """A process without a job, a new one if there is none."""
        idle = [process for process in self._processes if process.job is None]
        if not idle:
            idle = [Process(_spawn(self.study, self.device), self.progress, self._answers)]
            self._processes += idle
        return idle[0]

    def _wait(self) -> Exception | None:
        """Wait a moment for an answer, and return why a job failed."""
        try:
            process, answer = self._answers.get(timeout=POLL_S)
        except queue.Empty:
            return None
        if answer is None:
            self._processes.remove(process)
            process.close()
        return process.problem(answer) if process.job is not None else None

    def _stop(self) -> None:
        """Ask every process to save and end, and wait for it; one more Ctrl-C waits no longer."""
        with suppress(KeyboardInterrupt):
            for process in self._processes:
                process.ask_to_stop()
            for process in self._processes:
                process.child.wait()


def _spawn(study: Path, device: str) -> "subprocess.Popen[bytes]":
    """Start a process, out of reach of the terminal's Ctrl-C, which this process passes on once."""
    places = [str(Path(striate.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    own: dict[str, Any] = {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "striate.studies.worker", str(study), device],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={
            **os.environ,
            **plugin.environment(),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(places),
            "PYTHONIOENCODING": "utf-8",
        },
        start_new_session=True,
        **own,
    )
