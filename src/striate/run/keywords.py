"""Keyword arguments of `train` and `study`: those that change the recipe, and what to say of an unknown one."""

from collections.abc import Callable
from inspect import signature
from typing import Any

from striate.base.choose import nearest
from striate.base.errors import SettingsError

from .recipe import OPTIONS, Recipe, paths

SETTINGS = {option.strip("-").replace("-", "_"): path for option, path in OPTIONS.items()}
OWN = {"self", "datasets", "dataset", "variants", "model", "recipe", "recipe_name"}  # given in another way


def recipe_changes(options: dict[str, Any], verb: Callable[..., Any]) -> list[tuple[str, Any]]:
    """Take what changes the recipe out of the options of a verb, and return it as settings and values.

    Raises:
        SettingsError: a value is not allowed, or an option is neither the verb's nor such a setting.
    """
    known = {*signature(verb).parameters, "on_bad", *SETTINGS} - OWN
    for name in options:
        if name not in known:
            raise SettingsError(
                f"unknown option {name!r}", where=f"st.{verb.__name__}", fix=_way_to_say(name, known, paths())
            )
    given = {name: options.pop(name) for name in SETTINGS if name in options}
    pairs = {name: [(SETTINGS[name], value)] for name, value in given.items() if value is not None}
    for name, pair in pairs.items():
        require_allowed(*pair[0], name)
    return [one for pair in pairs.values() for one in pair]


def require_allowed(path: str, value: Any, name: str) -> None:
    """Return if a setting may have this value.

    Args:
        path: of the setting; `name` is what a person typed for it.

    Raises:
        SettingsError: it may not; the message has the name that was typed.
    """
    try:
        Recipe().with_values([(path, value)])
    except SettingsError as problem:
        raise SettingsError(problem.what, where=name, fix=problem.fix.replace(path, name)) from None


def _way_to_say(name: str, known: set[str], settings: dict[str, str]) -> str:
    """Return how the option, or the setting of a recipe, is given that is named most like an unknown one."""
    settings = settings | {short: short for short in known}
    close = name if name in settings else nearest(name, sorted(settings))
    if close is None:
        return f"choose one of {', '.join(sorted(known))}"
    path = settings[close]
    option = next((short for short in known if short == path or SETTINGS.get(short) == path), None)
    return f"did you mean {option}?" if option else f"recipe=st.recipe('regularized').changed(['{path}=...'])"
