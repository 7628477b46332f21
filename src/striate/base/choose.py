"""Name -> table row, with the nearest known name in the error. Tables are plain dicts; nothing registers itself."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from .errors import SettingsError, UserError

Row = TypeVar("Row")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None when none is close.

    Example:
        >>> nearest("learing_rate", ["learning_rate", "momentum"])
        'learning_rate'
    """
    close = get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    return close[0] if close else None


def choose(kind: str, name: str, table: Mapping[str, Row], error: type[UserError] = SettingsError) -> Row:
    """Return `table[name]`.

    Args:
        kind: what the table holds, for the message ("block", "recipe", "optimiser").

    Raises:
        SettingsError (or `error`): the name is unknown; the message names the nearest or the first known ones.

    Example:
        >>> choose("norm", "batch", {"batch": 1, "layer": 2})
        1
    """
    if name in table:
        return table[name]
    close = nearest(name, table)
    if close:
        fix = f"did you mean {close!r}?"
    else:
        known = list(table)
        fix = f"choose one of {', '.join(known[:12])}" + (f" and {len(known) - 12} more" if len(known) > 12 else "")
    raise error(f"unknown {kind} {name!r}", fix=fix)
