"""Micro-batches: what comes in while the network works is answered together in its next pass."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from striate.web.guard import Busy

In = TypeVar("In")
Out = TypeVar("Out")
MAX_BATCH, MAX_WAITING = 32, 256


class Batcher(Generic[In, Out]):
    """Calls a function on lists, in one thread. An item waits for the pass that is at work, never for other items.

    Args:
        call: (B items) -> B results; an error is that of all its items.
        max_batch: items of a pass at most.
        max_waiting: items that may wait; more are refused.
    """

    def __init__(
        self, call: Callable[[Sequence[In]], Sequence[Out]], max_batch: int = MAX_BATCH, max_waiting: int = MAX_WAITING
    ) -> None:
        self.call, self.max_batch, self.max_waiting = call, max_batch, max_waiting
        self._waiting: list[tuple[In, asyncio.Future[Out]]] = []
        self._thread = ThreadPoolExecutor(1, "network")
        self.is_working = False
        self.num_passes = self.num_items = 0

    async def __call__(self, item: In) -> Out:
        """Return the result of one item.

        Raises:
            Busy: too many wait already.
        """
        if len(self._waiting) >= self.max_waiting:
            raise Busy(f"{self.max_waiting} images wait already", fix="try again in a second")
        future: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._go_on()
        return await future

    async def alone(self, make: Callable[[], Out]) -> Out:
        """Return what a function makes in the thread, as a pass of its own: for an item while nothing is at work."""
        self.is_working = True
        self.num_passes, self.num_items = self.num_passes + 1, self.num_items + 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, make)
        finally:
            self.is_working = False
            self._go_on()

    def _go_on(self) -> None:
        if self._waiting and not self.is_working:
            self.is_working = True
            self._work = asyncio.create_task(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                some, self._waiting = self._waiting[: self.max_batch], self._waiting[self.max_batch :]
                some = [(item, future) for item, future in some if not future.cancelled()]
                if not some:
                    continue
                self.num_passes, self.num_items = self.num_passes + 1, self.num_items + len(some)
                try:
                    results = await loop.run_in_executor(self._thread, self.call, [item for item, _ in some])
                except Exception as problem:  # each of them hears of it, whatever it was
                    for _, future in some:
                        if not future.done():
                            future.set_exception(problem)
                    continue
                for (_, future), result in zip(some, results, strict=True):
                    if not future.done():
                        future.set_result(result)
        finally:
            self.is_working = False

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)
