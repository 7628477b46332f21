"""One run in several processes on this machine: started here, watched, and ended together.

A run that is begun is gone on with by `python -m striate.run.launch FOLDER DEVICE ...` in each process, which find each
other as those of `torchrun` do. The first one shows progress. Each gives one answer on its standard output, and stops
resumably when its standard input is closed, which also happens when the process that started it dies.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import torch

import striate
from striate.base import plugin
from striate.base.answers import answer, to_problem
from striate.base.errors import Interrupted, LostError, ResourceError, SettingsError, Terminated, UserError
from striate.base.files import to_json
from striate.base.processes import Processes, join
from striate.base.progress import Progress
from striate.data.sample import Dataset

from .prepare import Prepared

MAX_PROCESSES = 64
POLL_S = 0.05
GRACE_S = 5.0  # for the others to notice that one has gone, and then to end when they are asked to
Child = subprocess.Popen[bytes]


def join_as(num: int) -> Processes:
    """Return the processes that this one is of: those of `torchrun`, else it is alone.

    Args:
        num: how many are to be started.

    Raises:
        SettingsError: it is one of several already, or no number that a machine can hold.
    """
    if not 1 <= num <= MAX_PROCESSES:
        raise SettingsError(f"{num} processes", where="processes", fix=f"give a number up to {MAX_PROCESSES}")
    found = join()
    if num > 1 and found.size not in {1, num}:
        raise SettingsError(f"torchrun has started {found.size} processes", where="processes", fix="leave it out")
    return found


def progress_of(processes: Processes, progress: Progress | None) -> Progress:
    """Return where this process shows its progress: one of several does."""
    return progress or Progress() if processes.is_first else Progress("quiet")


def refuse_processes(num: int, prepared: Prepared) -> None:
    """Refuse several processes where there is not enough to share.

    Raises:
        SettingsError: the message says why.
    """
    if num == 1:
        return
    if prepared.recipe.transfer.head == "only":
        what = "a linear probe on features is solved by one process"
        raise SettingsError(what, where="processes", fix="take one process, or the recipe frozen or finetune")
    images = min(prepared.batch_size, len(prepared.dataset.splits["train"]))
    if num > images:
        what = f"a batch of {images} images cannot be shared by {num} processes"
        raise SettingsError(what, where="processes", fix="take fewer processes, or a larger --batch-size")


def refuse_unsent(dataset: Dataset, model: Any) -> None:
    """Refuse data and networks that only this process has.

    Raises:
        SettingsError: they came from Python.
    """
    what = "data" if not dataset.where else "" if isinstance(model, str) or hasattr(model, "rows") else "network"
    if what:
        fix = "start the script with torchrun, which needs no processes=..."
        raise SettingsError(f"the {what} came from Python, other processes do not have it", where="processes", fix=fix)


def launch(
    folder: Path,
    num: int,
    *,
    device: str = "auto",
    where: str | None = None,
    epochs: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Go on with a run in `num` processes, and wait for their end.

    Args:
        where: of the data, if moved.
        epochs: how many it is to have, if more than it began with.

    Raises:
        UserError: what ended the training, see `execute.resume`.
    """
    mode = (progress or Progress()).mode
    options = {"device": device, "where": where, "epochs": epochs, "mode": "lines" if mode == "notebook" else mode}
    children = [_start(folder, options, rank, num, port) for port in [_free_port()] for rank in range(num)]
    stop: int | None = None
    try:
        answers = _watch(children)
    except KeyboardInterrupt as pressed:
        stop = getattr(pressed, "exit_code", 130) - 128
        answers = _stopped(children)
    finally:
        for child in children:
            with suppress(OSError):
                child.kill()
            _ask_to_stop(child)
            with child:
                child.wait()
    command = shlex.join(["striate", "resume", str(folder), *plugin.typed()])
    if problem := _problem(children, answers, folder, command, stop):
        raise problem


