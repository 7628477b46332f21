"""F1b, F1c, F4b: SIGKILL at any moment of the life of a run, study or search; finished folders that are damaged."""

import os
import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np

from .bench import Bench, expect
from .pictures import SMALL, write_tree
from .runs import status
from .sheet import Row

NUM_RANDOM = 40
RUN = ("train", "data", *SMALL, "--out")
STUDY = ("study", "data", "--seeds", "1", *SMALL, "--out")
SEARCH = ("search", "data", "--candidates", "2", "--epochs", "1", "--seeds", "1", "--max-macs", "20M", *SMALL, "--out")


def killed_at_every_write(bench: Bench) -> str:
    """Kill before each kind of write of a run, then go on or start anew with one command."""
    write_tree(bench.folder / "data")
    log = bench.folder.with_name("steps.log")
    bench.works(*RUN, "first")  # the look at the data is kept from here on
    bench.works(*RUN, "whole", before=lambda: _at_step(lambda name: _note(log, name)))
    kinds = dict.fromkeys(_kind_of(name) for name in log.read_text().splitlines())
    log.unlink()
    kinds = [kind for kind in kinds if kind.startswith("write") or kind == "rename step-#"]
    for kind in kinds:
        killed = bench.start(*RUN, "run", before=lambda kind=kind: _at_step(_kill_at(kind))).wait()
        expect(killed.code == 128 + signal.SIGKILL, f"the kill before {kind} did not come: {killed.last[:200]}")
        _go_on(bench, RUN, "run", kind)
        shutil.rmtree(bench.folder / "run")
    return f"{len(kinds)} places, each gone on from or begun anew with one command"


def killed_at_random(bench: Bench) -> str:
    """Kill runs, studies and searches at random times from the start of their process."""
    write_tree(bench.folder / "data")
    rng, num_begun = np.random.default_rng(0), 0
    for words, num in ((RUN, NUM_RANDOM), (STUDY, NUM_RANDOM // 2), (SEARCH, NUM_RANDOM // 2)):
        start_s = time.monotonic()
        bench.works(*words, "whole")
        whole_s = time.monotonic() - start_s
        shutil.rmtree(bench.folder / "whole")
        for number in range(num):
            running = bench.start(*words, "out")
            time.sleep(float(rng.uniform(0, whole_s)))
            running.send(signal.SIGKILL)
            running.wait()
            num_begun += (bench.folder / "out" / f"{_kind(words)}.json").exists()
            _go_on(bench, words, "out", f"{words[0]} {number}")
            shutil.rmtree(bench.folder / "out")
    return f"{2 * NUM_RANDOM} kills at random times, {num_begun} of them after the work had begun"


def _go_on(bench: Bench, words: tuple[str, ...], out: str, when: str) -> None:
    """Resume what was begun, else type the same command again; either ends in a whole folder."""
    folder, kind = bench.folder / out, _kind(words)
    is_begun = (folder / f"{kind}.json").exists()
    if folder.exists() and any(folder.iterdir()) and not is_begun:
        refused = bench.start(
            "resume", out
        ).wait()  # which leaves what was half written to the command that begins anew
        bench.is_clear(refused, 4, ["run that command again" if (folder / ".lock").exists() else "made by"])
    done = bench.striate(*(("resume", out, "-q") if is_begun else (*words, out)), may_change=[out])
    expect(done.code == 0, f"killed at {when}: exit {done.code}: {done.last[:200]}")
    if kind == "run":
        expect(status(folder) == "finished", f"killed at {when}: not finished")
    expect((folder / "SHA256SUMS").exists(), f"killed at {when}: no checksums")
    lost = [path.name for path in folder.parent.iterdir() if path.name.startswith(f"{out}.old")]
    expect(not lost, f"killed at {when}: {lost} left")


def _kind(words: tuple[str, ...]) -> str:
    return "run" if words[0] == "train" else words[0]


def _at_step(act: object) -> None:
    from striate.base import files

    files._fault = lambda step, path: act(f"{step} {path.name}")  # type: ignore[operator]


def _kill_at(kind: str) -> object:
    return lambda name: os.kill(os.getpid(), signal.SIGKILL) if _kind_of(name) == kind else None


def _kind_of(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _note(log: Path, name: str) -> None:
    with log.open("a") as file:
        file.write(f"{name}\n")


def damaged_folder(bench: Bench) -> str:
    """Flip one byte of each file of a finished run and study that is read again."""
    write_tree(bench.folder / "data")
    bench.works(*STUDY, "study")
    run = Path("study/runs/baseline-seed0")
    commands = {
        "weights.safetensors": ("predict", run, "data/cat/00.png"),
        "run.json": ("predict", run, "data/cat/00.png"),
        "split.json": ("evaluate", run),
        **dict.fromkeys(("predictions.csv", "history.jsonl", "scores.json", "pictures/index.json"), ("report", run)),
    }
    places = [(run / name, words) for name, words in commands.items()]
    places += [(Path("study") / name, ("report", "study")) for name in ("study.json", "verdict.json")]
    for name, words in places:
        path = bench.folder / name
        keep = path.read_bytes()
        for place in (len(keep) // 3, len(keep) - 2):
            path.write_bytes(keep[:place] + bytes([keep[place] ^ 1]) + keep[place + 1 :])
            bench.refuses(4, *words, names=[name.name, "checksum"])
        path.write_bytes(keep)
    bench.works("predict", run, "data/cat/00.png")
    (bench.folder / run / "SHA256SUMS").write_text("")
    bench.refuses(4, "predict", run, "data/cat/00.png", names=["not listed"])
    (bench.folder / run / "SHA256SUMS").unlink()
    bench.works("predict", run, "data/cat/00.png")
    return f"{2 * len(places)} flipped bytes named"


ROWS = (
    Row("F1b", "kill -9 at every kind of write of a run", killed_at_every_write),
    Row("F1c", "kill -9 at random times: runs, studies, searches", killed_at_random, is_slow=True),
    Row("F4b", "finished run or study damaged", damaged_folder),
)
