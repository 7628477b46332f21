"""The prediction server: POST /predict, GET /health, GET /info, and a page to try it on."""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from striate.base.device import num_cpus
from striate.base.errors import UserError
from striate.predict.prediction import Prediction
from striate.web import guard
from striate.web.wire import document

from .answerer import Answerer
from .batcher import Batcher

MAX_IMAGES = 64  # of one request
PAGES = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
OPEN = (*PAGES, "/health")  # without a token: nothing of the run is in them


def create_app(answerer: Answerer, hosts: Iterable[str], token: str | None = None) -> ASGIApp:
    """Return the application.

    Args:
        hosts: with port, that a request may name as its host.
        token: that a request must bear; None where only this machine can ask.
    """
    batcher, readers = Batcher(answerer), ThreadPoolExecutor(max(1, num_cpus() - 1), "read")

    async def answer(content: bytes, name: str) -> Prediction:
        if not batcher.is_working:  # nobody is kept waiting: one hand-over between threads instead of two
            return await batcher.alone(lambda: answerer([answerer.decoded(content, name)])[0])
        return await batcher(await asyncio.get_running_loop().run_in_executor(readers, answerer.decoded, content, name))

    async def predict(request: Request) -> Response:
        contents, is_several = await _contents(request)
        found = await asyncio.gather(*(answer(content, f"image {number}") for number, content in enumerate(contents)))
        answers = [_plain(one) for one in found]
        return document({"predictions": answers} if is_several else answers[0])

    async def health(request: Request) -> Response:
        return document({"status": "ok"})

    async def info(request: Request) -> Response:
        passes = {"passes": batcher.num_passes, "images": batcher.num_items}
        return document({**answerer.info, "engine": answerer.engine, "answered": passes})

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            batcher.close()
            readers.shutdown()

    routes = [
        Route("/predict", predict, methods=["POST"]),
        Route("/health", health),
        Route("/info", info),
        *(Route(path, _page(name, kind)) for path, (name, kind) in PAGES.items()),
    ]
    handlers: dict[Any, Any] = {
        UserError: guard.on_user_error,
        HTTPException: guard.on_http_error,
        Exception: guard.on_bug,
    }
    app = Starlette(routes=routes, lifespan=life, exception_handlers=handlers)
    return guard.Guard(app, hosts, needs_origin=False, token=token, free=OPEN)


def _page(name: str, kind: str) -> Any:
    content = (files("striate.serve") / "static" / name).read_bytes()

    async def page(request: Request) -> Response:
        return Response(content, media_type=kind)

    return page


async def _contents(request: Request) -> tuple[list[bytes], bool]:
    """The images' files in a request, and whether it asked for a list."""
    body, kind = await request.body(), request.headers.get("content-type", "")
    if kind.startswith("multipart/"):
        raise guard.Refused(415, "a form", "send the image itself as the body, as curl --data-binary @FILE does")
    if not (kind.startswith("application/json") or body[:1] in (b"{", b"[")):  # no image file begins like JSON
        return [body], False
    try:
        found = json.loads(body)
        several = found["images"] if "images" in found else [found["image"]]
        if not isinstance(several, list) or not 1 <= len(several) <= MAX_IMAGES:
            raise ValueError
        return [base64.b64decode(one, validate=True) for one in several], "images" in found
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        fix = f'send {{"image": BASE64}}, or {{"images": [BASE64, ...]}} of 1 to {MAX_IMAGES}'
        raise guard.Refused(400, "JSON without images in base64", fix) from None


def _plain(prediction: Prediction) -> dict[str, Any]:
    """A prediction without the name that it has here."""
    return {name: value for name, value in prediction.to_json().items() if name != "id"}
