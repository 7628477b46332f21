"""G8: values without bounds, files without end, networks beyond memory; each is refused before it costs anything."""

import os

from .bench import Bench, expect
from .pictures import SMALL, write_tree
from .sheet import Row

DATA = "toy:shapes?n=60&size=16"
LONG = "a" * 300
ROW = '[[rows]]\nblock = "{}"\n'
END = ROW.format("global_pool") + ROW.format("linear")
FILES = {
    "dots.toml": "a" + ".a" * 20_000 + " = 1\n",
    "inline.toml": "x = {a" + ".a" * 20_000 + " = 1}\n",
    "digits.toml": "[train]\nepochs = " + "1" * 100_000 + "\n",
    "large.toml": "# nothing\n" * 5_000_000,
    "wide.toml": ROW.format("conv") + "width = 1000000000\n" + END,
    "rows.toml": (ROW.format("conv") + "width = 4\n") * 20_000 + END,
    "repeat.toml": ROW.format("conv") + "width = 4\nrepeat = 1000000000\n" + END,
    "memory.toml": ROW.format("conv") + "width = 500000\n" + ROW.format("conv") + "width = 500000\n" + END,
}
USAGE = (  # words, what the last line must hold
    (("--out", LONG), ("too long",)),
    (("--recipe", "fifo.toml"), ("fifo.toml", "pipe")),
    (("--model", "zero.toml"), ("zero.toml", "device")),
    (("--recipe", "dots.toml"), ("dots.toml", "line 1")),
    (("--recipe", "inline.toml"), ("inline.toml", "line 1")),
    (("--recipe", "digits.toml"), ("digits.toml", "not TOML")),
    (("--recipe", "large.toml"), ("large.toml", "bytes")),
    (("--model", "wide.toml"), ("wide.toml", "width")),
    (("--model", "rows.toml"), ("rows.toml", "20,002 blocks")),
    (("--model", "repeat.toml"), ("repeat.toml", "repeat")),
    (("--set", "train.epochs=" + "1" * 5000), ("train.epochs",)),
    (("--set", "a" + ".a" * 20_000 + "=1"), ("--set",)),
    (("--set", "train={}"), ("train", "group")),
    (("--set", "train.lr=1", "--set", "train.lr=2"), ("train.lr", "twice")),
    (("--size", "-1"), ("--size",)),
    (("--threads", "100000"), ("--threads",)),
    (("--threads", "0"), ("--threads",)),
    (("--seed", "9" * 30), ("--seed",)),
    (("--limit", "train=1,train=2"), ("--limit", "train")),
    (("--limit", "train=" + "9" * 5000), ("--limit",)),
    (("--limit", "train=\u00b2"), ("--limit",)),
    (("--classes", ""), ("--classes",)),
    (("--separator", ""), ("--separator",)),
)
OTHERS = (
    (("study", DATA, "--seeds", "999999999999"), ("--seeds",)),
    (("study", DATA, "--folds", "100000"), ("--folds",)),
    (("study", DATA, "--parallel", "1000000", *SMALL), ("--parallel",)),
    (("study", "fifo.toml"), ("fifo.toml",)),
    (("search", DATA, "--candidates", "1"), ("--candidates",)),
    (("analyze", "bipyramid", "--size", "100000"), ("--size",)),
    (("analyze", "bipyramid", "--size", "0"), ("--size",)),
    (("analyze", "bipyramid", "--option", "depth=100000"), ("blocks",)),
    (("analyze", "rows.toml"), ("rows.toml",)),
    (("check", DATA, "--size", "-1"), ("--size",)),
    (("report", LONG), ("too long",)),
    (("resume", LONG), ("too long",)),
)


def bounds(bench: Bench) -> str:
    for name, text in FILES.items():
        (bench.folder / name).write_text(text)
    os.mkfifo(bench.folder / "fifo.toml")
    (bench.folder / "zero.toml").symlink_to("/dev/zero")
    for words, names in (*((("train", DATA, *words), names) for words, names in USAGE), *OTHERS):
        outcome = bench.refuses(2, *words, names=names, is_verbatim=True)
        expect(outcome.cpu_s < 8, f"{words[-2:]} takes {outcome.cpu_s:.1f} s")
        expect(outcome.peak_mb < 300, f"{words[-2:]} takes {outcome.peak_mb:.0f} MB")
    bench.refuses(5, "train", DATA, "--model", "memory.toml", "--out", "run", names=["GB of memory"])
    expect(not (bench.folder / "run").exists(), "a run folder was begun")
    write_tree(bench.folder / "data")
    bench.works("train", "data", *SMALL, "--threads", "1", "--seed", "-1", "--out", "run")
    return f"{len(USAGE) + len(OTHERS) + 1} refused before they cost anything"


ROWS = (Row("G8", "values without bounds, files without end", bounds),)
