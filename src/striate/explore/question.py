"""What a request asks of a network about an image: which of its answers, why."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from torch import Tensor

from striate.inside.explanation import Report
from striate.predict import Predictor
from striate.task import Outputs
from striate.task.views import each

from .desk import Cancel, desk, word
from .shelf import Entry
from .workspace import Workspace

MOST = 8  # answers that are named


@dataclass(frozen=True)
class Question:
    """A network and an image by id, and what is asked about: one of the task's choices, None for what it answers."""

    workspace: Workspace
    model: str
    entry: Entry
    which: str | None

    @classmethod
    def of(cls, request: Request) -> "Question":
        """Return the question of a request: `model`, `image` and `target` of its query.

        Raises:
            NotKnown: there is no such network or image.
        """
        space = desk(request).workspace
        model = space.subject(word(request, "model")).id
        return cls(space, model, space.shelf.find(word(request, "image")), word(request, "target", "") or None)

    def subject(self) -> tuple[Predictor, Tensor]:
        """Return the network, and what it gets of the image (1, C, H, W); call it in the worker's thread.

        Raises:
            DataError: the image cannot be read, or the network takes volumes.
        """
        predictor = self.workspace.predictor(self.model)
        inputs = predictor.inputs([self.workspace.stored(self.model, self.entry)])
        return predictor, inputs


def levels_of(predictor: Predictor, inputs: Tensor) -> npt.NDArray[np.uint8]:
    """Return what a network sees of one image as levels (C, H, W)."""
    return np.ascontiguousarray(predictor.seen(inputs)[0].transpose(2, 0, 1))


def until(cancel: Cancel, also: Callable[[int, int], object] = lambda done, num: None) -> Report:
    """Return a report of steps that ends the work where nobody waits for it."""

    def report(done: int, num: int) -> None:
        cancel.check()
        also(done, num)

    return report


def ranked(predictor: Predictor, outputs: Outputs) -> list[dict[str, Any]]:
    """Return the most probable of what a network answers to one image; nothing where answers have no probability."""
    decoded = predictor.task.decode(each(lambda values: values / predictor.temperature, outputs))
    if decoded.probabilities is None or decoded.probabilities.ndim != 2:
        return []
    shares = decoded.probabilities[0].tolist()
    pairs = sorted(zip(predictor.task.names, shares, strict=True), key=lambda pair: -pair[1])
    return [{"name": name, "probability": share} for name, share in pairs[:MOST]]
