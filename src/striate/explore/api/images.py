"""The images: lists, thumbnails, and what is dropped on the page."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from striate.base.errors import DataError
from striate.web.wire import document

from ..desk import desk, whole, word

MAX_NAME = 200


async def listed(request: Request) -> Response:
    """The images for a network: those of its run, what was dropped, drawn patterns."""
    here = desk(request)
    subject, shelf = here.workspace.subject(word(request, "model")), here.workspace.shelf
    run = subject.run
    own = [] if run is None else await here.reads.run(request, lambda cancel: shelf.of_run(run))
    return document({"images": [entry.to_json() for entry in [*shelf.uploads, *own, *shelf.patterns]]})


async def add(request: Request) -> Response:
    """Take the bytes of an image file; its name is in the query."""
    here, name = desk(request), word(request, "name", "image")[:MAX_NAME]
    content = await request.body()
    if not content:
        raise DataError("an empty file", where=name, fix="give an image")
    entry = await here.reads.run(request, lambda cancel: here.workspace.shelf.add(content, name))
    return document(entry.to_json(), 201)


async def thumbnail(request: Request) -> Response:
    """A small PNG of an image."""
    here, id_ = desk(request), request.path_params["image"]
    side = whole(request, "side", 96, low=16, high=512)
    content = await here.reads.run(request, lambda cancel: here.workspace.shelf.thumbnail(id_, side))
    return Response(content, media_type="image/png", headers={"ETag": f'"{id_}-{side}"'})


ROUTES: list[BaseRoute] = [
    Route("/api/images", listed),
    Route("/api/images", add, methods=["POST"]),
    Route("/api/images/{image}/thumbnail", thumbnail),
]
