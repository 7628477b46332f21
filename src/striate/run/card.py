"""A recipe in few words: the settings that differ from the usual ones, for a terminal and for a notebook."""

import textwrap
from collections.abc import Mapping
from typing import Any

from striate.base.html import Html, card, line, quiet, table
from striate.base.text import shown

from .assignment import toml
from .recipe import MANY, Recipe

WIDTH = 96
AUTOMATIC = f"medium up to {MANY:,} training images, else light"


def differing(recipe: Recipe, usual: Recipe) -> dict[str, tuple[str, str]]:
    """Return the settings in which a recipe differs from another, each with both values in short.

    Operations that are no known strength together stand by their names alone.

    Example:
        >>> differing(Recipe().changed(["train.lr=0.01", "augment=light"]), Recipe())
        {'augment': ('light', 'none'), 'train.lr': ('0.01', 'auto')}
    """
    ours, theirs = _flat(recipe), _flat(usual)
    return {name: (value, theirs[name]) for name, value in ours.items() if value != theirs[name]}


def recipe_text(recipe: Recipe) -> str:
    """Return what a recipe is for, and its settings that are not the usual ones.

    Example:
        >>> print(recipe_text(Recipe(text="a larger rate").changed(["train.lr=0.01"])))
        Recipe: a larger rate
          train.lr=0.01
    """
    changes = " ".join(f"{name}={value[0]}" for name, value in differing(recipe, Recipe()).items())
    indent = {"initial_indent": "  ", "subsequent_indent": "  "}
    lines = textwrap.wrap(changes or "all settings as usual", WIDTH, break_on_hyphens=False, **indent)  # type: ignore[arg-type]
    return "\n".join([f"Recipe: {shown(recipe.text, WIDTH)}" if recipe.text else "Recipe", *lines])


def recipe_card(recipe: Recipe) -> Html:
    """Return the settings that are not the usual ones, and what augmentation does."""
    return card("Recipe", recipe.text, changes_table(recipe, Recipe()), augmentation(recipe))


def changes_table(recipe: Recipe, start: Recipe, *, name: str = "usual") -> Html:
    """Return the settings in which a recipe differs from the one it starts from, whose column is called `name`."""
    rows = [(key, *values) for key, values in differing(recipe, start).items()]
    return table(rows, ("setting", "value", name)) if rows else line(quiet("no setting is changed"))


def augmentation(recipe: Recipe) -> Html:
    """Return the operations of a recipe's augmentation, with their settings."""
    if recipe.augment is None:
        return line(f"augmentation: {AUTOMATIC}")
    ops = [
        (op.kind, ", ".join(f"{key} {_written(value)}" for key, value in op if key != "kind")) for op in recipe.augment
    ]
    return table(ops, ("augmentation", "settings")) if ops else line("no augmentation")


def _flat(recipe: Recipe) -> dict[str, str]:
    """Every setting by its dotted name."""
    found: dict[str, str] = {}
    for group, value in recipe.model_dump(exclude={"text"}).items():
        if isinstance(value, Mapping):
            found |= {f"{group}.{key}": _written(one) for key, one in value.items()}
        elif group == "augment":
            found[group] = recipe.strength() or "+".join(op.kind for op in recipe.augment or ())
        else:
            found[group] = _written(value)
    return found


def _written(value: Any) -> str:
    if value is None:
        return "auto"
    if isinstance(value, list | tuple):  # stages, as `--set` reads them
        return toml(list(value)).replace(" = ", "=").replace(", ", ",")
    return str(value).lower() if isinstance(value, bool) else shown(value, 80) or '""'
