"""The next experiment as a command to type: the run's own, with one thing changed."""

import shlex
from collections.abc import Mapping
from typing import Any

from striate.run.recipe import RECIPES, STRENGTHS

from .reading import Reading, at

DROPPED = {"--out": 1, "--json": 0, "--overwrite": 0, "--quiet": 0, "-q": 0, "--debug": 0}  # option -> its values
OPENING = {"per_class": "--per-class", "top_classes": "--top-classes", "group": "--group", "separator": "--separator"}
OPENING |= {"root": "--root", "task": "--task"}


def again(found: Reading, *changes: str) -> str:
    """Return the command that repeats the run with settings changed; empty when its data came from Python."""
    words = _typed(found.info) or _built(found.info)
    for change in changes:
        words = _without(words, change.partition("=")[0])
    return shlex.join([*words, *(word for change in changes for word in ("--set", change))]) if words else ""


def _without(words: list[str], setting: str) -> list[str]:
    """The command without what it sets for a setting."""
    told = [i for i, word in enumerate(words[1:], 1) if words[i - 1] == "--set" and word.startswith(f"{setting}=")]
    return [word for i, word in enumerate(words) if i not in told and i + 1 not in told]


def other(found: Reading, *options: str, verb: str = "train") -> str:
    """Return another command on the run's data; empty when they came from Python."""
    start = _data(found.info)
    return shlex.join(["striate", verb, *start, *options]) if start else ""


def _typed(info: Mapping[str, Any]) -> list[str]:
    """The words of the command that was typed, without those that say where to write."""
    try:
        words = shlex.split(str(info.get("command") or ""))
    except ValueError:
        return []
    if words[:2] != ["striate", "train"]:
        return []
    kept, skipped = [], 0
    for word in words:
        name = word.partition("=")[0]
        if skipped:
            skipped -= 1
        elif name in DROPPED:
            skipped = DROPPED[name] if name == word else 0
        else:
            kept.append(word)
    return kept


def _built(info: Mapping[str, Any]) -> list[str]:
    """A command for a run that no `striate train` made: one of a study, or of Python."""
    start, recipe = _data(info), str(at(info, "recipe_name")).removesuffix(" changed")
    if not start or recipe not in RECIPES or not at(info, "model.blueprint"):
        return []
    known = RECIPES[recipe].model_dump(mode="json")
    changes = [
        f"{table}.{key}={str(value).lower() if isinstance(value, bool) else value}"
        for table in ("data", "model", "train", "transfer")
        for key, value in (at(info, f"recipe.{table}") or {}).items()
        if value is not None and value != at(known, f"{table}.{key}")
    ]
    changes += _augmentation(at(info, "recipe.augment"), known["augment"])
    words = ["--model", str(at(info, "model.name")), "--recipe", recipe, "--seed", str(info.get("seed", 0))]
    return ["striate", "train", *start, *words, *(word for change in changes for word in ("--set", change))]


def _augmentation(used: Any, known: Any) -> list[str]:
    named = {name: [op.model_dump(mode="json") for op in ops] for name, ops in STRENGTHS.items()}
    return [] if used == known else [f"augment={name}" for name, ops in named.items() if ops == used]


def _data(info: Mapping[str, Any]) -> list[str]:
    """The data as the command names them."""
    where, options = at(info, "dataset.where"), at(info, "dataset.options") or {}
    if not where or where == "arrays":
        return []
    words = [str(where)]
    for name, option in OPENING.items():
        if options.get(name) is not None:
            words += [option, str(options[name])]
    if options.get("classes"):
        words += ["--classes", ",".join(map(str, options["classes"]))]
    if options.get("limit"):
        words += ["--limit", ",".join(f"{split}={count}" for split, count in options["limit"].items())]
    target = at(info, "task.target")
    return words + (["--target", str(target)] if options.get("target") else [])
