"""Run the page's server on this machine until it is stopped."""

import socket
import webbrowser
from threading import Timer

from striate.web.listen import run

from .app import create_app
from .workspace import Workspace


def serve(workspace: Workspace, listener: socket.socket, *, is_opening: bool, address: str) -> None:
    """Serve the page until Ctrl-C or SIGTERM; requests that are at work are answered first.

    Args:
        address: what the browser opens, see `web.listen.address_of`.

    Raises:
        Terminated: SIGTERM came.
    """
    if is_opening:
        timer = Timer(0.4, webbrowser.open, [address])
        timer.daemon = True
        timer.start()
    run(create_app(workspace, listener.getsockname()[1]), listener)
