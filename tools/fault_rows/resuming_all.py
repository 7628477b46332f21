"""F9: whatever is set, a run that was stopped and resumed equals one that was not."""

from pathlib import Path

from .bench import Bench, Failed, expect
from .pictures import write_tree
from .runs import expect_equal, status, stopped_at
from .sheet import Row

OPTIMISERS = ("sgd", "adam", "adamw", "rmsprop", "lion", "muon")
SCHEDULES = ("constant", "step", "cosine", "linear", "onecycle")
AVERAGES = ((), ("ema=0.9",), ("swa=0.5",), ("swa=0.5", "swa_lr=0.01"))
PRECISIONS = ("float32", "bf16")
OTHERS = (
    *(("clip=0.5",), ("sam=0.05",), ("weight_noise=0.05",), ("label_noise=0.1",), ("warmup=0.2",)),
    *(("l1=1e-4", "l2=1e-4"), ("depth_decay=0.9", "norm_bias_scale=2"), ()),
)
SMALLEST = ("model.width=4", "model.depth=1", "train.epochs=3", "train.batch_size=8", "train.patience=0")
STOP = 7  # a step in the middle of the last epoch: averages have begun


def combinations() -> list[tuple[str, ...]]:
    """Return settings such that every optimiser meets every schedule, and both meet every other setting in turn."""
    pairs = [(optimiser, schedule) for optimiser in OPTIMISERS for schedule in SCHEDULES]
    found = []
    for number, (optimiser, schedule) in enumerate(pairs):
        average = AVERAGES[(number + number // len(SCHEDULES)) % len(AVERAGES)]
        precision = PRECISIONS[(number // len(AVERAGES) + number) % len(PRECISIONS)]
        others = OTHERS[(number + number // len(OTHERS)) % len(OTHERS)]
        words = (f"optimiser={optimiser}", f"schedule={schedule}", f"precision={precision}", *average, *others)
        found.append(tuple(f"train.{word}" for word in words))
    return found


def every_setting(bench: Bench) -> str:
    """Through Python, in one child process: thirty times three commands would take minutes."""
    write_tree(bench.folder / "data", num=14)
    outcome = bench.start(before=_compare_all).wait()
    expect(outcome.code == 0, outcome.last)
    return outcome.out.strip()


def _compare_all() -> None:
    from striate.base.errors import Interrupted
    from striate.base.progress import Progress
    from striate.data import open_dataset
    from striate.run.execute import resume, train
    from striate.run.recipe import named

    dataset, worst, found, quiet = open_dataset("data"), 0.0, combinations(), Progress("quiet")
    for number, words in enumerate(found):
        whole, parts = Path(f"whole{number}"), Path(f"parts{number}")
        recipe = named("regularized").changed([*SMALLEST, *words])
        train(dataset, "bipyramid", recipe, out=whole, keep_checkpoints=True, progress=quiet)
        with stopped_at(STOP):
            try:
                train(dataset, "bipyramid", recipe, out=parts, keep_checkpoints=True, progress=quiet)
            except Interrupted as stop:
                expect(stop.exit_code == 130, f"{words}: exit {stop.exit_code}")
        expect(status(parts) == "interrupted", f"{words}: status is not interrupted")
        resume(parts, progress=quiet)
        try:
            worst = max(worst, expect_equal(whole, parts))
        except Failed as problem:
            raise Failed(f"{' '.join(words)}: {problem}") from None
    print(f"{len(found)} combinations, largest difference {worst}")


ROWS = (Row("F9", "resume with every optimiser, schedule, average, precision", every_setting),)
