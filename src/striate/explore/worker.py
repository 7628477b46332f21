"""The threads that work on networks: one for passes through them, one for reading what is there already."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import StreamingResponse

from striate.base.errors import UserError
from striate.base.files import to_json
from striate.web.guard import Busy, Cancelled, log

T = TypeVar("T")
Report = Callable[[dict[str, Any]], None]
MAX_WAITING = 32
LOOK_S = 0.05  # how often it is seen whether whoever asked has gone


class Cancel:
    """Whether whoever asked has gone. Long work calls `check` between its steps."""

    def __init__(self) -> None:
        self._event = Event()

    def set(self) -> None:
        """Say that nobody waits for the result."""
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether nobody waits for the result."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise Cancelled where nobody waits for the result."""
        if self.is_set:
            raise Cancelled


class Worker:
    """A thread that does one thing after the other."""

    def __init__(self, name: str, max_waiting: int = MAX_WAITING) -> None:
        self.max_waiting, self.num_waiting = max_waiting, 0
        self._thread = ThreadPoolExecutor(1, name)

    async def run(self, request: Request, call: Callable[[Cancel], T]) -> T:
        """Return `call(cancel)`, done in the thread; `cancel` is set when the browser has closed the connection.

        Raises:
            Busy: too much waits already.
            Cancelled: the browser has gone.
        """
        cancel = Cancel()
        future = self._begin(lambda: call(cancel), cancel)
        while not future.done():
            await asyncio.wait({future}, timeout=LOOK_S)
            if not future.done() and await request.is_disconnected():
                cancel.set()
        return future.result()

    def stream(self, request: Request, call: Callable[[Cancel, Report], dict[str, Any]]) -> StreamingResponse:
        """Return an answer of JSON lines: what `call(cancel, report)` reports as it goes, then its result.

        A line is {"progress": 0..1, ...}, the last {"result": ...} or {"error": {...}}.
        """
        loop, lines, cancel = asyncio.get_running_loop(), asyncio.Queue[dict[str, Any]](), Cancel()

        def report(line: dict[str, Any]) -> None:
            cancel.check()
            loop.call_soon_threadsafe(lines.put_nowait, line)

        def work() -> None:
            try:
                line = {"result": call(cancel, report)}
            except UserError as problem:
                line = {"error": {"what": problem.what, "fix": problem.fix}}
            except Cancelled:
                return
            except Exception:
                log.exception("bug in a long request")
                line = {"error": {"what": "a bug in striate", "fix": "the terminal has what happened"}}
            loop.call_soon_threadsafe(lines.put_nowait, line)

        self._begin(work, cancel)

        async def body() -> AsyncIterator[str]:
            try:
                while True:
                    line = await lines.get()
                    yield to_json(line) + "\n"
                    if "progress" not in line:
                        return
            finally:
                cancel.set()

        return StreamingResponse(body(), media_type="application/x-ndjson")

    def _begin(self, call: Callable[[], T], cancel: Cancel) -> "asyncio.Future[T]":
        if self.num_waiting >= self.max_waiting:
            raise Busy("too many requests wait already", fix="try again in a moment")

        def begin() -> T:
            cancel.check()
            return call()

        self.num_waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._thread, begin)
        future.add_done_callback(self._end)
        return future

    def _end(self, future: "asyncio.Future[Any]") -> None:
        self.num_waiting -= 1

    def close(self) -> None:
        """Let the thread end after what it is at."""
        self._thread.shutdown(wait=True, cancel_futures=True)
