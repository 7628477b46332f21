"""A server on a port of this machine, until it is stopped."""

import socket
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from striate.base.errors import ResourceError, Terminated

HOST = "127.0.0.1"
EVERY = "0.0.0.0"  # listens at all addresses of this machine; nobody can ask for a page there
ELSEWHERE = "192.0.2.1"  # for documentation (RFC 5737): no machine has it
PORT = 8765
TRIES = 50


def bound(port: int | None, host: str = HOST) -> socket.socket:
    """Return a socket that listens: at the port, or without one at the first free from 8765 on.

    Args:
        host: the address of this machine; by default only this machine itself can connect.

    Raises:
        ResourceError: the port is busy; the message has the next free one.
    """
    if port is not None:
        found = _try(port, host)
        if found is None:
            with next_free(port + 1, host) as free:
                fix = f"use --port {free.getsockname()[1]}"
            raise ResourceError(f"port {port} is busy", where="--port", fix=fix)
        return found
    return next_free(PORT, host)


def next_free(start: int, host: str = HOST) -> socket.socket:
    """Return a socket at the first free port from `start` on."""
    tries = range(start, min(start + TRIES, 65536))
    found = next((one for port in tries if (one := _try(port, host))), None) or _try(0, host)
    if found is None:
        raise ResourceError("no port is free", where=host, fix="stop a server")
    return found


def _try(port: int, host: str) -> socket.socket | None:
    # without the protocol asyncio leaves Nagle on, and an answer waits 40 ms for its second half
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        return None
    return listener


def address_of(listener: socket.socket, path: str = "") -> str:
    """Return where the page is; `path` is what stands behind the address, such as "#view=playground"."""
    host, port = listener.getsockname()[:2]
    return f"http://{names_of(host)[0]}:{port}/{path}"


def names_of(host: str) -> list[str]:
    """Return what other machines can call a server that listens at `host`: of all addresses this machine's, its name.

    Example:
        >>> names_of("127.0.0.1")
        ['127.0.0.1']
    """
    return [host] if host != EVERY else [*_own_address(), socket.gethostname()]


def _own_address() -> list[str]:
    """The address from which this machine would send to another one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect((ELSEWHERE, 9))
        return [str(probe.getsockname()[0])]
    return []


def run(app: ASGIApp, listener: socket.socket) -> None:
    """Answer until Ctrl-C or SIGTERM; requests that are at work are answered first.

    Raises:
        Terminated: SIGTERM came.
    """
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    config.timeout_graceful_shutdown = 10
    server = _Server(config)
    server.run(sockets=[listener])
    if server.is_terminated:
        raise Terminated("Stopped by SIGTERM; what was at work was answered")


class _Server(uvicorn.Server):
    """A server that does not send the signal that ended it to its process again, and knows which it was."""

    is_terminated = False

    def handle_exit(self, sig: int, frame: object) -> None:
        self.is_terminated = sig == 15
        super().handle_exit(sig, frame)  # type: ignore[arg-type]
        self._captured_signals.clear()
