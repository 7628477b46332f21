"""D8: a last batch of one, fewer images than a batch, and one image at all."""

import json

from .bench import Bench, expect
from .pictures import SMALL, write_split
from .sheet import Row

LOUD = [word for word in SMALL if word != "-q"]
THIN = {"bipyramid": (), "resnet18": ("--set", "model.width=8")}  # the second ends in maps of one pixel
NORMED = ("--recipe", "regularized", "--set", "train.epochs=2", "--set", "train.precision=float32")  # it has batch norm


def last_batch(bench: Bench) -> str:
    names = ("cat", "dog")
    data = write_split(bench.folder / "data", dict.fromkeys(("train", "val", "test"), names), 33)
    (data / "train" / "cat" / "00.png").unlink()
    few = write_split(bench.folder / "few", dict.fromkeys(("train", "val", "test"), names), 5)
    for where, model, says in (
        (data, "bipyramid", "65 training images in batches of 64: the last batch takes 65"),
        (data, "resnet18", "the last batch takes 65"),
        (few, "bipyramid", "10 training images are fewer than the batch of 64"),
        (few, "resnet18", "10 training images are fewer"),
    ):
        out, words = f"{where.name}-{model}", LOUD if model == "bipyramid" else []
        size = ("--set", "train.batch_size=64", "--model", model, *THIN[model])
        outcome = bench.works("train", where, *words, *NORMED, *size, "--out", out)
        expect(says in outcome.err, f"{out}: not said: {outcome.err[:300]}")
        history = [json.loads(line) for line in (bench.folder / out / "history.jsonl").read_text().splitlines()]
        expect([row["step"] for row in history] == [1, 2], f"{out}: steps {[row['step'] for row in history]}")
    single = ("--model", "resnet18", *THIN["resnet18"], "--set", "train.batch_size=1", "--out", "single")
    bench.refuses(2, "train", few, *NORMED, *single, names=["batch norm", "train.batch_size"])
    expect(not (bench.folder / "single").exists(), "a run folder was begun")
    return "65 in batches of 64, 10 in a batch of 64"


ROWS = (Row("D8", "last batch of one and batch norm, fewer images than a batch", last_batch),)
