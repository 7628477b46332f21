"""Settings as text, and what differs between several of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

ABSENT = "–"


def flatten(settings: Any, prefix: str = "") -> dict[str, str]:
    """Return nested settings as dotted names with their values as text; an operation of a list goes by its kind.

    Example:
        >>> flatten({"train": {"lr": 0.1, "clip": None}, "augment": [{"kind": "flip", "p": 0.5}]})
        {'train.lr': '0.1', 'train.clip': 'auto', 'augment.flip': 'p 0.5'}
    """
    if not isinstance(settings, Mapping) or not settings:
        return {prefix: write(settings)} if prefix else {}
    found: dict[str, str] = {}
    for key, value in settings.items():
        found |= flatten(by_kind(value), f"{prefix}.{key}" if prefix else str(key))
    return found


def by_kind(value: Any) -> Any:
    """Turn a list of operations, such as an augmentation, into a mapping from kind to the operation's settings."""
    is_list = isinstance(value, list) and value and all(isinstance(row, Mapping) and "kind" in row for row in value)
    if not is_list or len({row["kind"] for row in value}) < len(value):
        return value
    return {str(row["kind"]): write({key: item for key, item in row.items() if key != "kind"}) for row in value}


def write(value: Any) -> str:
    """Return a setting as short text."""
    if value is None:
        return "auto"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {write(item)}" for key, item in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ("; " if any(isinstance(item, Mapping) for item in value) else ", ").join(map(write, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def differing(settings: Sequence[Mapping[str, str]]) -> list[tuple[str, list[str]]]:
    """Return the settings whose values differ, each with its value in every one of `settings`.

    Example:
        >>> differing([{"lr": "0.1", "epochs": "5"}, {"lr": "0.2", "epochs": "5"}])
        [('lr', ['0.1', '0.2'])]
    """
    names = _in_tables(dict.fromkeys(name for values in settings for name in values))
    rows = [(name, [values.get(name, ABSENT) for values in settings]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _in_tables(names: Iterable[str]) -> list[str]:
    """Return setting names with those of one table together, without a name that another variant has settings below."""
    names = list(names)
    tables = list(dict.fromkeys(name.split(".")[0] for name in names))
    inner = {name.rpartition(".")[0] for name in names}
    return sorted((name for name in names if name not in inner), key=lambda name: tables.index(name.split(".")[0]))
