"""E1 and E4: numbers that are not finite or say nothing."""

import json

import numpy as np

from .bench import Bench, expect
from .pictures import SMALL, encoded, pixels, put, write_tree
from .sheet import Row

WILD = ("--set", "train.epochs=8", "--set", "train.lr=1e9", "--set", "train.schedule=constant")


def diverged(bench: Bench) -> str:
    import torch

    from striate.train import checkpoint

    data = write_tree(bench.folder / "data", num=40)
    bare = ("--recipe", "baseline", "--set", "model.depth=4", "--set", "train.batch_size=8")
    outcome = bench.refuses(6, "train", data, *SMALL, *WILD, *bare, "--out", "run", names=["run", "step", "rate 1e+09"])
    expect(".png" in outcome.last, f"names no file of the batch: {outcome.last}")
    state = checkpoint.load(bench.folder / "run" / "checkpoints")
    for name, tensor in state.tensors["weights"].items():
        expect(bool(torch.isfinite(tensor).all()), f"{name} of the kept checkpoint is not finite")
    info = json.loads((bench.folder / "run" / "run.json").read_text())
    expect(info["status"] == "diverged", f"status is {info['status']}")
    bench.works("report", "run", may_change=["run/report.html"])
    return outcome.last.partition(" (")[0].removeprefix("error: ")


def constant_channel(bench: Bench) -> None:
    for name, band in (("cat", 0), ("dog", 1)):
        for index in range(14):
            picture = pixels(f"{name}{index}", band=band)
            picture[..., 2] = 77
            put(bench.folder / "data" / name / f"{index}.png", encoded(picture))
            put(bench.folder / "grey" / name / f"{index}.png", encoded(np.full((24, 24, 1), 90, np.uint8)))
    bench.refuses(3, "train", "data", *SMALL, "--out", "run", names=["blue channel is constant"])
    bench.refuses(3, "train", "grey", *SMALL, "--out", "run", names=["grey channel is constant"])
    expect(not (bench.folder / "run").exists(), "a run folder was begun")


ROWS = (
    Row("E1", "loss not finite: the last finite checkpoint is kept", diverged),
    Row("E4", "constant channel", constant_channel),
)
