"""Who may ask, and how much: hosts, origins, size and time of bodies, the headers of every answer, errors as JSON."""

import asyncio
import logging
import secrets
from collections.abc import Iterable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from striate.base.errors import DataError, ModelError, ResourceError, SettingsError, UserError

from .wire import document

MAX_BODY_BYTES = 32 << 20
TOO_LARGE = (f"larger than {MAX_BODY_BYTES >> 20} MB", "give a smaller file")
BODY_TIME_S = 20.0  # in which a body must have come
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
RAW_HEADERS = [(key.lower().encode(), value.encode()) for key, value in HEADERS.items()]
FEW_PATHS = 8  # that an error lists
log = logging.getLogger("striate.web")


class NotKnown(UserError):
    """An id, or a part of a network, that is not there."""


class Busy(ResourceError):
    """More work waits than can be done soon."""


class Refused(HTTPException):
    """A request that is refused, with what its sender can do."""

    def __init__(self, status: int, what: str, fix: str) -> None:
        super().__init__(status, what)
        self.fix = fix


class Cancelled(Exception):
    """Whoever asked has gone."""


STATUS: dict[type[UserError], int] = {
    NotKnown: 404,
    Busy: 503,
    DataError: 422,
    ModelError: 422,
    SettingsError: 400,
    ResourceError: 503,
}


class Guard:
    """Lets through what comes from this server's own page, or from a program; puts the headers on every answer.

    Args:
        hosts: with port, that a request may name as its host.
        needs_origin: whether what is more than reading must come from a page of this server; else programs, which
            name no page, are let through too.
        token: that every request must bear, except to the paths `free`.
    """

    def __init__(
        self, app: ASGIApp, hosts: Iterable[str], *, needs_origin: bool = True, token: str | None = None,
        free: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self.app = app
        self.hosts = frozenset(hosts)
        self.origins = frozenset(f"http://{host}" for host in self.hosts)
        self.needs_origin, self.token, self.free = needs_origin, token, frozenset(free)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += RAW_HEADERS
            await send(message)

        refusal = self._refusal(Request(scope))
        await (refusal or self.app)(scope, _limited(receive), send_guarded)

    def _refusal(self, request: Request) -> Response | None:
        origin, is_reading = request.headers.get("origin"), request.method in {"GET", "HEAD"}
        if request.headers.get("host", "").lower() not in self.hosts:
            return _said(403, "the host of the request is not this server's", "open the address that striate printed")
        if (origin is None and self.needs_origin and not is_reading) or (
            origin is not None and origin not in self.origins
        ):
            return _said(403, "the request comes from another page", "use the page of this server")
        given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        if self.token and request.url.path not in self.free and not secrets.compare_digest(given, self.token.encode()):
            return _said(401, "the token is missing or wrong", "send the header Authorization: Bearer TOKEN")
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > MAX_BODY_BYTES:
            return too_large()
        return None


def too_large() -> Response:
    """Return the answer to a body over the cap."""
    return _said(413, *TOO_LARGE)


def _limited(receive: Receive) -> Receive:
    """Receive a body no larger, and no slower, than is allowed."""
    count, end, is_whole = 0, asyncio.get_running_loop().time() + BODY_TIME_S, False

    async def receive_limited() -> Message:
        nonlocal count, is_whole
        if is_whole:
            return await receive()
        try:
            async with asyncio.timeout_at(end):
                message = await receive()
        except TimeoutError:
            raise Refused(408, "the body came too slowly", f"send it within {BODY_TIME_S:g} s") from None
        count += len(message.get("body", b""))
        if count > MAX_BODY_BYTES:
            raise Refused(413, *TOO_LARGE)
        is_whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    return receive_limited


def _said(status: int, what: str, fix: str = "", **more: Any) -> Response:
    return document({"error": {"what": what, "fix": fix, **more}}, status)


async def on_user_error(request: Request, problem: Exception) -> Response:
    """Say what a user can mend; folders of this machine stay out of it."""
    assert isinstance(problem, UserError)
    status = next((code for kind, code in STATUS.items() if isinstance(problem, kind)), 400)
    reply = _said(status, problem.what, problem.fix)
    if status == 503:
        reply.headers["Retry-After"] = "1"
    return reply


async def on_http_error(request: Request, problem: Exception) -> Response:
    """Say what is wrong with a request."""
    assert isinstance(problem, HTTPException)
    return _said(problem.status_code, problem.detail, _fix_of(problem, request))


def _fix_of(problem: HTTPException, request: Request) -> str:
    if isinstance(problem, Refused):
        return problem.fix
    if allowed := (problem.headers or {}).get("Allow"):
        return f"use {allowed}"
    paths = [route.path for route in request.app.routes if isinstance(route, Route)]
    return f"ask for one of {', '.join(paths)}" if len(paths) <= FEW_PATHS else "reload the page"


async def on_cancelled(request: Request, problem: Exception) -> Response:
    """Nobody is there to read it."""
    return Response(status_code=499)


async def on_bug(request: Request, problem: Exception) -> Response:
    """Say that it is our bug, with a number under which the log has it."""
    number = secrets.token_hex(4)
    log.error("bug %s in %s", number, request.url.path, exc_info=problem)
    return _said(500, f"a bug in striate, {number}", "the terminal has what happened under this number", id=number)
