"""Occlusion: how a score falls as a patch covers the image, place by place; and one covered image with its answer."""

from typing import Any

import torch
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from torch import Tensor

from striate.base.choose import choose
from striate.base.errors import SettingsError
from striate.inside.explain import explain, objective_of
from striate.inside.explanation import scores_of
from striate.inside.occlusion import cover, covers
from striate.inside.tap import borrowed
from striate.predict import Predictor
from striate.web.guard import NotKnown
from striate.web.wire import packed

from ..desk import Cancel, Report, desk, whole, word
from ..question import Question, levels_of, ranked, until

MAX_PLACES = 4096
MAX_SIDE = 1 << 12
FILLS: dict[str, float | None] = {"mean": None, "black": 0.0, "grey": 0.5, "white": 1.0}  # pixels in 0..1


async def occlusion(request: Request) -> Response:
    """The fall of the score at each place of the patch, with progress."""
    question, patch, stride, fill = Question.of(request), *_patch(request)

    def work(cancel: Cancel, report: Report) -> dict[str, Any]:
        predictor, inputs = question.subject()
        places, grid = covers((inputs.shape[2], inputs.shape[3]), patch, stride)
        if len(places) > MAX_PLACES:
            fix = "choose a larger stride"
            raise SettingsError(f"{len(places):,} places of the patch", where="occlusion", fix=fix)
        steps = until(cancel, lambda done, num: report({"progress": done / num, "done": done, "num": num}))
        settings = {"patch": patch, "stride": stride, "fill": _filling(predictor, fill)}
        (one,) = explain(
            predictor.network,
            predictor.task,
            inputs,
            method="occlusion",
            which=question.which,
            report=steps,
            **settings,
        )
        falls = [] if one.coarse is None else one.coarse.ravel().tolist()
        return one.to_json() | {"grid": list(grid), "falls": falls}

    return desk(request).work.stream(request, work)


async def covered(request: Request) -> Response:
    """The image covered at one place (C, H, W), its score and what the network answers to it."""
    question, patch, stride, fill = Question.of(request), *_patch(request)
    index = whole(request, "place", low=0, high=MAX_PLACES)

    def made(cancel: Cancel) -> Response:
        predictor, inputs = question.subject()
        places, _ = covers((inputs.shape[2], inputs.shape[3]), patch, stride)
        if index >= len(places):
            raise NotKnown(f"there are {len(places)} places of the patch", fix="choose one of them")
        place = places[index]
        image = cover(inputs[0], place, _filling(predictor, fill))[None]
        with borrowed(predictor.network) as probe, torch.no_grad():
            objective = objective_of(probe, predictor.task, inputs, question.which)
            before, after = (float(scores_of(probe, probe.ready(one), objective)[0]) for one in (inputs, image))
            answers = ranked(predictor, probe(probe.ready(image)))
        box = [*place.start, *place.stop]
        head = {"score": after, "fall": before - after, "ranked": answers, "box": box}
        return packed(head, {"levels": levels_of(predictor, image)})

    return await desk(request).work.run(request, made)


def _patch(request: Request) -> tuple[int, int, str]:
    """Side, stride and filling of the patch."""
    fill = word(request, "fill", "mean")
    choose("filling", fill, FILLS)
    patch, stride = (whole(request, name, low=1, high=MAX_SIDE) for name in ("patch", "stride"))
    return patch, stride, fill


def _filling(predictor: Predictor, name: str) -> Tensor | float:
    """What a patch shows, normalised as images are: 0 is the mean of the training images."""
    pixel = FILLS[name]
    if pixel is None:
        return 0.0
    values = [(pixel - mean) / std for mean, std in zip(predictor.mean, predictor.std, strict=True)]
    return torch.tensor(values).view(-1, 1, 1)


ROUTES: list[BaseRoute] = [Route("/api/occlusion", occlusion), Route("/api/occlusion/covered", covered)]
