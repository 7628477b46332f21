"""What every answer is made with: the workspace and its threads."""

from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request

from striate.base.errors import SettingsError

from .worker import Cancel, Report, Worker
from .workspace import Workspace

T = TypeVar("T")

__all__ = ["Cancel", "Desk", "Report", "desk", "number", "word"]


class Desk:
    """`work` runs networks, `reads` reads what passes left; both take one thing after the other."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.work, self.reads = Worker("model"), Worker("reader")

    def close(self) -> None:
        """End the threads and remove what was dropped on the page."""
        self.work.close()
        self.reads.close()
        self.workspace.close()


def desk(request: Request) -> Desk:
    """Return the desk of the server that got a request."""
    found: Desk = request.app.state.desk
    return found


def word(request: Request, name: str, otherwise: str | None = None) -> str:
    """Return a word of the query.

    Raises:
        SettingsError: it is missing, and there is nothing to use otherwise.
    """
    value = request.query_params.get(name, otherwise)
    if value is None:
        raise SettingsError(f"{name} is missing", where="query", fix="reload the page")
    return value


def number(request: Request, name: str, otherwise: float | None = None, *, low: float, high: float) -> float:
    """Return a number of the query, between two bounds.

    Raises:
        SettingsError: it is missing, no number, or out of bounds.
    """
    text = word(request, name, None if otherwise is None else str(otherwise))
    return _in_range(text, name, float, low, high)


def whole(request: Request, name: str, otherwise: int | None = None, *, low: int, high: int) -> int:
    """Return a whole number of the query, between two bounds.

    Raises:
        SettingsError: it is missing, no whole number, or out of bounds.
    """
    text = word(request, name, None if otherwise is None else str(otherwise))
    return int(_in_range(text, name, int, low, high))


def _in_range(text: str, name: str, kind: Callable[[str], float], low: float, high: float) -> float:
    try:
        value = kind(text[:32])
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise SettingsError(f"{name} is {text[:40]!r}; it lies in {low} to {high}", where="query", fix="choose again")
    return value
