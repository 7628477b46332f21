"""Progress in a notebook: one place that is written anew, a bar while work goes on and below it the last lines.

It needs no widgets, so it works wherever a kernel can display something.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from .text import duration, shown

EVERY_S = 0.2  # a notebook's page gets slow otherwise
WIDTH = 24  # of a bar, in characters
KEPT = 3  # lines that stay


class Place:
    """An output of a cell that changes while the cell runs.

    Args:
        display: shows something under a name and can write it anew, as `IPython.display.display`; by default that.
    """

    def __init__(self, display: Callable[..., Any] | None = None) -> None:
        self._display, self._handle = display or _display(), None
        self._lines: list[str] = []
        self._bar, self._written_s = "", 0.0

    def line(self, text: str) -> None:
        """Show a line below the bar; the last few stay."""
        self._lines = [*self._lines, *(shown(one, 400) for one in text.split("\n"))][-KEPT:]
        self._write()

    @contextmanager
    def bar(self, title: str, total: int, count: str) -> Iterator["_Bar"]:
        """Show a bar while the block runs; `count` is the total with its unit."""
        bar = _Bar(self, shown(title, 40), total, count)
        try:
            yield bar
        finally:
            self._bar = ""
            if bar.is_shown:
                self._write()

    def show(self, bar: str) -> None:
        """Show the bar as it is now, unless it was shown just before."""
        if time.monotonic() - self._written_s >= EVERY_S:
            self._bar = bar
            self._write()

    def _write(self) -> None:
        self._written_s = time.monotonic()
        text = "\n".join(filter(None, [self._bar, *self._lines])) or " "
        html = f'<pre style="margin:0;white-space:pre-wrap">{escape(text)}</pre>'
        content = {"text/plain": text, "text/html": html}
        if self._handle is None:
            self._handle = self._display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)


class _Bar:
    def __init__(self, place: Place, title: str, total: int, count: str) -> None:
        self._place, self._title, self._total, self._count = place, title, max(total, 1), count
        self._done, self._start_s = 0, time.monotonic()
        self.is_shown = False

    def advance(self, count: int = 1, text: str = "") -> None:
        """See `Bar`."""
        self._done += count
        passed_s = time.monotonic() - self._start_s
        if passed_s < EVERY_S:  # short work shows nothing
            return
        self.is_shown = True
        share = min(1.0, self._done / self._total)
        left = f"{duration(passed_s / share * (1 - share))} left" if share else ""
        state = ", ".join(filter(None, [f"{self._done:,} of {self._count}", left, shown(text)]))
        full = "\N{FULL BLOCK}" * round(WIDTH * share)
        self._place.show(f"{self._title} |{full:<{WIDTH}}| {state}")


def _display() -> Callable[..., Any]:
    from IPython.display import display

    return display
