"""A network's rows, what they cost and see, for an image of any size; and its drawing."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from striate.inside import architecture
from striate.web.wire import document

from ..desk import desk, whole

MAX_SIDE = 2048


async def described(request: Request) -> Response:
    """The table."""
    return document(await desk(request).work.run(request, lambda cancel: _of(request, architecture.describe)))


async def drawing(request: Request) -> Response:
    """The drawing, as SVG."""
    content = await desk(request).work.run(request, lambda cancel: _of(request, architecture.drawing))
    return Response(content, media_type="image/svg+xml")


def _of(request: Request, ask: Any) -> Any:
    """What is asked of the network for the size in the query; 0 is the network's own."""
    predictor = desk(request).workspace.predictor(request.path_params["model"])
    own = predictor.geometry.size_hw
    sides = [whole(request, name, 0, low=0, high=MAX_SIDE) or own[axis] for axis, name in enumerate(("h", "w"))]
    return ask(predictor.network, (sides[0], sides[1]), predictor.geometry.channels)


ROUTES: list[BaseRoute] = [
    Route("/api/models/{model}/architecture", described),
    Route("/api/models/{model}/drawing", drawing),
]
