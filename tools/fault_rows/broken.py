"""Deliberately broken builds: a row that passes one of them proves nothing.

Each breaks this process, so that the commands forked from it are broken; the row named with it must fail.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def _patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _without_random_state() -> Any:
    import torch

    return _patched(torch, "set_rng_state", lambda state: None)


def _without_moments() -> Any:
    from striate.train import checkpoint

    return _patched(checkpoint, "unpack_optimiser", lambda optimiser, tensors, numbers: None)


def _without_schedule() -> Any:
    from striate.run.training import Training

    restore = Training.restore

    def from_zero(self: Any, state: Any) -> None:
        restore(self, state)
        rate, done = self.update.rate_at, self.position.step
        self.update.rate_at = lambda step: rate(step - done)

    return _patched(Training, "restore", from_zero)


def _without_rename() -> Any:
    from contextlib import contextmanager as manager

    from striate.train import checkpoint

    @manager
    def in_place(path: Any) -> Iterator[Any]:
        path.mkdir(parents=True, exist_ok=True)
        yield path

    return _patched(checkpoint, "whole_folder", in_place)


def _without_checksums() -> Any:
    from striate.train import checkpoint

    return _patched(checkpoint, "_damage", lambda path: None)


def _without_escaping() -> Any:
    from striate.report import page

    return _patched(page._environment(), "autoescape", False)


def _grey_for_missing() -> Any:
    from PIL import ImageFile

    return _patched(ImageFile, "LOAD_TRUNCATED_IMAGES", True)


def _sorted_at_predict() -> Any:
    from striate.predict import predictor

    parse = predictor.from_json

    def ordered(document: dict[str, Any]) -> Any:
        return parse(document | {"names": sorted(document["names"])})

    return _patched(predictor, "from_json", ordered)


def _silent_skip() -> Any:
    from striate.data.finding import Findings

    return _patched(Findings, "require_usable", lambda self, dataset: None)


BROKEN: dict[str, tuple[str, Callable[[], Any]]] = {
    "random state not restored": ("F5", _without_random_state),
    "optimiser's moments not restored": ("F5", _without_moments),
    "schedule starts again": ("F5", _without_schedule),
    "checkpoint written in place": ("F1", _without_rename),
    "checksums not looked at": ("F4", _without_checksums),
    "report does not escape": ("I1", _without_escaping),
    "half a picture is filled with grey": ("A2", _grey_for_missing),
    "classes sorted at predict time": ("B6", _sorted_at_predict),
    "bad files left out silently": ("A1", _silent_skip),
}
