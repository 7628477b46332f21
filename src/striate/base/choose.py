"""Name -> table row, with the nearest known name in the error. Tables are plain dicts; nothing registers itself."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from .errors import SettingsError, UserError

Row = TypeVar("Row")
MAX_LIST_CHARS = 80  # of names in a fix, which an error line cuts at 110


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None when none is close.

    Example:
        >>> nearest("learing_rate", ["learning_rate", "momentum"])
        'learning_rate'
    """
    close = get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    return close[0] if close else None


def choose(
    kind: str,
    name: str,
    table: Mapping[str, Row],
    error: type[UserError] = SettingsError,
    *,
    otherwise: str = "",
    where: str = "",
) -> Row:
    """Return `table[name]`.

    Args:
        kind: what the table holds, for the message ("block", "recipe", "optimiser").
        otherwise: what else mends it where no name is near.
        where: the setting, file or option that names it.

    Raises:
        SettingsError (or `error`): the name is unknown; the message names those that begin with it, the nearest one,
            or the first known ones.

    Example:
        >>> choose("norm", "batch", {"batch": 1, "layer": 2})
        1
    """
    if name in table:
        return table[name]
    close, longer = nearest(name, table), [known for known in table if name and known.startswith(name.lower())]
    if len(longer) > 1:
        fix = f"choose one of {_first_of(longer)}"
    elif close:
        fix = f"did you mean {close!r}?"
    else:
        fix = f"choose one of {_first_of(list(table))}{otherwise}"
    raise error(f"unknown {kind} {name!r}", where=where, fix=fix)


def _first_of(known: list[str]) -> str:
    """Return the first names, whole ones, as many as an error line has room for."""
    kept = 1
    while kept < len(known) and len(", ".join(known[: kept + 1])) <= MAX_LIST_CHARS:
        kept += 1
    return ", ".join(known[:kept]) + (f" and {len(known) - kept} more" if kept < len(known) else "")
