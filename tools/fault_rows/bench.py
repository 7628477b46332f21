"""Runs one command line in a process of its own and holds it to what every row promises.

Commands run in forked children of this process, which has everything imported and has computed nothing: real
processes with their own session, signals, limits and exit codes, at a tenth of the price of a fresh interpreter.
What must see a fresh one (terminals, locales, closed pipes) uses `fresh`.
"""

import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ERROR = r"error: (?P<what>.+?)(?:: (?P<where>.+))? -- fix: (?P<fix>.+)"
LINE = re.compile(rf"{ERROR}|Stopped.+(?:Go on with: striate resume .+|run the same command again)")
MAX_LINE_CHARS = 240
TIMEOUT_S = 300.0  # of a command that hangs; a loaded machine is slow


class Failed(Exception):
    """A row's promise does not hold."""


class Skipped(Exception):
    """The row cannot be provoked on this machine."""


def expect(is_so: object, what: str) -> None:
    """Raise `Failed` with `what` unless `is_so`."""
    if not is_so:
        raise Failed(what)


@dataclass(frozen=True)
class Outcome:
    """What a finished process left: exit code (128 + N after signal N), output, time and memory of it alone."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str
    cpu_s: float
    peak_mb: float

    @property
    def last(self) -> str:
        """The last line on stderr."""
        lines = self.err.strip().split("\n")
        return lines[-1] if lines else ""


class Running:
    """A command on its way."""

    def __init__(
        self, argv: Sequence[str], folder: Path, pid: int, start_mb: float, max_cpu_s: float, max_mb: float
    ) -> None:
        self.argv, self.folder, self.pid, self.start_mb = tuple(argv), folder, pid, start_mb
        self.max_cpu_s, self.max_mb = max_cpu_s, max_mb
        self._deadline = time.monotonic() + TIMEOUT_S

    def send(self, number: int) -> None:
        """Send a signal to the whole process group, as a terminal does."""
        os.killpg(self.pid, number)

    def until(self, is_so: Callable[[], object], what: str) -> None:
        """Wait until something holds; the process must not end before."""
        while not is_so():
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                raise Failed(f"ended before {what}: {self._text('err')[-300:]}")
            expect(time.monotonic() < self._deadline, f"never came to {what}")
            time.sleep(0.01)

    def wait(self) -> Outcome:
        """Return the outcome; a process beyond the time limit is killed and the row fails."""
        while True:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > self._deadline:
                os.killpg(self.pid, signal.SIGKILL)
                os.wait4(self.pid, 0)
                raise Failed(f"{' '.join(self.argv)[:80]} hangs")
            time.sleep(0.005)
        patience_s = time.monotonic() + 2  # who was killed with it may not be reaped yet
        while _group_is_alive(self.pid) and time.monotonic() < patience_s:
            time.sleep(0.01)
        expect(not _group_is_alive(self.pid), "a child process outlived the command")
        code = os.waitstatus_to_exitcode(status)
        scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
        peak_mb = usage.ru_maxrss / scale - self.start_mb
        cpu_s = usage.ru_utime + usage.ru_stime
        short = " ".join(self.argv)[:60]
        expect(
            cpu_s <= self.max_cpu_s, f"{short} takes {cpu_s:.1f} s of processor time, {self.max_cpu_s:g} are allowed"
        )
        expect(peak_mb <= self.max_mb, f"{short} grows by {peak_mb:.0f} MB, {self.max_mb:g} are allowed")
        return Outcome(
            self.argv, code if code >= 0 else 128 - code, self._text("out"), self._text("err"), cpu_s, peak_mb
        )

    def _text(self, name: str) -> str:
        path = self.folder / name
        return path.read_bytes().decode("utf-8", "replace") if path.exists() else ""  # killed before it opened them


class Bench:
    """What a row works on: an empty folder, commands run in it, and the promises all commands are held to."""

    def __init__(self, folder: Path, max_cpu_s: float, max_mb: float) -> None:
        self.folder, self.max_cpu_s, self.max_mb = folder, max_cpu_s, max_mb
        self.num_messages = self.num_clear = 0
        self._logs = folder.with_name(f"{folder.name}.logs")
        folder.mkdir(parents=True)
        self._logs.mkdir()

    def close(self) -> None:
        """Remove the folder."""
        for path in (self.folder, self._logs):
            for inner, _, _ in os.walk(path):
                Path(inner).chmod(0o755)
            shutil.rmtree(path)

    def start(
        self,
        *argv: object,
        before: Callable[[], object] | None = None,
        env: dict[str, str] | None = None,
        limits: dict[int, int] | None = None,
        is_verbatim: bool = False,
    ) -> Running:
        """Start a command in a child process; without words nothing follows `before`, which goes through Python.

        Args:
            before: called in the child before the command: injected faults, dropped rights.
            env: environment variables on top of ours.
            limits: resource limits (RLIMIT_...) of the child.
            is_verbatim: pass the words as they are; else a setting takes the place of an earlier one of its name.
        """
        words = [str(word) for word in argv] if is_verbatim else _once([str(word) for word in argv])
        sys.stdout.flush()
        start_mb = _resident_mb()
        folder = self._logs / f"{len(list(self._logs.iterdir())):03d}"
        folder.mkdir()
        pid = os.fork()
        if pid:
            while os.getpgid(pid) != pid:  # until it has a session of its own, no signal would reach it
                time.sleep(0.001)
            return Running(words, folder, pid, start_mb, self.max_cpu_s, self.max_mb)
        code = 70
        try:
            _enter(self.folder, folder, env or {}, limits or {})
            if before is not None:
                before()
            code = _main(words) if words else 0
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(Exception):
                sys.stderr.flush()
            os._exit(code)

    def striate(self, *argv: object, may_change: Sequence[str] = (), **options: object) -> Outcome:
        """Run a command to its end; every file that was there stays as it was, no temporary file is left.

        Args:
            may_change: files or folders, relative to the bench's, that this command may change.
        """
        before = dict(_hashes(self.folder))
        outcome = self.start(*argv, **options).wait()  # type: ignore[arg-type]
        self.check_files(before, may_change)
        expect("Traceback" not in outcome.err, f"a traceback: {outcome.last[:200]}")
        return outcome

    def check_files(self, before: dict[str, str], may_change: Sequence[str] = ()) -> None:
        """Fail when a file that was there is another now, or a temporary one is left."""
        after = dict(_hashes(self.folder))
        changed = [name for name in before if after.get(name) != before[name]]
        changed = [name for name in changed if not name.endswith("/.lock")]  # it names its last holder
        lost = [name for name in changed if not any(name == one or name.startswith(f"{one}/") for one in may_change)]
        expect(not lost, f"changed or lost: {', '.join(lost[:3])}")
        left = [name for name in after if name.endswith(".tmp") or ".tmp/" in name]
        expect(not left, f"left behind: {', '.join(left[:3])}")

    def hashes(self) -> dict[str, str]:
        """Return a hash of every file in the folder, by its relative name."""
        return dict(_hashes(self.folder))

    def works(self, *argv: object, **options: object) -> Outcome:
        """Run a command that must succeed."""
        outcome = self.striate(*argv, **options)  # type: ignore[arg-type]
        expect(outcome.code == 0, f"exit {outcome.code}, not 0: {outcome.last[:240]}")
        return outcome

    def refuses(self, code: int, *argv: object, names: Sequence[str] = (), **options: object) -> Outcome:
        """Run a command that must end with this exit code and one clear line that holds all of `names`."""
        outcome = self.striate(*argv, **options)  # type: ignore[arg-type]
        self.is_clear(outcome, code, names)
        return outcome

    def is_clear(self, outcome: Outcome, code: int, names: Sequence[str] = ()) -> None:
        """Fail unless the outcome has this exit code and its last line says what, where and the fix."""
        self.num_messages += 1
        line = outcome.last
        expect(outcome.code == code, f"exit {outcome.code}, not {code}: {line[:240]}")
        expect("Traceback" not in outcome.err, "a traceback")
        expect(LINE.fullmatch(line), f"not an error line: {line[:240]!r}")
        expect(len(line) <= MAX_LINE_CHARS, f"{len(line)} characters: {line!r}")
        for name in names:
            expect(name in line, f"does not name {name!r}: {line}")
        self.num_clear += 1

    def fresh(
        self, *argv: object, env: dict[str, str] | None = None, code: str = "", **options: object
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run the installed command (or `code`) in a fresh interpreter with an environment of its own."""
        program = code or "from striate.cli import main; main()"
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            [sys.executable, "-c", program, *map(str, argv)],
            cwd=self.folder,
            env={**os.environ, **(env or {})},
            timeout=TIMEOUT_S,
            check=False,
            **options,
        )


