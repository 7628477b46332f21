"""striate serve."""

import secrets
import socket
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from striate.base.errors import SettingsError
from striate.base.progress import say

from . import help as h
from . import options as o

LOCAL = ("127.0.0.1", "localhost", "[::1]")


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(short_help="Answer to images over HTTP", rich_help_panel=h.USE)(serve)


def serve(
    run: o.RunPath,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="By default the first that is free, from 8765 on.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; other than this machine's own it needs the token it prints.")
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A name under which requests may reach it; repeatable.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="STRIATE_TOKEN", help="The token to ask for, instead of a new one.")
    ] = None,
    engine: Annotated[str, typer.Option(help="onnxruntime where it is installed, or torch.")] = "onnxruntime",
    threads: o.Threads = None,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Answer to images over HTTP: POST /predict (a file, or JSON with base64), GET /health, GET /info, and a page.

    Requests that come while the network works are answered together in its next pass.

    \b
    Examples:
      striate serve runs/001-bipyramid-regularized
      striate serve runs/001-bipyramid-regularized --host 0.0.0.0
      curl --data-binary @robin.jpg http://127.0.0.1:8765/predict
    """
    if missing := [name for name in ("starlette", "uvicorn") if find_spec(name) is None]:
        what = f"the server needs {' and '.join(missing)}"
        raise SettingsError(what, where="serve", fix='pip install "striate[explore]"')
    o.use_threads(threads)
    import torch

    from striate.base.choose import choose
    from striate.serve.answerer import Answerer
    from striate.serve.app import create_app
    from striate.web.listen import address_of, bound, names_of
    from striate.web.listen import run as answer

    choose("engine", engine, dict.fromkeys(("onnxruntime", "torch")))
    answerer = Answerer(run, threads=torch.get_num_threads(), uses_onnx=engine == "onnxruntime")
    if answerer.remark:
        say(f"served by torch: {answerer.remark}")
    is_local = host in LOCAL
    token = token or (None if is_local else secrets.token_urlsafe(24))
    with bound(port, host) as listener:
        number = listener.getsockname()[1]
        names = [*LOCAL, *(allow_host or []), *([] if is_local else [host, *names_of(host), socket.gethostname()])]
        address = address_of(listener, f"#token={token}" if token else "")
        if as_json:
            o.give({"command": "serve", "address": address, "token": token, "engine": answerer.engine}, "", as_json)
            sys.stdout.flush()
        else:
            say(f"{address}  (Ctrl-C stops it)")
        answer(create_app(answerer, [f"{name}:{number}" for name in names], token), listener)
