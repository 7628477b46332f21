"""A run as a task of Ray: what is done in a process of the cluster.

Where the study's folder lies on a file system that this machine sees, the run is trained in it. Elsewhere it is trained
in a folder of this machine's cache, and its files go back: its resumable states while it trains, and all in the end.
"""

import _thread
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TextIO, cast

from striate.base import device as devices
from striate.base import plugin
from striate.base.answers import answer
from striate.base.errors import ResourceError, SettingsError, Terminated
from striate.base.files import write_bytes
from striate.base.lock import is_free
from striate.base.rundir import RunDir
from striate.data.cache import cached

from .files import contents, fill, newest_step
from .mailbox import Files

TELL_S = 0.5  # between two messages of a run
SHIP_S = 15.0  # at least between two states that are sent, as training saves them
LOCK_S = 60.0  # a driver that was killed has runs at work for half a minute longer
TOKEN = ".cluster"  # a file by which a study is known wherever its folder is seen


@dataclass(frozen=True)
class Study:
    """A study as its runs on other machines know it.

    Args:
        path: its folder on the machine that started it; `token` stands in a file of it.
        files: its documents, for machines that do not see the folder.
        here: the folder that names of files are relative to.
    """

    path: str
    token: str
    files: Files
    here: str
    plugins: tuple[str, ...]
    versions: dict[str, str]


@dataclass(frozen=True)
class Order:
    """One job of a study: `words` for its worker, the run's folder below the study's, and how far the study has it."""

    words: dict[str, Any]
    name: str
    step: int
    is_begun: bool
    threads: int
    device: str


_workers: dict[str, Any] = {}  # the last study's, so that its next run finds the data prepared


def carry_out(make: Any, study: Study, order: Order, mailbox: Any, state: list[Any]) -> dict[str, Any]:
    """Do a job here and return {"answer", "host", "files"}, or {"needs_state"} if its run began elsewhere.

    Args:
        make: a class of workers, made with (study folder, device, threads), whose `work` does a job.
        mailbox: the study's.
        state: references to the run's files as the study has them, if they were asked for.
    """
    import ray

    found: dict[str, Any] = {"host": host(), "node": ray.get_runtime_context().get_node_id(), "files": None}
    folder, is_shared = _folder_of(study)
    run = folder / order.name
    if not is_shared and _is_behind(run, order):
        if not state:
            return {**found, "needs_state": True}
        fill(run, ray.get(state[0]))
    reporter = Reporter(mailbox, order.name, None if is_shared else run)

    def work() -> None:
        with reporter, redirect_stderr(cast(TextIO, reporter)), _signals():
            _await_lock(run)
            _worker(make, study, folder, order).work(**order.words)

    found["answer"] = answer(work, run)
    if not is_shared and run.is_dir():
        found["files"] = contents(run)
    return found


def _is_behind(run: Path, order: Order) -> bool:
    """Whether the study has more of a run than this machine."""
    if not order.is_begun or _is_whole(run):
        return False
    return order.step > newest_step(run) or not (run / "run.json").exists()


def _is_whole(run: Path) -> bool:
    return (run / "run.json").exists() and RunDir(run).document().get("status") == "finished"


def host() -> str:
    """Return this machine's name."""
    return socket.gethostname()


def _folder_of(study: Study) -> tuple[Path, bool]:
    """The study's folder as this machine sees it, and whether it is the study's own."""
    own = Path(study.path)
    try:
        if (own / TOKEN).read_text(encoding="ascii") == study.token:
            return own, True
    except (OSError, ValueError):
        pass
    folder = cached("cluster", study.token)
    for name, content in study.files.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            write_bytes(path, content)
    return folder, False


def _worker(make: Any, study: Study, folder: Path, order: Order) -> Any:
    if study.token not in _workers:
        _begin(study)
        _workers.clear()
        _workers[study.token] = make(folder, order.device, order.threads)
    return _workers[study.token]


def _begin(study: Study) -> None:
    """Make this process one that has what the study's own process has: its folder, its versions, its plugins."""
    if Path(study.here).is_dir():
        os.chdir(study.here)
    own = devices.versions()
    if own["striate"] != study.versions["striate"]:
        what = f"Striate {own['striate']} is installed here, the study has {study.versions['striate']}"
        raise SettingsError(what, fix="install the same version on every machine")
    for name in sorted(own.keys() & study.versions.keys()):
        if own[name] != study.versions[name]:
            what = f"{name} {own[name]} on {host()}, {study.versions[name]} where the study began"
            sys.stderr.write(f"warning: {what}: results may differ in the last bits\n")
    plugin.load_all(study.plugins)


def _await_lock(run: Path) -> None:
    """Wait for a process that a killed study has left at work in the run's folder."""
    end = time.monotonic() + LOCK_S
    while not is_free(run):
        if time.monotonic() > end:
            raise ResourceError("another process is at work in the run's folder", where=run, fix="wait for its end")
        time.sleep(0.5)


@contextmanager
def _signals() -> Iterator[None]:
    """Let the word to stop raise where no training listens for it."""
    before = signal.signal(signal.SIGINT, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


class Reporter(threading.Thread):
    """Sends what a run writes to stderr to the study's mailbox, and its states if `run` is given; used as a block."""

    def __init__(self, mailbox: Any, name: str, run: Path | None) -> None:
        super().__init__(daemon=True)
        self.mailbox, self.name_of_run, self.run_path = mailbox, name, run
        self.rest, self.lines = "", list[str]()
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.sent = -2  # the step of the last state
        self.next_s = 0.0
        self.was_told = False

    def __enter__(self) -> "Reporter":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join()

    def write(self, text: str) -> int:
        """Take text as a stream does."""
        with self.lock:
            *lines, self.rest = (self.rest + text).split("\n")
            self.lines += [line.rstrip() for line in lines if line.strip()]
        return len(text)

    encoding = "utf-8"  # as a stream has it

    def flush(self) -> None:
        """Do nothing: lines go with the next message."""

    def run(self) -> None:
        """Send what there is until the run has ended."""
        while not self.ended.wait(TELL_S):
            self._tell()
        self._tell()

    def _tell(self) -> None:
        import ray

        with self.lock:
            lines, self.lines = self.lines, []
        try:
            is_stopping = ray.get(self.mailbox.tell.remote(self.name_of_run, lines, self._state()))
        except ray.exceptions.RayError:  # the mailbox is being moved to another machine
            with self.lock:
                self.lines[:0] = lines
            return
        if is_stopping and not self.was_told and not self.ended.is_set():
            self.was_told = True
            _thread.interrupt_main(signal.SIGINT)

    def _state(self) -> Files | None:
        """The run's files, where there is a newer state than the last that was sent."""
        if self.run_path is None or self.ended.is_set() or not (self.run_path / "run.json").exists():
            return None
        step = newest_step(self.run_path)
        if step <= self.sent or (step >= 0 and time.monotonic() < self.next_s):
            return None
        self.sent, self.next_s = step, time.monotonic() + SHIP_S
        try:
            return contents(self.run_path)
        except OSError:  # a file was replaced while it was read
            self.sent, self.next_s = -2, 0.0
            return None


def forget(token: str) -> None:
    """Remove what this machine keeps of a study whose folder it does not see."""
    shutil.rmtree(cached("cluster", token), ignore_errors=True)
