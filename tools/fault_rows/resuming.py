"""F5 to F8: a resumed run equals one that never stopped, or says why it is not gone on with."""

import json
import os
import shutil

import numpy as np

from .bench import Bench, expect
from .pictures import encoded, pixels, put
from .runs import STATEFUL, begin, expect_equal, save_always, status, stop_at
from .sheet import Row

STOPS = {"first step": 0, "mid-epoch": 5, "last step of an epoch": 7, "last epoch": 14}


def resume_equals(bench: Bench) -> str:
    bench.works(*begin(bench))
    whole, worst = bench.folder / "run", 0.0
    for number, step in enumerate(STOPS.values()):
        out = f"stop{number}"
        bench.refuses(130, *begin(bench, out), names=["striate resume"], before=stop_at(step))
        expect(status(bench.folder / out) == "interrupted", "status is not interrupted")
        bench.works("resume", out, "-q", may_change=[out])
        worst = max(worst, expect_equal(whole, bench.folder / out))
    bench.works("resume", "stop1", "-q", may_change=["stop1"])
    worst = max(worst, expect_equal(whole, bench.folder / "stop1"))
    bench.refuses(130, *begin(bench, "twice"), before=stop_at(4))
    bench.refuses(130, "resume", "twice", "-q", before=stop_at(10), may_change=["twice"])
    bench.works("resume", "twice", "-q", may_change=["twice"])
    worst = max(worst, expect_equal(whole, bench.folder / "twice"))
    early = ("--set", "train.epochs=12", "--set", "train.patience=2", "--set", "train.lr=0.3")
    bench.works(*begin(bench, "early"), *early)
    info = json.loads((bench.folder / "early" / "run.json").read_text())
    expect(info["result"]["stopped"] == "early", f"ended {info['result']['stopped']}, not early")
    bench.refuses(130, *begin(bench, "early2"), *early, before=stop_at(9))
    bench.works("resume", "early2", "-q", may_change=["early2"])
    worst = max(worst, expect_equal(bench.folder / "early", bench.folder / "early2"))
    return f"{len(STOPS) + 3} stops, largest difference {worst}"


def longer(bench: Bench) -> str:
    """More epochs for a finished run: with a constant rate it is the longer training, also when it is stopped again."""
    constant = ("--set", "train.schedule=constant")
    bench.works(*begin(bench), *constant)
    bench.works(*begin(bench, "short"), *constant, "--set", "train.epochs=2")
    again = ("resume", "short", "-q")
    bench.refuses(130, *again, "--epochs", "4", names=["striate resume"], before=stop_at(9), may_change=["short"])
    bench.works(*again, may_change=["short"])
    worst = expect_equal(bench.folder / "run", bench.folder / "short")
    bench.refuses(2, *again, "--epochs", "4", names=["4 epochs"])
    shutil.rmtree(bench.folder / "short" / "checkpoints")
    outcome = bench.refuses(4, *again, "--epochs", "6", names=["no checkpoint"])
    expect("--weights short" in outcome.err, f"no command that works: {outcome.err[-400:]}")
    return f"largest difference {worst}"


def other_workers(bench: Bench) -> str:
    """Threads that prepare images follow the cores a process may use: 1, 2, and 1 again."""
    cores = sorted(os.sched_getaffinity(0))
    bench.works(*begin(bench), before=lambda: os.sched_setaffinity(0, cores[:1]))
    bench.refuses(130, *begin(bench, "parts"), before=_with(cores, stop_at(3)))
    one = _with(cores[:1], stop_at(9))
    bench.refuses(130, "resume", "parts", "-q", before=one, may_change=["parts"])
    bench.works("resume", "parts", "-q", before=_with(cores, save_always), may_change=["parts"])
    worst = expect_equal(bench.folder / "run", bench.folder / "parts")
    return f"{len(cores)}, 1 and {len(cores)} cores, largest difference {worst}"


def _with(cores: list[int], act: object) -> object:
    return lambda: (os.sched_setaffinity(0, cores), act())  # type: ignore[operator]


