"""Builds whose method is broken on purpose: each must fail the test that is meant for it, which passes without it.

No command need fail under them, and no file is damaged: only the numbers are wrong.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from .broken import patched

ROOT = Path(__file__).parents[2]
DECIDES, PARTS, VIEWS = (
    "tests/run/test_only_val_decides.py",
    "tests/train/test_parts.py",
    "tests/evaluate/test_views.py",
)
INTERVAL = "tests/evaluate/test_interval.py"


def outcome_of(test: str) -> int:
    """Run one test in a child of this process, broken as this one is; return pytest's exit code: 0 passed, 1 failed."""
    pid = os.fork()
    if not pid:
        code = 70
        try:
            import pytest

            os.chdir(ROOT)
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            code = int(pytest.main(["-x", "-p", "no:cacheprovider", test]))
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _test_instead(*methods: str) -> Any:
    """The test split in place of validation where the training asks these methods of `Stop`."""
    from striate.engine.stop import Stop
    from striate.run.training import Training

    make = Training.__init__

    def init(self: Any, run: Any, prepared: Any, network: Any, **options: Any) -> None:
        make(self, run, prepared, network, **options)
        val, self.val_loader = self.val_loader, prepared.loader("test")
        if methods == ("is_better", "is_over"):
            return
        shadow, judge = Stop(self.stop.mode, self.stop.patience), self.stop.is_better

        def is_better(score: float, loss: float, epoch: int) -> bool:
            on_test, self.val_loader = self.val_loader, val
            found = Training.validate(self)
            self.val_loader = on_test
            is_first = shadow.is_better(score, loss, epoch)
            is_best = judge(found[prepared.task.monitor], found["loss"], epoch)
            return is_first if methods == ("is_better",) else is_best

        self.stop.is_better = is_better
        if methods == ("is_over",):
            self.stop.is_over = shadow.is_over

    return patched(Training, "__init__", init)


def _augmented_validation(kind: str) -> Any:
    """Validation images go through the recipe's operations of this kind."""
    from striate.data.augment import Pipeline
    from striate.run.prepare import Prepared

    plain = Prepared.loader

    def loader(self: Any, split: str, *, is_training: bool = False, **options: Any) -> Any:
        if not is_training and split == "val":
            options["pipeline"] = Pipeline([op for op in self.pipeline.ops if op.kind == kind])
        return plain(self, split, is_training=is_training, **options)

    return patched(Prepared, "loader", loader)


def _one_sided(name: str) -> Any:
    """An interval of one of the module's kinds that has only a lower end, at the level of both."""
    import math

    import numpy as np

    from striate.evaluate import interval

    both = getattr(interval, name)

    def from_below(*values: Any) -> tuple[float, float]:
        if name == "percentile_interval":
            return float(np.quantile(values[0], 0.05)), math.inf
        low = both(*values[:-1], values[-1] * 1.645 / 1.96 if name == "_wilson" else 0.9)[0]
        return low, 1.0 if name == "_wilson" else math.inf

    return patched(interval, name, from_below)


def _decay_on_biases() -> Any:
    from striate.engine import optim

    groups = optim.groups

    def all_decay(model: Any, weight_decay: float, *values: Any, **options: Any) -> Any:
        return [group | {"weight_decay": weight_decay} for group in groups(model, weight_decay, *values, **options)]

    return patched(optim, "groups", all_decay)


def _views_without_mirror() -> Any:
    from striate.evaluate import views

    view = views.view
    return patched(views, "view", lambda images, number: view(images, number // 2 * 2))


@contextmanager
def _flips_left_out() -> Iterator[None]:
    import numpy as np

    from striate.data.augment.geometric import AlternatingFlip, Flip

    with ExitStack() as stack:
        for kind in (Flip, AlternatingFlip):
            stack.enter_context(patched(kind, "matrices", lambda self, draws: np.tile(np.eye(3), (len(draws), 1, 1))))
        yield


def kinds() -> list[str]:
    """The kinds of augmentation there are."""
    from typing import get_args

    from striate.data.augment.pipeline import Op

    return [kind.model_fields["kind"].default for kind in get_args(get_args(Op)[0])]


def broken_method() -> dict[str, tuple[str, Callable[[], Any]]]:
    """What is broken, the test in charge, and the context that breaks it."""
    decides = f"{DECIDES}::test_the_test_split_decides_neither_the_best_epoch_nor_the_stop"
    plain = f"{DECIDES}::test_scored_images_are_plain_whatever_training_does"
    sides = f"{INTERVAL}::test_intervals_miss_as_often_above_as_below"
    return {
        "the test split stops and keeps": (decides, lambda: _test_instead("is_better", "is_over")),
        "the test split chooses the best epoch": (decides, lambda: _test_instead("is_better")),
        "the test split stops the training": (decides, lambda: _test_instead("is_over")),
        **{
            f"validation images go through {kind}": (f"{plain}[{kind}]", lambda kind=kind: _augmented_validation(kind))
            for kind in kinds()
        },
        "a share's interval is one-sided": (sides, lambda: _one_sided("_wilson")),
        "a bootstrap interval is one-sided": (sides, lambda: _one_sided("percentile_interval")),
        "a mean's interval is one-sided": (sides, lambda: _one_sided("_around")),
        "biases decay": (f"{PARTS}::test_a_step_without_gradient_shrinks_weights_only", _decay_on_biases),
        "views without the mirror image": (f"{VIEWS}::test_probabilities_are_averaged", _views_without_mirror),
        "flips are left out": ("tests/data/augment/test_operations.py::test_flips_are_exact", _flips_left_out),
    }
