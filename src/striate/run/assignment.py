"""Settings as `--set` reads them, and a recipe as a named one with a few of them changed."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from striate.base.errors import SettingsError
from striate.base.settings import value_of

from .recipe import OPTIONS, RECIPES, Recipe


def toml(value: Any) -> str:
    """Return a value as TOML in one line; its numbers, texts and lists are those of JSON.

    Example:
        >>> toml([{"kind": "mixup", "alpha": 0.4}, True])
        '[{"kind" = "mixup", "alpha" = 0.4}, true]'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def assignment(path: str, value: Any) -> str:
    """Return `path=value` for `--set`; a text stands bare where it is read as that text.

    Example:
        >>> assignment("train.lr", 1e-05), assignment("train.optimiser", "sgd"), assignment("transfer.weights", "12")
        ('train.lr=1e-05', 'train.optimiser=sgd', 'transfer.weights="12"')
    """
    is_bare = isinstance(value, str) and value == value.strip() and value != "" and value_of(value) == value
    return f"{path}={value if is_bare else toml(value)}"


def cli_words(assignments: Iterable[str]) -> list[str]:
    """Return settings as words of `striate train`: by the option that a setting has, else with `--set`.

    Example:
        >>> cli_words(["train.epochs=20", "train.clip=1.0", "augment=[]"])
        ['--epochs', '20', '--set', 'train.clip=1.0', '--set', 'augment=[]']
    """
    options = {path: option for option, path in OPTIONS.items()}
    words: list[str] = []
    for text in assignments:
        path, _, value = text.partition("=")
        is_plain = path in options and not value.startswith(("[", "{"))
        words += [options[path], value] if is_plain else ["--set", text]
    return words


def from_named(recipe: Mapping[str, Any], name: str) -> tuple[str, list[str]] | None:
    """Return a named recipe and the settings to change in it, so that it is `recipe`; None where there is no way.

    Args:
        recipe: its plain description.
        name: the named recipe to start from if that is possible; else it is the one with the fewest changes.
    """
    try:
        own = Recipe.parse(recipe)
    except SettingsError:  # of another version
        return None
    ways = {known: list(_changes(own, start)) for known, start in RECIPES.items()}
    for known in sorted(ways, key=lambda known: (known != name, len(ways[known]))):
        # a setting that is automatic here and set there cannot be said: the result tells
        if _is_same(RECIPES[known].changed(ways[known]), own):
            return known, ways[known]
    return None


def _is_same(a: Recipe, b: Recipe) -> bool:
    return a.model_copy(update={"text": b.text, "network": b.network}) == b


def _changes(own: Recipe, start: Recipe) -> Iterator[str]:
    for table in ("data", "model", "train", "transfer"):
        known = getattr(start, table).model_dump(mode="json")
        for key, value in getattr(own, table).model_dump(mode="json").items():
            # the rate of another optimiser would be automatic if it were not said
            is_other = key == "lr" and own.train.optimiser != start.train.optimiser
            if value is not None and (value != known[key] or is_other):
                yield assignment(f"{table}.{key}", value)
    if own.augment != start.augment:
        yield assignment("augment", _augmentation(own))


def _augmentation(recipe: Recipe) -> Any:
    """The name of an augmentation; a list of its operations where it has none."""
    ops = ({"kind": op.kind, **op.model_dump(mode="json", exclude_defaults=True)} for op in recipe.augment or ())
    return recipe.strength() or list(ops)
