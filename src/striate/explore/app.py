"""The server of the page: its parts put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from striate.base.errors import UserError
from striate.web import guard

from . import api
from .desk import Desk
from .workspace import Workspace

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
STATIC = files("striate.explore") / "static"


def create_app(workspace: Workspace, port: int) -> ASGIApp:
    """Return the application for a port of this machine."""
    desk = Desk(workspace)
    pages = static_files()

    async def page(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in pages:
            raise HTTPException(404, "no such page")
        content, kind = pages[name]
        return Response(content, media_type=kind)

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            desk.close()

    routes = [*api.routes(), Route("/", page), Route("/static/{name:path}", page)]
    app = Starlette(
        routes=routes,
        lifespan=life,
        exception_handlers={
            UserError: guard.on_user_error,
            HTTPException: guard.on_http_error,
            guard.Cancelled: guard.on_cancelled,
            Exception: guard.on_bug,
        },
    )
    app.state.desk = desk
    return guard.Guard(app, [f"{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]")])


def static_files() -> dict[str, tuple[bytes, str]]:
    """Return the files of the page: name -> content and type; nothing else is ever served."""
    found = {}
    for folder, prefix in ((STATIC, ""), (STATIC / "views", "views/")):
        for one in folder.iterdir():
            kind = TYPES.get("." + one.name.rpartition(".")[2])
            if one.is_file() and kind:
                found[prefix + one.name] = (one.read_bytes(), kind)
    return found