def _start(folder: Path, options: dict[str, Any], rank: int, num: int, port: int) -> Child:
    """Start one process, out of reach of the terminal's Ctrl-C."""
    places = [str(Path(striate.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    own: dict[str, Any] = {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    who = {"RANK": rank, "WORLD_SIZE": num, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": num}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "striate.run.launch", str(folder), json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            **plugin.environment(),
            **{name: str(value) for name, value in who.items()},
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // num)),
            "PYTHONPATH": os.pathsep.join(places),
        },
        start_new_session=True,
        **own,
    )


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _watch(children: Sequence[Child]) -> list[dict[str, Any] | None]:
    """Wait for the end of all; when one fails the others get a moment to notice, then are ended."""
    failed_s: float | None = None
    while any(child.poll() is None for child in children):
        now_s = time.monotonic()
        if failed_s is None and any(child.poll() for child in children):
            failed_s = now_s
        if failed_s is not None and now_s > failed_s + GRACE_S:
            return _stopped(children)
        time.sleep(POLL_S)
    return [_answer(child) for child in children]


def _stopped(children: Sequence[Child]) -> list[dict[str, Any] | None]:
    """Ask all to save and end, and wait for it; one more Ctrl-C waits no longer."""
    with suppress(KeyboardInterrupt):
        for child in children:
            _ask_to_stop(child)
        end_s = time.monotonic() + GRACE_S
        while any(child.poll() is None for child in children):
            if any(child.poll() for child in children) and time.monotonic() > end_s:
                break
            time.sleep(POLL_S)
    for child in children:
        child.kill()
        child.wait()
    return [_answer(child) for child in children]


def _ask_to_stop(child: Child) -> None:
    assert child.stdin is not None
    with suppress(OSError):
        child.stdin.close()


def _answer(child: Child) -> dict[str, Any] | None:
    """What a process that has ended says of it; None where it could not."""
    assert child.stdout is not None
    text = child.stdout.read()
    return json.loads(text.splitlines()[-1]) if text.strip() else None


def _problem(
    children: Sequence[Child],
    answers: Sequence[dict[str, Any] | None],
    folder: Path,
    command: str,
    stop: int | None = None,
) -> UserError | None:
    """What ended the training: what a process says rather than that another one has gone.

    Args:
        stop: the signal that this process got; the others are told by the end of their input.
    """
    if children[0].returncode == 0:
        return None
    said = [one for one in answers if one]
    known = next((one for one in said if one["kind"] != LostError.__name__), None)
    if stop is not None and (known is None or known["kind"] == Interrupted.__name__):
        what = known["what"] if known else "stopped at once; the last saved state is kept"
        return Interrupted(what, where=folder, fix=command, signal_number=stop)
    if known:
        return to_problem(known)
    gone = next(
        (rank for rank, (child, one) in enumerate(zip(children, answers, strict=True)) if child.returncode and not one),
        None,
    )
    code = 0 if gone is None else children[gone].returncode
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    what = f"process {gone} of {len(children)} {how}; the last saved state is kept"
    return ResourceError(what, where=folder, fix=command)


def _listen() -> None:
    """Let the training stop when the standard input is closed."""
    while os.read(0, 1024):
        pass
    signal.raise_signal(signal.SIGTERM)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def main() -> int:
    """Be one process of a run."""
    found = answer(_go_on, sys.argv[1])
    sys.stderr.flush()
    os.write(1, to_json(found).encode() + b"\n")
    return int(found.get("exit_code", 0))


def _go_on() -> None:
    """Go on with the run that the command line names, until the standard input is closed."""
    from .execute import resume

    try:
        signal.signal(signal.SIGTERM, _terminate)
        threading.Thread(target=_listen, daemon=True).start()
        plugin.load_all(())
        options = json.loads(sys.argv[2])
        resume(Path(sys.argv[1]), progress=Progress(options.pop("mode")), **options)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the answer is to be written


if __name__ == "__main__":
    os._exit(main())  # nothing is left to do, and torch takes a second to take leave of the other processes
