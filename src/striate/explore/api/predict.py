"""What a network says of an image: what `striate predict` says, how long it took, and how the image was prepared."""

import time
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from striate.base.errors import DataError
from striate.predict import Predictor
from striate.predict.prediction import Prediction
from striate.predict.upload import checked
from striate.web.wire import packed

from ..desk import Cancel, desk, word
from ..shelf import MAX_PIXELS, Entry
from ..workspace import PLANE

MAX_SIDE = 512  # of an answer that is drawn


async def predict(request: Request) -> Response:
    """The prediction for an image."""
    here = desk(request)
    model, entry = word(request, "model"), here.workspace.shelf.find(word(request, "image"))
    here.workspace.subject(model)

    def answer(cancel: Cancel) -> Response:
        predictor = here.workspace.predictor(model)
        if not predictor.reads_images or len(predictor.geometry.size_hw) != PLANE:
            noun = predictor.noun.many
            fix = f"`striate predict RUN FILE` answers for {noun}; Dataset shows the run's own here"
            raise DataError(f"this network takes {noun}, no images", where=entry.title, fix=fix)
        start = time.perf_counter()
        found = predictor([entry.path], doubtful=[])[0]
        time_s = time.perf_counter() - start
        steps, arrays = prepared(predictor, entry)
        head = {
            "prediction": found.to_json() | {"id": entry.title},
            "line": found.line(5),
            "unit": predictor.task.unit,
            "time_ms": 1000 * time_s,
            "steps": steps,
        }
        drawn = _drawn(found, entry)
        return packed(head, arrays | ({} if drawn is None else {"drawn": drawn}))

    return await here.work.run(request, answer)


def prepared(predictor: Predictor, entry: Entry) -> tuple[list[dict[str, Any]], dict[str, npt.NDArray[Any]]]:
    """How an image becomes what the network gets: a line and the pixels (C, H, W) of each step."""
    own = checked(entry.content(), name=entry.title, max_pixels=MAX_PIXELS)
    stored = predictor.fitted(entry.path)
    inputs = predictor.inputs([stored])[0]
    low, high = float(inputs.min()), float(inputs.max())
    fit = predictor.geometry.fit
    mean, std = (", ".join(f"{one:.4g}" for one in values) for values in (predictor.mean, predictor.std))
    steps = [
        {"name": "own", "text": f"the file: {own.shape[1]} × {own.shape[0]} pixels, {own.shape[2]} channels"},
        {"name": "fitted", "text": f"fitted ({fit}): {stored.shape[1]} × {stored.shape[0]} pixels"},
        {"name": "given", "text": f"over 255, less the mean {mean}, over {std}: {low:.4g} to {high:.4g}"},
    ]
    arrays = {"own": _small(own), "fitted": _small(stored)} if stored.dtype == np.uint8 else {"own": _small(own)}
    return steps, arrays


def _small(pixels: npt.NDArray[Any], side: int = 160) -> npt.NDArray[np.uint8]:
    step = max(1, -(-max(pixels.shape[:2]) // side))
    shown = pixels[::step, ::step]
    kept = shown if shown.shape[2] == 3 else shown[..., :1]
    return np.ascontiguousarray(kept.transpose(2, 0, 1)).astype(np.uint8)


def _drawn(found: Prediction, entry: Entry) -> npt.NDArray[np.uint8] | None:
    """A map of classes over its image, or an image that was made, as (3 or 1, H, W)."""
    if found.map is None:
        return None
    if found.is_image:
        return _small(found.image, MAX_SIDE)
    if np.issubdtype(found.map.dtype, np.integer):
        return _small(found.overlay(entry.path), MAX_SIDE)
    return None


ROUTES: list[BaseRoute] = [Route("/api/predict", predict)]
