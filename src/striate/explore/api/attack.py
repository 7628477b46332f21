"""FGSM: which way each number of an image is moved, and what a network answers at each step of that way."""

from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from striate.base.errors import SettingsError
from striate.inside.adversarial import (
    LEVELS,
    Flips,
    PixelSpace,
    flips,
    lowering,
    own_answer,
    raising,
    require_answers,
    wanted,
)
from striate.task import Task
from striate.web.wire import packed

from ..desk import Cancel, desk
from ..question import Question, levels_of

MOST = 5  # classes whose probabilities are sent


async def attack(request: Request) -> Response:
    """The way of FGSM (C, H, W) as 0 down, 1 stay, 2 up, and the answers at each eps of 0 to 16 levels of 255.

    Of `target` in the query the attack makes the answer; without one it makes any other.
    """
    question = Question.of(request)

    def made(cancel: Cancel) -> Response:
        predictor, inputs = question.subject()
        task, space = predictor.task, PixelSpace(predictor.mean, predictor.std)
        require_answers(task)
        own = own_answer(predictor.network, task, inputs)
        name = question.which
        losses = raising(task, own) if name is None else lowering(task, wanted(task, own, name))
        found = flips(predictor.network, space.pixels(inputs), losses, task, space)
        shares = found.probabilities
        if shares is None:
            raise SettingsError("the answers have no probabilities", where="attack", fix="choose another network")
        kept = np.argsort(-shares.max(0), kind="stable")[:MOST]
        answers = answers_of(found, task)
        head = {
            "eps": list(found.eps),
            "answers": answers,
            "smallest": _level(found, [one != answers[0] for one in answers]),
            "reached": None if name is None else _level(found, [name in one for one in answers]),
            "names": [task.names[index] for index in kept],
            "choices": list(task.names),
        }
        arrays: dict[str, npt.NDArray[Any]] = {
            "levels": levels_of(predictor, inputs),
            "way": (found.direction + 1).astype(np.uint8),
            "shares": shares[:, kept].T.astype(np.float32),
        }
        return packed(head, arrays)

    return await desk(request).work.run(request, made)


def answers_of(found: Flips, task: Task) -> list[list[str]]:
    """Return the names that are answered at each eps: a class, or tags."""
    values: npt.NDArray[np.int64] = found.values.astype(np.int64)
    if values.ndim == 1:
        return [[task.names[index]] for index in values.tolist()]
    return [[task.names[index] for index in np.flatnonzero(row)] for row in values]


def _level(found: Flips, is_it: list[bool]) -> int | None:
    """The first eps, in levels, of which something is so."""
    return round(LEVELS * found.eps[is_it.index(True)]) if any(is_it) else None


ROUTES: list[BaseRoute] = [Route("/api/attack", attack)]