def drop_rights() -> None:
    """Take from this process the right of root to read and write what permissions forbid."""
    if os.geteuid() != 0:
        return
    import ctypes

    libc, bypass = ctypes.CDLL(None, use_errno=True), 0b111  # CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    if libc.capget(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    data[0] &= ~bypass
    data[1] &= ~bypass
    if libc.capset(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _once(words: list[str]) -> list[str]:
    """Return the words with the last `--set NAME=VALUE` of each name only: rows change settings they share."""
    pairs = [place for place, word in enumerate(words[:-1]) if word == "--set"]
    last = {words[place + 1].partition("=")[0]: place for place in pairs}
    dropped = {at for place in set(pairs) - set(last.values()) for at in (place, place + 1)}
    return [word for place, word in enumerate(words) if place not in dropped]


def _enter(folder: Path, logs: Path, env: dict[str, str], limits: dict[int, int]) -> None:
    os.setsid()
    files = [os.open(os.devnull, os.O_RDONLY)]
    files += [os.open(logs / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644) for name in ("out", "err")]
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.update(env)
    for name, limit in limits.items():
        resource.setrlimit(name, (limit, limit))


def _main(words: list[str]) -> int:
    from striate.cli import main

    sys.argv = ["striate", *words]
    try:
        main()
        return 0
    except SystemExit as end:
        sys.stdout.flush()
        return int(end.code or 0)
    except KeyboardInterrupt:
        traceback.print_exc()
        return 128 + signal.SIGINT


def _hashes(folder: Path) -> Iterator[tuple[str, str]]:
    for inner, _, names in os.walk(folder):
        for name in names:
            path = Path(inner) / name
            key = str(path.relative_to(folder))
            if path.is_symlink() or not path.is_file():
                yield key, "special"
                continue
            try:
                yield key, hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as problem:
                yield key, type(problem).__name__


def _group_is_alive(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _resident_mb() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    except OSError:
        return 0.0
