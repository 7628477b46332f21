"""E1 to E4: numbers that are not finite or say nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .bench import Bench, expect
from .pictures import SMALL, encoded, pixels, put, write_split, write_table, write_tree
from .runs import begin, lose_gradient_at
from .sheet import Row

WILD = ("--set", "train.epochs=8", "--set", "train.lr=1e9", "--set", "train.schedule=constant")


def diverged(bench: Bench) -> str:
    data = write_tree(bench.folder / "data", num=40)
    bare = ("--recipe", "baseline", "--set", "model.depth=4", "--set", "train.batch_size=8")
    outcome = bench.refuses(6, "train", data, *SMALL, *WILD, *bare, "--out", "run", names=["run", "step", "rate 1e+09"])
    expect(".png" in outcome.last, f"names no file of the batch: {outcome.last}")
    _expect_kept(bench.folder / "run")
    bench.works("report", "run", may_change=["run/report.html"])
    return outcome.last.partition(" (")[0].removeprefix("error: ")


def _expect_kept(run: Path) -> None:
    """Fail unless the run is said to have diverged and its last checkpoint is finite."""
    _expect_finite(run)
    expect(_document(run / "run.json")["status"] == "diverged", "the status is not diverged")


def _expect_finite(run: Path) -> None:
    import torch

    from striate.engine import checkpoint

    state = checkpoint.load(run / "checkpoints")
    for group, tensors in state.tensors.items():
        for name, tensor in tensors.items():
            expect(bool(torch.isfinite(tensor).all()), f"{group}.{name} of the kept checkpoint is not finite")


def _document(path: Path) -> Any:
    return json.loads(path.read_text())


def lost_gradients(bench: Bench) -> str:
    """Steps 2, 3 and 9 lose their gradient; then as many in a row as are borne; then one more."""
    from striate.engine.skip import MAX_IN_A_ROW

    lost = {2, 3, 9}
    for optimiser in ("adamw", "sgd", "muon"):  # with a kernel that can leave a step out, and without
        words = (*begin(bench, optimiser), "--set", f"train.optimiser={optimiser}")
        outcome = bench.works(*words, before=lose_gradient_at(lost))
        expect("3 steps skipped" in outcome.err, f"{optimiser}: not said: {outcome.err[-200:]}")
        result = _document(bench.folder / optimiser / "run.json")["result"]
        expect(result["skipped_steps"] == len(lost), f"{optimiser}: {result['skipped_steps']} steps counted")
        _expect_finite(bench.folder / optimiser)
    whole = bench.works(*begin(bench, "none"))
    expect("skipped" not in whole.err, f"skipped without a reason: {whole.err}")
    borne = range(2, 2 + MAX_IN_A_ROW)
    bench.works(*begin(bench, "borne"), before=lose_gradient_at(borne))
    more = range(2, 3 + MAX_IN_A_ROW)
    says = ["gradient is not finite", f"step {more[-1]}", "more"]
    outcome = bench.refuses(6, *begin(bench, "more"), before=lose_gradient_at(more), names=says)
    _expect_kept(bench.folder / "more")
    return f"3 of 16 steps skipped and counted; {MAX_IN_A_ROW} in a row borne, {len(more)} not"


def undefined_scores(bench: Bench) -> str:
    data = write_split(bench.folder / "data", {"train": ("cat", "dog"), "val": ("cat",), "test": ("cat",)})
    bench.works("train", data, *SMALL, "--set", "train.epochs=3", "--set", "train.lr=1e-9", "--out", "constant")
    scores = _document(bench.folder / "constant" / "scores.json")
    for split in ("val", "test"):
        dog = next(row for row in scores[split]["per_class"] if row["name"] == "dog")
        undefined = [scores[split]["auc"], dog["recall"], dog["precision"], dog["f1"]]
        expect(undefined == [None] * 4, f"of a class that is not in {split}: {undefined}")
    expect("n/a" in (bench.folder / "constant" / "report.html").read_text(), "the report does not show n/a")
    best = _history(bench, "partly", bad_epochs={1, 3, 4, 5, 6})
    expect(best == (2, "early", 5), f"best epoch {best[0]}, ended {best[1]} after {best[2]}; only 2 has a score")
    outcome = bench.works(*begin(bench, "never"), before=_without_score(set(range(1, 99))))
    expect("accuracy is undefined" in outcome.err, f"not told of: {outcome.err[-300:]}")
    expect("NaN" not in outcome.err, "a bare NaN is shown")
    untagged = [[f"p/{index:02d}.png", "", "val" if index % 3 else "test"] for index in range(12)]
    rows = [[f"p/{index:02d}.png", ("red", "blue", "red|blue")[index % 3], "train"] for index in range(12, 48)]
    write_table(bench.folder / "tags.csv", [*rows, *untagged], "path,label,split")
    words = ("train", "tags.csv", *SMALL, "--separator", "|", "--set", "train.lr=1e-9", "--out", "untagged")
    outcome = bench.works(*words, before=_says_no)
    expect("f1 is undefined" in outcome.err, f"not told of: {outcome.err[-300:]}")
    expect((bench.folder / "untagged" / "weights.safetensors").is_file(), "no weights")
    return "absent class, constant answer, epochs without a score, no tag at all"


def _says_no() -> None:
    """Let the network give no tag to any image."""
    from striate.engine import update

    init = update.Update.__init__

    def with_low_bias(self: Any, model: Any, *rest: Any, **options: Any) -> None:
        init(self, model, *rest, **options)
        list(model.parameters())[-1].data.fill_(-100.0)

    update.Update.__init__ = with_low_bias  # type: ignore[method-assign]


def _without_score(epochs: set[int]) -> Callable[[], None]:
    """Return what takes the validation score from some epochs, counted from 1."""

    def install() -> None:
        from striate.run.training import Training

        validate = Training.validate

        def undefined(self: Training) -> dict[str, float]:
            found, epoch = validate(self), self.position.epoch + 1
            worse = {"accuracy": float("nan"), "loss": found["loss"] + 9}  # the loss decides, so it must be worse
            return found | worse if epoch in epochs else found

        Training.validate = undefined  # type: ignore[method-assign]

    return install


def _history(bench: Bench, out: str, bad_epochs: set[int]) -> tuple[int, str, int]:
    """Train where some epochs have no score; return the best epoch, how it ended, and after how many epochs."""
    patient = ("--set", "train.epochs=8", "--set", "train.patience=3")
    bench.works(*begin(bench, out), *patient, before=_without_score(bad_epochs))
    result = _document(bench.folder / out / "run.json")["result"]
    rows = [json.loads(line) for line in (bench.folder / out / "history.jsonl").read_text().splitlines()]
    told = [row["epoch"] for row in rows if row["val"]["accuracy"] is None]
    expect(told == [epoch for epoch in sorted(bad_epochs) if epoch <= len(rows)], f"null in the epochs {told}")
    bests = [row["epoch"] for row in rows if row["is_best"]]
    expect(bests == [1, 2], f"epochs {bests} count as best")  # the first of all always does
    return result["best_epoch"], result["stopped"], result["epochs"]


def constant_channel(bench: Bench) -> None:
    for name, band in (("cat", 0), ("dog", 1)):
        for index in range(14):
            picture = pixels(f"{name}{index}", band=band)
            picture[..., 2] = 77
            put(bench.folder / "data" / name / f"{index}.png", encoded(picture))
            put(bench.folder / "grey" / name / f"{index}.png", encoded(np.full((24 + index, 24, 1), 90, np.uint8)))
    bench.refuses(3, "train", "data", *SMALL, "--out", "run", names=["blue channel is constant"])
    for index in range(14):  # of one size in both folders these would be copies
        put(bench.folder / "grey" / "dog" / f"{index}.png", encoded(np.full((24, 25 + index, 1), 90, np.uint8)))
    bench.refuses(3, "train", "grey", *SMALL, "--out", "run", names=["grey channel is constant"])
    expect(not (bench.folder / "run").exists(), "a run folder was begun")


ROWS = (
    Row("E1", "loss not finite: the last finite checkpoint is kept", diverged),
    Row("E2", "gradient not finite, loss finite", lost_gradients),
    Row("E3", "score that is not a number", undefined_scores),
    Row("E4", "constant channel", constant_channel),
)
