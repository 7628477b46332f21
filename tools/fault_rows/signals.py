"""F10: Ctrl-C once, twice, five times, SIGTERM; while training, saving, validating, looking at the data."""

import os
import signal
import time
from collections.abc import Callable

from .bench import Bench, Running, expect
from .pictures import write_tree
from .runs import LONG, at_write, begin, expect_equal, status
from .sheet import Row


def _train(bench: Bench, out: str, before: Callable[[], object] | None = None) -> Running:
    running = bench.start(*begin(bench, out), *LONG, before=before)
    history = bench.folder / out / "history.jsonl"
    running.until(lambda: history.exists() and history.stat().st_size, "the first epoch")
    return running


def _stopped(bench: Bench, running: Running, code: int, out: str) -> None:
    outcome = running.wait()
    bench.is_clear(outcome, code, ["striate resume", out])
    left = [name for name in bench.hashes() if name.endswith(".tmp") or ".tmp/" in name]
    expect(not left, f"left behind: {left[:3]}")


def _slow(module: str, name: str, log: str) -> Callable[[], None]:
    """Return what makes a method of the training take a while, and touch a file as it begins."""

    def install() -> None:
        import importlib

        training = importlib.import_module(module).Training
        call = getattr(training, name)

        def slow(self: object, *arguments: object) -> object:
            with open(log, "a"):  # noqa: PTH123
                time.sleep(0.5)
            return call(self, *arguments)

        setattr(training, name, slow)

    return install


def once(bench: Bench) -> str:
    from striate.engine import checkpoint

    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        out = f"once{code}"
        running = _train(bench, out)
        running.send(number)
        _stopped(bench, running, code, out)
        state = checkpoint.load(bench.folder / out / "checkpoints").document
        epochs = len((bench.folder / out / "history.jsonl").read_text().splitlines())
        expect(state["epoch"] in (epochs, epochs + 1), f"saved at epoch {state['epoch']} of {epochs}")
        expect(status(bench.folder / out) == "interrupted", "status is not interrupted")
    for method, what in (("validate", "validation"), ("state", "saving")):
        log = str(bench.folder.with_name(f"{what}.log"))
        running = bench.start(
            *begin(bench, what), "--set", "train.epochs=40", before=_slow("striate.run.training", method, log)
        )
        running.until(lambda log=log: os.path.exists(log), what)  # noqa: PTH110
        running.send(signal.SIGINT)
        _stopped(bench, running, 130, what)
        os.remove(log)  # noqa: PTH107
        checkpoint.load(bench.folder / what / "checkpoints")
    _several(bench)
    _before_training(bench)
    return "at most the step under way is repeated; no process and no temporary file is left"


def _several(bench: Bench) -> None:
    """The second signal ends at once, more do no harm: what was saved stays."""
    from striate.engine import checkpoint

    for times in (2, 5):
        out, log = f"times{times}", str(bench.folder.with_name("state.log"))
        running = bench.start(*begin(bench, out), *LONG, before=_slow("striate.run.training", "state", log))
        running.until((bench.folder / out / "history.jsonl").exists, "the first epoch")
        for _ in range(times):
            running.send(signal.SIGINT)
            time.sleep(0.1)
        _stopped(bench, running, 130, out)
        os.remove(log)  # noqa: PTH107
        checkpoint.load(bench.folder / out / "checkpoints")


def _before_training(bench: Bench) -> None:
    """A signal while the data are decoded leaves no half store and says so in one line."""
    write_tree(bench.folder / "many", num=400)
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        cache = bench.folder / f"cache{code}"
        halt = at_write(lambda count, number=number: os.kill(os.getpid(), number) if count == 1 else None, "stores")
        running = bench.start(
            "train", "many", "--size", 16, "--out", "early", before=halt, env={"STRIATE_CACHE": str(cache)}
        )
        outcome = running.wait()
        bench.is_clear(outcome, code, ["stopped"])
        left = [name for name in bench.hashes() if ".tmp" in name]
        expect(not left, f"left behind: {left[:3]}")
        expect(not (bench.folder / "early").exists(), "a run folder was begun")


def uninterrupted(bench: Bench) -> str:
    bench.works(*begin(bench))
    running = bench.start(*begin(bench, "parts"))
    lock = bench.folder / "parts" / ".lock"
    for _ in range(4):
        running.until(lambda one=running: lock.exists() and f"pid {one.pid} " in lock.read_text(), "the lock")
        running.send(signal.SIGINT)
        expect(running.wait().code in (0, 130), "neither stopped nor finished")
        has_begun = (bench.folder / "parts" / "run.json").exists()
        running = bench.start(*(("resume", "parts", "-q") if has_begun else begin(bench, "parts")))
    outcome = running.wait()
    expect(outcome.code == 0, f"exit {outcome.code}: {outcome.last[:200]}")
    expect_equal(bench.folder / "run", bench.folder / "parts")
    return once(bench)


ROWS = (Row("F10", "Ctrl-C and SIGTERM, at any moment and repeatedly", uninterrupted),)
