"""Deliberately broken builds: a row that passes one of them proves nothing.

Each breaks this process, so that the commands forked from it are broken; the row named with it must fail.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Let an attribute be another in this block."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _without_random_state() -> Any:
    import torch

    return patched(torch, "set_rng_state", lambda state: None)


def _without_moments() -> Any:
    from striate.engine import checkpoint

    return patched(checkpoint, "unpack_optimiser", lambda optimiser, tensors, numbers: None)


def _without_schedule() -> Any:
    from striate.run.training import Training

    restore = Training.restore

    def from_zero(self: Any, state: Any) -> None:
        restore(self, state)
        rate, done = self.update.rate_at, self.position.step
        self.update.rate_at = lambda step: rate(step - done)

    return patched(Training, "restore", from_zero)


def _without_rename() -> Any:
    from contextlib import contextmanager as manager

    from striate.engine import checkpoint

    @manager
    def in_place(path: Any) -> Iterator[Any]:
        path.mkdir(parents=True, exist_ok=True)
        yield path

    return patched(checkpoint, "whole_folder", in_place)


def _without_checksums() -> Any:
    from striate.engine import checkpoint

    return patched(checkpoint, "_damage", lambda path: None)


def _without_escaping() -> Any:
    from striate.report import page

    return patched(page.environment(), "autoescape", False)


def _grey_for_missing() -> Any:
    from PIL import ImageFile

    return patched(ImageFile, "LOAD_TRUNCATED_IMAGES", True)


def _sorted_at_predict() -> Any:
    from striate.predict import predictor

    parse = predictor.from_json

    def ordered(document: dict[str, Any]) -> Any:
        return parse(document | {"names": sorted(document["names"])})

    return patched(predictor, "from_json", ordered)


def _silent_skip() -> Any:
    from striate.data.check.finding import Findings

    return patched(Findings, "require_usable", lambda self, dataset: None)


def _without_merging() -> Any:
    from itertools import pairwise

    from striate.data import loader

    def bounds(num: int, batch_size: int, drop_last: bool) -> list[tuple[int, int]]:
        return list(pairwise([*range(0, num, batch_size), num]))

    return patched(loader, "_bounds", bounds)


def _broken_steps() -> Any:
    from striate.engine.optim import Optimiser

    step = Optimiser.step
    return patched(Optimiser, "step", lambda self, is_finite=None: step(self))


def _undefined_is_best() -> Any:
    from striate.engine.stop import Stop

    def is_better(self: Any, score: float, loss: float, epoch: int) -> bool:
        self.best_score, self.best_loss, self.best_epoch = score, loss, epoch
        return True

    return patched(Stop, "is_better", is_better)


def _without_groups() -> Any:
    from striate.data import open as opening

    assign = opening.assign
    return patched(
        opening, "assign", lambda ids, stratum, shares, seed, groups=None: assign(ids, stratum, shares, seed)
    )


def _equal_bytes_unseen() -> Any:
    from striate.data.check.check import check

    return patched(check, "exact_groups", lambda digests, members: [])


def _equal_bytes_only() -> Any:
    from striate.data.check.check import check

    return patched(check, "look_alikes", lambda *values, **options: iter(()))


def _labels_of_copies_unseen() -> Any:
    from striate.data.check.check import check

    return patched(check, "_labels", lambda dataset, group: [])


def _without_shortcuts() -> Any:
    from striate.data.check.check import check

    return patched(check, "shortcut_findings", lambda dataset, seen: iter(()))


def _memorised_labels() -> Any:
    """Losses of the other sign: the labels that fit best lead the list."""
    from striate.task.classify import Classify

    losses = Classify.losses
    return patched(Classify, "losses", lambda self, outputs, truth: -losses(self, outputs, truth))


def _without_averages() -> Any:
    from striate.run.training import Training

    return patched(Training, "_averages", property(lambda self: {}))


def _silent_about_machine() -> Any:
    from striate.run import execute

    return patched(execute, "differences", lambda state, device: "")


def _silent_about_head() -> Any:
    from striate.model.weights import Loaded

    return patched(Loaded, "summary", property(lambda self: f"{len(self.matched)} tensors matched"))


def _same_every_epoch() -> Any:
    from striate.data.augment import Pipeline

    draw = Pipeline.draw
    return patched(Pipeline, "draw", lambda self, num, seed, epoch: draw(self, num, seed, 0))


def _kept_batches() -> Any:
    from striate.data.loader import Loader

    prepare, kept = Loader._prepare, []

    def keeping(self: Any, *rest: Any) -> Any:
        kept.append(prepare(self, *rest))
        return kept[-1]

    return patched(Loader, "_prepare", keeping)


def _silent_about_lost() -> Any:
    from striate.data import loader

    return patched(loader, "say", lambda text: None)


def _masks_as_they_lie() -> Any:
    from striate.data.sources import mask_folders

    return patched(mask_folders, "turns_of", lambda tallies: ((), ()))


def _unknown_is_background() -> Any:
    import numpy as np

    from striate.data.sources.mask_coding import Coding

    looked_up = Coding._looked_up
    return patched(Coding, "_looked_up", lambda self, stored: np.maximum(looked_up(self, stored), 0))


BROKEN: dict[str, tuple[str, Callable[[], Any]]] = {
    "random state not restored": ("F5", _without_random_state),
    "optimiser's moments not restored": ("F5", _without_moments),
    "schedule starts again": ("F5", _without_schedule),
    "checkpoint written in place": ("F1", _without_rename),
    "checksums not looked at": ("F4", _without_checksums),
    "report does not escape": ("I1", _without_escaping),
    "half an image is filled with grey": ("A2", _grey_for_missing),
    "classes sorted at predict time": ("B6", _sorted_at_predict),
    "bad files left out silently": ("A1", _silent_skip),
    "equal bytes not looked for": ("C1", _equal_bytes_unseen),
    "copies found by equal bytes only": ("C2", _equal_bytes_only),
    "turned copies not looked for": ("C3", _equal_bytes_only),
    "labels of copies not compared": ("C4", _labels_of_copies_unseen),
    "groups split like single images": ("C5", _without_groups),
    "images ranked the wrong way round": ("C6", _memorised_labels),
    "shortcuts not looked for": ("C7", _without_shortcuts),
    "a last batch of one": ("D8", _without_merging),
    "one augmentation for every epoch": ("D6", _same_every_epoch),
    "batches kept for ever": ("D7", _kept_batches),
    "a lost file not told of": ("D9", _silent_about_lost),
    "steps made on broken gradients": ("E2", _broken_steps),
    "an undefined score is the best": ("E3", _undefined_is_best),
    "differences of the machine not said": ("F7", _silent_about_machine),
    "averages not restored": ("F9", _without_averages),
    "a new head not told of": ("H4", _silent_about_head),
    "masks do not follow EXIF": ("A10m", _masks_as_they_lie),
    "an unknown number is background": ("B12", _unknown_is_background),
}
