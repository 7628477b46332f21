"""Training that is stopped at a chosen place, and the comparison of two run folders."""

import itertools
import json
import math
import os
import signal
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .bench import Bench, expect
from .pictures import write_tree

LONG = ("--set", "train.epochs=100000", "--set", "train.patience=0", "--set", "train.schedule=constant")
STATEFUL = (
    *("--set", "train.epochs=4", "--set", "train.batch_size=8", "--set", "train.ema=0.9", "--set", "train.lr=0.01"),
    *("--set", "model.width=4", "--set", "model.depth=1", "--set", "train.patience=0"),
    *("--set", "train.precision=float32", "--keep-checkpoints", "-q"),  # a measured choice may differ from run to run
)
"""Everything that has state: augmentation, dropout, batch norm, averaging, a schedule; four epochs of four steps."""

Hook = Callable[[str, Path], None]


def begin(bench: Bench, out: str = "run", **options: object) -> tuple[object, ...]:
    """Write the data once and return the words of a command that trains on them."""
    data = bench.folder / "data"
    if not data.exists():
        write_tree(data, num=20)
    return ("train", data, *STATEFUL, "--out", out)


def stop_at(step: int, number: int = signal.SIGINT) -> Callable[[], None]:
    """Return what makes the command send itself a signal during a step."""

    def install() -> None:
        from striate.engine.update import Update

        call = Update.__call__

        def stopping(self: Update, batch: Any, at: int) -> Any:
            if at == step:
                os.kill(os.getpid(), number)
            return call(self, batch, at)

        Update.__call__ = stopping  # type: ignore[method-assign]

    return install


@contextmanager
def stopped_at(step: int) -> Iterator[None]:
    """Interrupt every training in this block during a step."""
    from striate.engine.update import Update

    call = Update.__call__
    stop_at(step)()
    try:
        yield
    finally:
        Update.__call__ = call  # type: ignore[method-assign]


def lose_gradient_at(steps: Container[int]) -> Callable[[], None]:
    """Return what makes the gradient of one parameter infinite in some steps, while the loss stays what it is."""

    def install() -> None:
        from striate.engine.update import Update

        call = Update.__call__

        def losing(self: Update, batch: Any, at: int) -> Any:
            parameter = next(p for p in self.model.parameters() if p.requires_grad)
            hook = parameter.register_hook(lambda grad: grad * math.inf) if at in steps else None
            try:
                return call(self, batch, at)
            finally:
                if hook is not None:
                    hook.remove()

        Update.__call__ = losing  # type: ignore[method-assign]

    return install


def save_always() -> None:
    """Let the command save after every epoch instead of every fifteen seconds."""
    from striate.run import training

    training.SAVE_EVERY_S = 0.0


def at_write(act: Callable[[int], None], below: str = "", is_saving_always: bool = False) -> Callable[[], None]:
    """Return what calls `act(n)` before the n-th write, fsync or rename of a path that contains `below`."""

    def install() -> None:
        from striate.base import files

        count = itertools.count()

        def plan(step: str, path: Path) -> None:
            if below in str(path):
                act(next(count))

        files._fault = plan
        if is_saving_always:
            save_always()

    return install


def count_writes(bench: Bench, below: str = "") -> int:
    """Return how many writes, fsyncs and renames a whole run makes, once the data are decoded."""
    log = bench.folder.with_name("writes.log")

    def note(_: int) -> None:
        with log.open("ab") as file:
            file.write(b".")

    outcome = bench.striate(*begin(bench, f"counted-{len(below)}"), before=at_write(note, below, is_saving_always=True))
    expect(outcome.code == 0, f"exit {outcome.code}: {outcome.last[:200]}")
    total = log.stat().st_size
    log.unlink()
    return total


def expect_equal(a: Path, b: Path) -> float:
    """Fail unless two finished runs have the same weights, optimiser, history and scores; return the difference."""
    from striate.base.tensors import read_tensors
    from striate.engine import checkpoint

    first, second = checkpoint.load(a / "checkpoints"), checkpoint.load(b / "checkpoints")
    groups = {f"{name}.": (first.tensors[name], second.tensors[name]) for name in first.tensors}
    groups["kept "] = (read_tensors(a / "weights.safetensors"), read_tensors(b / "weights.safetensors"))
    worst = 0.0
    for group, (one, two) in groups.items():
        expect(one.keys() == two.keys(), f"{group} differs in its tensors")
        for name in one:
            error = float((one[name].double() - two[name].double()).abs().max()) if one[name].numel() else 0.0
            expect(error == 0, f"{group}{name} differs by {error:.2g}")
            worst = max(worst, error)
    for name in ("history.jsonl", "scores.json", "split.json", "predictions.csv"):
        expect(_without_time(a / name) == _without_time(b / name), f"{name} differs")
    return worst


def _without_time(path: Path) -> object:
    if path.suffix != ".jsonl":
        return path.read_bytes()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in {"time_s", "images_per_s"}} for row in rows]


def status(run: Path) -> str:
    """Return what run.json says of the run."""
    return str(json.loads((run / "run.json").read_text())["status"])
