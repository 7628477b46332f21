"""Progress on stderr: a rich bar on a terminal, one plain line a stage elsewhere, nothing when quiet."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from .noun import IMAGE
from .text import duration, plural, shown

if TYPE_CHECKING:
    from .notebook import Place


class Bar(Protocol):
    """What long work reports to."""

    def advance(self, count: int = 1, text: str = "") -> None:
        """Say that `count` more units are done; `text` is a short state such as `loss 0.41`."""


class _Silent:
    def advance(self, count: int = 1, text: str = "") -> None:
        pass


class Progress:
    """Where a command shows its progress. `mode` is "bar", "notebook", "lines" or "quiet"; by default what fits.

    `noun` is put into lines that speak of images; who opens a dataset sets it.
    """

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode or ("notebook" if in_notebook() else "bar" if _is_interactive() else "lines")
        self.noun = IMAGE

    @contextmanager
    def bar(
        self, title: str, total: int, unit: str = "image", units: str | None = None, *, has_end: bool = True
    ) -> Iterator[Bar]:
        """Show work on `total` units; elsewhere than on a terminal one line says when it took more than a second.

        Args:
            unit, units: one of them, and many where that is not `unit` with an s.
            has_end: whether that line is wanted; not where another one follows.
        """
        count = self.noun.put(plural(total, unit, units))
        if self.mode in {"bar", "notebook"}:
            shown_bar = _rich_bar(title, total) if self.mode == "bar" else self._place.bar(title, total, count)
            with shown_bar as bar:
                yield bar
            return
        start = time.monotonic()
        yield _Silent()
        took_s = time.monotonic() - start
        if self.mode == "lines" and has_end and took_s > 1:
            self.line(f"{title}: {count} in {duration(took_s)}")

    def line(self, text: str) -> None:
        """Write one line of state (an epoch, a finished run), unless quiet."""
        if self.mode == "notebook":
            self._place.line(self.noun.put(text))
        elif self.mode != "quiet":
            say(self.noun.put(text))

    @cached_property
    def _place(self) -> "Place":
        from .notebook import Place

        return Place()

    def warn(self, text: str) -> None:
        """Write one line about what a result suffers from, also when quiet: that is no progress."""
        say(f"warning: {self.noun.put(text)}")


def line_width() -> int:
    """Return how many characters a line of progress may have: as many as the terminal, 120 where there is none."""
    return shutil.get_terminal_size((120, 24)).columns - 1


def in_notebook() -> bool:
    """Return whether this is a kernel of Jupyter, VS Code or Colab, which shows what is displayed."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")


def say(text: str) -> None:
    """Write one line to stderr, with control characters escaped; a closed or narrow stream is never an error."""
    safe = "\n".join(shown(line, 4000) for line in text.split("\n")) + "\n"
    stream = sys.stdout if in_notebook() else sys.stderr  # which a notebook shows in red, as if something had failed
    encoding = getattr(stream, "encoding", None) or "ascii"
    try:
        stream.write(safe.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except (OSError, ValueError):
        pass


def _is_interactive() -> bool:
    return bool(
        sys.stderr is not None and sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
    )


class _RichBar:
    def __init__(self, progress: object, task: object) -> None:
        self._progress, self._task = progress, task

    def advance(self, count: int = 1, text: str = "") -> None:
        self._progress.update(self._task, advance=count, state=shown(text))  # type: ignore[attr-defined]


@contextmanager
def _rich_bar(title: str, total: int) -> Iterator[Bar]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[state]}", markup=False),
    )
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _RichBar(progress, progress.add_task(escape(shown(title, 40)), total=total, state=""))