def other_machine(bench: Bench) -> str:
    """Another number of threads, another torch: it goes on, and says and notes what is not the same."""
    bench.refuses(130, *begin(bench, "base"), before=stop_at(6))
    steps = {"same": ((), None, []), "threads": (("--threads", "2"), None, ["threads was 1, is 2"])}
    steps["torch"] = ((), _other_torch, ["torch was", "is 99.9"])
    for name, (words, before, says) in steps.items():
        shutil.copytree(bench.folder / "base", bench.folder / name)
        outcome = bench.works("resume", name, *words, "-q", before=before, may_change=[name])
        info = json.loads((bench.folder / name / "run.json").read_text())
        expect(info["status"] == "finished" and info["result"]["epochs"] == 4, f"{name}: {info['status']}")
        notes = [note for note in info["notes"] if "not bit-identical" in note]
        expect(len(notes) == bool(says), f"{name}: noted {notes}")
        expect(("not bit-identical" in outcome.err) == bool(says), f"{name}: said {outcome.err[-200:]!r}")
        for text in says:
            expect(text in outcome.err and text in notes[0], f"{name}: {text!r} is not said and noted")
    return "threads and torch said and noted, nothing where nothing changed"


def _other_torch() -> None:
    import torch

    torch.__version__ = "99.9"  # type: ignore[assignment]


def changed_arrays(bench: Bench) -> None:
    """Other pixels in an .npz file of the same size."""
    levels, labels = np.random.default_rng(0).integers(0, 256, (60, 24, 24), np.uint8), np.arange(60) % 2
    levels[labels == 1, :12] //= 2
    np.savez(bench.folder / "arrays.npz", images=levels, labels=labels)
    bench.refuses(130, "train", "arrays.npz", *STATEFUL, "--out", "arrays", before=stop_at(6))
    np.savez(bench.folder / "arrays.npz", images=255 - levels, labels=labels)
    bench.refuses(4, "resume", "arrays", names=["dataset changed", "--fork"])


def changed(bench: Bench) -> None:
    changed_arrays(bench)
    bench.refuses(130, *begin(bench, "base"), before=stop_at(6))
    data, base = bench.folder / "data", bench.folder / "base"
    used = json.loads((base / "split.json").read_text())["train"][0]
    keep = (data / used).read_bytes()
    for name, old, new in (("lr", '"lr": 0.01', '"lr": 0.02'), ("epochs", '"epochs": 4', '"epochs": 9')):
        shutil.copytree(base, bench.folder / name)
        path = bench.folder / name / "run.json"
        text = path.read_text()
        expect(old in text, f"no {old} in run.json")
        path.write_text(text.replace(old, new))
        outcome = bench.refuses(4, "resume", name, names=[f"train.{name} changed", "--fork"])
        values = old.split(": ")[1], new.split(": ")[1]
        expect(any(all(value in line for value in values) for line in outcome.err.split("\n")), "no table of both")
    shutil.copytree(base, bench.folder / "seed")
    path = bench.folder / "seed" / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "seed": 5}))
    bench.refuses(4, "resume", "seed", names=["seed changed", "--fork"])
    same_size = bytearray(keep)
    same_size[-20] ^= 255  # the pixels of a PNG of the same size, name and place; no decoder need like it
    put(data / used, bytes(same_size))
    bench.refuses(4, "resume", "base", names=["dataset changed", "--fork"])
    put(data / used, encoded(pixels("another image altogether")))
    bench.refuses(4, "resume", "base", names=["dataset changed", "--fork"])
    put(data / used, keep[:-14] + bytes([keep[-14] ^ 1]) + keep[-13:])  # the same size, one bit of its checksum
    os.utime(data / used, (0, 0))
    bench.refuses(4, "resume", "base", names=["dataset changed", "--fork"])
    (data / used).unlink()
    outcome = bench.refuses(4, "resume", "base", names=["dataset changed", "--fork"])
    expect(used in outcome.err, "the missing image is not named")
    put(data / used, keep)
    put(data / "cat" / "unused.png", encoded(pixels("unused")))
    (data / "eel").mkdir()
    put(data / "eel" / "00.png", encoded(pixels("eel")))
    bench.refuses(4, "resume", "base", names=["changed", "--fork"])
    before = bench.hashes()
    bench.works("resume", "base", "--fork", "--out", "forked", "-q")
    bench.check_files({name: value for name, value in before.items() if name.startswith("base/")})
    expect(json.loads((bench.folder / "forked" / "run.json").read_text())["task"]["names"][-1] == "eel", "not forked")


ROWS = (
    Row("F5", "resume after any stop, twice, after the end", resume_equals),
    Row("F15", "a finished run gets more epochs", longer),
    Row("F6", "resume on another number of cores", other_workers),
    Row("F7", "resume with other threads or another torch", other_machine),
    Row("F8", "settings, classes or data changed since", changed),
)
