"""Ctrl-C and SIGTERM: the first asks the loop to save and stop, the second stops at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from striate.base.errors import LostError
from striate.base.processes import ALONE, Processes


class Interrupt:
    """Holds the number of the signal that asked training to stop, or None.

    Of several processes all stop after the same step, which is the one in which they tell each other, see `gather`.
    """

    def __init__(self, processes: Processes = ALONE) -> None:
        self._processes = processes
        self._number: int | None = None
        self._is_ending = False

    @property
    def signal_number(self) -> int | None:
        """That of the first signal."""
        return self._number if self._processes.size == 1 else self._processes.agreed

    def receive(self, number: int, frame: FrameType | None = None) -> None:
        """Take a signal; a second one raises at once, whatever is going on; more must not disturb the clearing up."""
        if self._number is None:
            self._number = number
            if self._processes.size > 1:
                self._processes.signal_number = number
        elif not self._is_ending:
            self._is_ending = True
            raise KeyboardInterrupt


@contextmanager
def listen(processes: Processes = ALONE) -> Iterator[Interrupt]:
    """Yield an `Interrupt` fed by SIGINT and SIGTERM; the former handlers come back afterwards.

    Outside the main thread, where Python gives no signals, it just stays empty.
    """
    interrupt = Interrupt(processes)
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, interrupt.receive) for number in numbers]
    try:
        yield interrupt
    except LostError:  # this process ends in order; torchrun ends with SIGTERM those that are left when one has gone
        before[1] = signal.SIG_IGN
        raise
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
