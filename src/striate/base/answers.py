"""How a process says to the one that started it what went wrong: in plain values, which JSON holds."""

from collections.abc import Callable, Mapping
from typing import Any

from . import errors, plugin
from .errors import Interrupted, Terminated, UserError
from .memory import is_out_of_memory, no_memory


def answer(work: Callable[[], object], where: object = "") -> dict[str, Any]:
    """Do some work and return what went wrong; nothing is an empty answer.

    Args:
        where: said of work that SIGTERM ended before it listened.

    Example:
        >>> def work():
        ...     raise errors.DataError("no such file")
        >>> answer(work)
        {'kind': 'DataError', 'exit_code': 3, 'what': 'no such file', 'where': '', 'fix': '', 'details': ()}
        >>> def work():
        ...     raise Terminated  # as a handler of SIGTERM does
        >>> answer(work)["exit_code"]
        143
    """
    try:
        work()
        return {}
    except Terminated as stop:
        problem: UserError = Interrupted("stopped before it began", where=where, signal_number=stop.exit_code - 128)
    except UserError as found:
        problem = found
    except Exception as found:
        refusal = no_memory(found) if is_out_of_memory(found) else plugin.refusal(found)
        if not refusal:
            raise
        problem = refusal
    return to_answer(problem)


def to_answer(problem: UserError) -> dict[str, Any]:
    """Return a failure in plain values."""
    parts = {"what": problem.what, "where": problem.where, "fix": problem.fix, "details": problem.details}
    return {"kind": type(problem).__name__, "exit_code": problem.exit_code, **parts}


def to_problem(answer: Mapping[str, Any]) -> UserError:
    """Return the failure that `to_answer` described.

    Example:
        >>> found = to_problem(to_answer(Interrupted("stopped", signal_number=15)))
        >>> found.what, found.exit_code
        ('stopped', 143)
    """
    kind: Callable[..., UserError] = getattr(errors, answer["kind"])
    parts = {"where": answer["where"], "fix": answer["fix"]}
    if kind is Interrupted:
        return Interrupted(answer["what"], **parts, signal_number=answer["exit_code"] - 128)
    return kind(answer["what"], **parts, details=tuple(answer["details"]))
