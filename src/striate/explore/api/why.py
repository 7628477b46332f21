"""Why: what a network answers, on which pixels that hangs, and whether that has to do with its weights."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from striate.base.choose import choose
from striate.inside.explain import CAVEATS, METHODS, TITLES, explain, how
from striate.inside.explanation import Explanation
from striate.inside.sanity import LIMIT, check
from striate.inside.tap import borrowed
from striate.web.wire import packed

from ..desk import Cancel, desk, whole, word
from ..question import Question, levels_of, ranked, until

MAX_STEPS = 256


async def answer(request: Request) -> Response:
    """What the network answers, what can be explained of it, and what it saw (C, H, W)."""
    question = Question.of(request)
    return await desk(request).work.run(request, lambda cancel: _answer(question))


def _answer(question: Question) -> Response:
    predictor, inputs = question.subject()
    with borrowed(predictor.network) as probe, torch.no_grad():
        outputs = probe(probe.ready(inputs))
    most = ranked(predictor, outputs)
    if predictor.reads_images:
        said = predictor([question.entry.path], doubtful=[])[0].line(1)
    else:
        said = f"{most[0]['name']} {most[0]['probability']:.1%}" if most else ""
    head = {
        "choices": list(predictor.task.choices),
        "usual": predictor.task.objective(outputs).names[0],
        "answer": said,
        "ranked": most,
    }
    return packed(head, {"levels": levels_of(predictor, inputs)})


async def why(request: Request) -> Response:
    """One method's map (H, W) over what the network saw, with what it is of and how it was made."""
    question, method, settings = Question.of(request), _method(request), _settings(request)

    def made(cancel: Cancel) -> Response:
        predictor, inputs = question.subject()
        (one,) = explain(
            predictor.network,
            predictor.task,
            inputs,
            method=method,
            which=question.which,
            report=until(cancel),
            **settings,
        )
        return packed(_head(one), {"map": one.map.astype(np.float32)})

    return await desk(request).work.run(request, made)


def _head(one: Explanation) -> dict[str, Any]:
    known = one.to_json() | {"gap": one.gap, "is_signed": one.is_signed}
    return known | {"title": TITLES[one.method], "caveat": CAVEATS[one.method], "how": how(replace(one, gap=None))}


async def sanity(request: Request) -> Response:
    """One method's maps (stages, H, W) as weights become random from the top down, and their rank correlations."""
    question, method, settings = Question.of(request), _method(request), _settings(request)
    seed = whole(request, "seed", 0, low=0, high=1 << 20)

    def made(cancel: Cancel) -> Response:
        predictor, inputs = question.subject()
        found = check(
            predictor.network,
            predictor.task,
            inputs,
            method=method,
            which=question.which,
            seed=seed,
            report=until(cancel),
            **settings,
        )
        return packed(found.to_json() | {"limit": LIMIT, "seed": seed}, {"maps": found.maps.astype(np.float32)})

    return await desk(request).work.run(request, made)


def _method(request: Request) -> str:
    method = word(request, "method")
    choose("method", method, METHODS)
    return method


def _settings(request: Request) -> dict[str, Any]:
    """The settings of a method that the page offers."""
    if request.query_params.get("method") != "integrated":
        return {}
    return {"steps": whole(request, "steps", 32, low=2, high=MAX_STEPS)}


ROUTES: list[BaseRoute] = [
    Route("/api/answer", answer),
    Route("/api/why", why),
    Route("/api/why/sanity", sanity),
]
