"""F1 to F4: kills, full disks, forbidden folders and damaged files around a checkpoint."""

import errno
import os
import resource
import shutil
import signal
import time
from pathlib import Path

import numpy as np

from .bench import Bench, drop_rights, expect
from .runs import LONG, at_write, begin, count_writes, expect_equal, save_always, stop_at
from .sheet import Row

NUM_KILLS, NUM_RANDOM, NUM_RESUMED = 14, 6, 4
NUM_FULL = 10


def kill_while_saving(bench: Bench) -> str:
    """Kill -9 before chosen writes of the checkpoints, and at random moments of a run that does little but save."""
    from striate.engine import checkpoint

    rng = np.random.default_rng(0)
    bench.works(*begin(bench))
    total = count_writes(bench, "checkpoints")
    whole = bench.folder / "run"
    first = total // 5  # by then the first of five states is whole
    for number, place in enumerate(np.linspace(first, total - 1, NUM_KILLS).astype(int)):
        out = f"kill{number}"
        killed = bench.start(*begin(bench, out), before=at_write(_kill_at(place), "checkpoints", is_saving_always=True))
        expect(killed.wait().code == 128 + signal.SIGKILL, "the kill did not come")
        state = checkpoint.load(bench.folder / out / "checkpoints")
        expect(state.document["step"] >= _announced(bench.folder / out), "a whole state was passed over")
        if number % (NUM_KILLS // NUM_RESUMED) == 0:
            bench.works("resume", out, "-q", may_change=[out])
            expect_equal(whole, bench.folder / out)
        shutil.rmtree(bench.folder / out)
    for number in range(NUM_RANDOM):
        out = f"random{number}"
        running = bench.start(*begin(bench, out), *LONG, before=save_always)
        running.until((bench.folder / out / "checkpoints" / "latest").exists, "the first checkpoint")
        time.sleep(float(rng.uniform(0.05, 0.4)))
        running.send(signal.SIGKILL)
        running.wait()
        state = checkpoint.load(bench.folder / out / "checkpoints")
        expect(state.document["step"] >= _announced(bench.folder / out), "a whole state was passed over")
    return f"{NUM_KILLS + NUM_RANDOM} kill points, 0 unreadable; resumed to the same bits"


def _kill_at(place: int) -> object:
    return lambda count: os.kill(os.getpid(), signal.SIGKILL) if count == place else None


def _announced(run: Path) -> int:
    """The step that the pointer file names: its state was whole before the pointer was written."""
    return int((run / "checkpoints" / "latest").read_text().strip().removeprefix("step-"))


def full_disk(bench: Bench) -> str:
    from striate.engine import checkpoint

    bench.works(*begin(bench))
    total = count_writes(bench)
    for number, place in enumerate(np.linspace(1, total - 1, NUM_FULL).astype(int)):
        out = f"full{number}"
        cache = {"STRIATE_CACHE": str(bench.folder / f"cache{number}")} if number == 0 else {}
        before = at_write(_full_from(place), is_saving_always=True)
        outcome = bench.refuses(5, *begin(bench, out), names=["No space left"], before=before, env=cache)
        expect(number == 0 or "needed" in outcome.last or out in outcome.last, f"names nothing: {outcome.last}")
        if number == NUM_FULL // 2:
            checkpoint.load(bench.folder / out / "checkpoints")
            bench.works("resume", out, "-q", may_change=[out])
            expect_equal(bench.folder / "run", bench.folder / out)
    one = at_write(_full_once(count_writes(bench, "checkpoints") // 2), "checkpoints", is_saving_always=True)
    bench.works(*begin(bench, "once"), before=one)
    grown = max((bench.folder / "run" / "checkpoints").glob("*/state.safetensors"))  # with the optimiser's moments
    limit = grown.stat().st_size - 100
    bench.refuses(5, *begin(bench, "limited"), names=["bytes needed"], limits={resource.RLIMIT_FSIZE: limit})
    checkpoint.load(bench.folder / "limited" / "checkpoints")
    bench.works("resume", "limited", "-q", may_change=["limited"])
    expect_equal(bench.folder / "run", bench.folder / "limited")
    return f"{NUM_FULL} of {total} writes failed in turn; the old state is intact each time"


def _full_from(place: int) -> object:
    def act(count: int) -> None:
        if count >= place:
            raise OSError(errno.ENOSPC, "No space left on device")

    return act


def _full_once(place: int) -> object:
    def act(count: int) -> None:
        if count == place:
            raise OSError(errno.ENOSPC, "No space left on device")

    return act


def forbidden_folder(bench: Bench) -> None:
    begin(bench)
    (bench.folder / "locked").mkdir()
    (bench.folder / "locked").chmod(0o555)
    (bench.folder / "file").write_text("mine\n")
    for out in ("locked", "locked/new", "file", "file/new"):
        words = begin(bench, out)
        outcome = bench.refuses(5, *words, names=[out], before=drop_rights)
        expect("epoch" not in outcome.err, "training began before the folder was looked at")
    little = lambda: setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9999, 9000, 999))  # noqa: E731
    outcome = bench.refuses(5, *begin(bench, "run"), names=["checkpoints", "999 are free"], before=little)
    expect(not (bench.folder / "run").exists(), "a run folder was begun")
    bench.works(*begin(bench, "run"))
    for path in (bench.folder / "run", bench.folder / "run" / "checkpoints"):
        path.chmod(0o555)
    bench.refuses(5, "report", "run", names=["report.html"], before=drop_rights)
    bench.refuses(5, "resume", "run", names=["run"], before=drop_rights)
    (bench.folder / "run").chmod(0o755)


def damaged_state(bench: Bench) -> str:
    whole = bench.folder / "run"
    bench.works(*begin(bench), before=save_always)
    bench.refuses(130, *begin(bench, "stopped"), before=_both(save_always, stop_at(14)))
    members = ("weights.safetensors", "state.safetensors", "state.json", "best.safetensors")
    damages = [(name, how) for name in members for how in ("flip", "cut", "missing")]
    for number, (name, how) in enumerate(damages):
        out = f"copy{number}"
        shutil.copytree(bench.folder / "stopped", bench.folder / out)
        newest = max((bench.folder / out / "checkpoints").glob("step-*"))
        _damage(newest / name, how)
        if number % 4:
            from striate.engine import checkpoint

            problem = checkpoint._damage(newest)
            expect(problem and name in problem, f"{how} of {name} is not noticed")
            continue
        outcome = bench.works("resume", out, "-q", may_change=[out])
        expect(newest.name in outcome.err and name in outcome.err, f"does not say that {name} is damaged")
        expect_equal(whole, bench.folder / out)
    for path in (bench.folder / "stopped" / "checkpoints").glob("step-*"):
        _damage(path / "state.safetensors", "flip")
    bench.refuses(4, "resume", "stopped", names=["state.safetensors", "checksum"])
    return f"{len(damages)} damages seen, gone on from the state before"


def _both(*acts: object) -> object:
    return lambda: [act() for act in acts]  # type: ignore[operator]


def _damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
        return
    if how == "flip":
        content[len(content) // 2] ^= 4
    path.write_bytes(content if how == "flip" else content[:-7])


ROWS = (
    Row("F1", "kill -9 while a checkpoint is written", kill_while_saving),
    Row("F2", "disk full at any write", full_disk),
    Row("F3", "output folder forbidden, or a file", forbidden_folder),
    Row("F4", "checkpoint damaged", damaged_state),
)
