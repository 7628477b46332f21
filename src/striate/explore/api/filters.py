"""The kernels of a network's convolutions: as they are, how long and how alike they are, and before training."""

from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from torch import nn

from striate.inside.initial import initial
from striate.inside.kernels import Kernels, all_kernels, kernels_of
from striate.web.guard import NotKnown
from striate.web.wire import document, packed

from ..desk import Cancel, desk, whole, word

Arrays = dict[str, npt.NDArray[Any]]
MAX_KERNELS = 64  # of a page
MAX_CHANNELS = 16  # of each kernel of a page
MAX_ALIKE = 512  # kernels whose likeness is sent: 1 MB


async def listed(request: Request) -> Response:
    """The convolutions, in order."""

    def described(cancel: Cancel) -> dict[str, Any]:
        rows = [{"name": one.name, "shape": list(_flat(one).weights.shape)} for one in all_kernels(_network(request))]
        return {"layers": rows, "has_before": _before(request) is not None}

    return document(await desk(request).work.run(request, described))


async def page(request: Request) -> Response:
    """Some kernels of a layer with their first channels, and what is known of all."""
    head, arrays = await desk(request).work.run(request, lambda cancel: _page(request))
    return packed(head, arrays)


async def one(request: Request) -> Response:
    """One kernel with all its channels."""
    head, arrays = await desk(request).work.run(request, lambda cancel: _one(request))
    return packed(head, arrays)


def _page(request: Request) -> tuple[dict[str, Any], Arrays]:
    now, before = _layer(request), _layer_before(request)
    first = whole(request, "first", 0, low=0, high=len(now))
    some = slice(first, first + MAX_KERNELS), slice(0, MAX_CHANNELS)
    arrays: Arrays = {"weights": now.weights[some], "norms": now.norms}
    if len(now) <= MAX_ALIKE:
        arrays["similarity"] = now.similarity
    if before is not None:
        arrays |= {"before": before.weights[some], "norms_before": before.norms, "change": now.change(before)}
    largest = float(np.abs(now.weights).max())
    return {"shape": list(now.weights.shape), "first": first, "largest": largest}, arrays


def _one(request: Request) -> tuple[dict[str, Any], Arrays]:
    now, before = _layer(request), _layer_before(request)
    index = whole(request, "kernel", low=0, high=len(now) - 1)
    arrays: Arrays = {"weights": now.weights[index]}
    if before is not None:
        arrays["before"] = before.weights[index]
    return {"kernel": index}, arrays


def _network(request: Request) -> nn.Module:
    return desk(request).workspace.predictor(request.path_params["model"]).network


def _layer(request: Request) -> Kernels:
    return _named(_network(request), word(request, "layer"))


def _layer_before(request: Request) -> Kernels | None:
    found = _before(request)
    return None if found is None else _named(found, word(request, "layer"))


def _before(request: Request) -> nn.Module | None:
    """The network before it was trained, where the run began with fresh weights."""
    space, id_ = desk(request).workspace, request.path_params["model"]
    run = space.subject(id_).run
    if run is None or run.info().get("start") is not None:
        return None
    seed = int(run.info()["seed"])
    found: nn.Module | None = space.passes.ensure(("before", id_), lambda: initial(_network(request), seed))
    return found


def _named(network: nn.Module, name: str) -> Kernels:
    found = [one for one in kernels_of(network, name) if one.name == name]
    if not found:
        raise NotKnown("the network has no such convolution", fix="choose one of the list")
    return _flat(found[0])


def _flat(kernels: Kernels) -> Kernels:
    """Kernels of volumes as channels that lie behind each other."""
    weights = kernels.weights
    return (
        Kernels(kernels.name, weights.reshape(len(weights), -1, *weights.shape[3:])) if weights.ndim == 5 else kernels
    )


ROUTES: list[BaseRoute] = [
    Route("/api/models/{model}/filters", listed),
    Route("/api/models/{model}/filters/page", page),
    Route("/api/models/{model}/filters/kernel", one),
]
