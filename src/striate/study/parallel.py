"""Runs of a study as processes of their own, several at once, each with one thread.

For small pictures two runs with one thread each train 9 to 14 % more images than one run with two threads (two
cores, 28 to 64 px); beyond that one run uses the cores as well. A run's process is told to stop by closing its
standard input, which also happens when this process dies, so that no run is left behind.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import striate
from striate.base import errors
from striate.base.device import num_cpus
from striate.base.errors import Interrupted, ResourceError, SettingsError, UserError
from striate.base.progress import Progress
from striate.base.rundir import RunDir

SMALL_PX = 64  # pictures up to this size train faster two runs at once
LONG_S = 90.0  # a shorter run does not win back what starting its process costs
POLL_S = 0.05


@dataclass(frozen=True)
class Job:
    """One run of a study that is to be trained."""

    variant: str
    seed: int
    fold: int
    run: RunDir

    @property
    def is_begun(self) -> bool:
        """Whether the run's description is there; it holds the precision, which the variant's other runs take over."""
        return (self.run.path / "run.json").exists()


@dataclass
class Process:
    """A job at work: its lines go to `progress` under its name, its error is what it leaves on stdout."""

    job: Job
    progress: Progress
    child: "subprocess.Popen[bytes]"
    reader: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.child.stderr is not None
        for line in self.child.stderr:
            text = line.decode("utf-8", "replace").rstrip()
            if text:
                self.progress.line(f"[{self.job.run.path.name}] {text}")

    def ask_to_stop(self) -> None:
        """Let it save its state and end."""
        assert self.child.stdin is not None
        self.child.stdin.close()

    def problem(self) -> Exception | None:
        """Wait for its end, close what it was read from, and return why it failed, None when it did not."""
        assert self.child.stdout is not None
        with self.child:
            said, code = self.child.stdout.read(), self.child.wait()
            self.reader.join()
        if code == 0:
            return None
        if not said:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            return ResourceError(f"the process of the run {how}", where=self.job.run.path, fix="use --parallel 1")
        found = json.loads(said)
        if found["kind"] == "Interrupted":
            return Interrupted(found["what"], where=found["where"], fix=found["fix"])
        kind: type[UserError] = getattr(errors, found["kind"])
        return kind(found["what"], where=found["where"], fix=found["fix"], details=tuple(found["details"]))


def at_once(wanted: int | str, device: str, sizes_px: Sequence[int], times_s: Sequence[float]) -> int:
    """Return how many runs are trained at the same time; "auto" is 2 where that is faster, else 1.

    Args:
        sizes_px, times_s: of the runs' pictures, and what the runs are expected to take.

    Raises:
        SettingsError: it is neither "auto" nor a number of at least 1.

    Example:
        >>> at_once(3, "cpu", [224], [9]), at_once("auto", "cpu", [224], [600]), at_once("auto", "cpu", [32], [9])
        (3, 1, 1)
    """
    if wanted == "auto":
        is_small = max(sizes_px, default=0) <= SMALL_PX
        is_long = sum(times_s) >= LONG_S * len(times_s) > LONG_S
        return 2 if is_small and is_long and device == "cpu" and num_cpus() >= 2 else 1
    if not str(wanted).isdigit() or int(wanted) < 1:
        raise SettingsError(f"{wanted!r} runs at once", where="--parallel", fix="give auto or a number, such as 2")
    return int(wanted)


def carry_out(study: Path, jobs: Sequence[Job], num: int, *, device: str, progress: Progress) -> None:
    """Train runs, `num` at once. When one fails no more are begun, but those at work are finished.

    Raises:
        UserError: the first failure, after the others have ended.
        Interrupted: Ctrl-C or SIGTERM; every run at work has saved its state.
    """
    waiting, active, failure = list(jobs), list[Process](), None
    try:
        while active or (waiting and failure is None):
            while failure is None and len(active) < num and (job := _next(waiting, active)):
                waiting.remove(job)
                progress.line(f"run {len(jobs) - len(waiting)}/{len(jobs)}: {job.run.path.name}, one thread")
                active.append(Process(job, progress, _spawn(study, job, device)))
            for process in [process for process in active if process.child.poll() is not None]:
                active.remove(process)
                problem = process.problem()
                failure = failure or problem
            time.sleep(POLL_S)
    except KeyboardInterrupt as stop:
        _stop(active)
        number = int(getattr(stop, "exit_code", 130)) - 128
        what, fix = "stopped; the state of each run is saved", f"striate resume {study}"
        raise Interrupted(what, where=study, fix=fix, signal_number=number) from None
    finally:
        for process in active:
            process.child.kill()
            process.problem()
    if failure:
        raise failure


def _next(waiting: Sequence[Job], active: Sequence[Process]) -> Job | None:
    """The first job that may begin: of runs of one variant the first must have chosen the precision of all."""
    undecided = {process.job.variant for process in active if not process.job.is_begun}
    return next((job for job in waiting if job.variant not in undecided), None)


def _stop(active: Sequence[Process]) -> None:
    """Ask every run to save and end, and wait for it; one more Ctrl-C waits no longer."""
    with suppress(KeyboardInterrupt):
        for process in active:
            process.ask_to_stop()
        for process in active:
            process.child.wait()


def _spawn(study: Path, job: Job, device: str) -> "subprocess.Popen[bytes]":
    """Start a run's process, out of reach of the terminal's Ctrl-C, which this process passes on once."""
    words = [str(study), job.variant, str(job.seed), str(job.fold), device]
    places = [str(Path(striate.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    own: dict[str, Any] = {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "striate.study.worker", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(places), "PYTHONIOENCODING": "utf-8"},
        start_new_session=True,
        **own,
    )


def watch_stdin() -> None:
    """In a run's process: ask the training to stop when the standard input is closed."""
    while os.read(0, 1):  # sys.stdin has a lock, which a waiting thread would hold when the interpreter ends
        pass
    signal.raise_signal(signal.SIGTERM)
