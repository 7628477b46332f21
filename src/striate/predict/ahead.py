"""Images read by threads while the network answers those before them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy.typing as npt
import torch

from striate.base.errors import DataError

if TYPE_CHECKING:
    from striate.data.given import Given

    Pixels = npt.NDArray[Any]
    Read = Callable[[Given, list[DataError], str], Pixels]

MAX_THREADS = 4
AHEAD = 4  # images a thread that wait in memory, each at its own size


class ReadImage(NamedTuple):
    """An image that was given: its pixels, or why it cannot be read, and what its decoder complained of."""

    number: int
    given: "Given"
    pixels: "Pixels | None"
    problem: DataError | None
    doubts: list[DataError]


def read_ahead(images: "Iterable[Given]", read: "Read", num_threads: int | None = None) -> Iterator[ReadImage]:
    """Yield images in their order; the next few are read meanwhile.

    Args:
        read: gives the pixels of an image; gets a list for complaints, and a name for messages.
        num_threads: that read; by default those of torch, at most four.
    """
    num_threads = num_threads or min(MAX_THREADS, torch.get_num_threads())
    waiting: deque[tuple[int, Given, list[DataError], Future[Pixels]]] = deque()
    with ThreadPoolExecutor(num_threads, thread_name_prefix="read") as pool:
        for number, given in enumerate(images):
            doubts: list[DataError] = []
            waiting.append((number, given, doubts, pool.submit(read, given, doubts, f"image {number}")))
            if len(waiting) > AHEAD * num_threads:
                yield _ended(*waiting.popleft())
        while waiting:
            yield _ended(*waiting.popleft())


def _ended(number: int, given: "Given", doubts: list[DataError], pixels: "Future[Pixels]") -> ReadImage:
    try:
        return ReadImage(number, given, pixels.result(), None, doubts)
    except DataError as problem:
        return ReadImage(number, given, None, problem, doubts)
