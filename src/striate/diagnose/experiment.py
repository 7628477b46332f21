"""The next experiment as a command to type: the run's own, with one thing changed."""

import shlex
from pathlib import PurePath

from striate.base.errors import UserError
from striate.base.stages import OLD
from striate.run.assignment import assignment, cli_words, from_named
from striate.run.recipe import OPTIONS
from striate.run.settings import DataSettings

from .opening import opening, typed, value_after
from .reading import Reading, at

DROPPED = {"--out": 1, "--json": 0, "--overwrite": 0, "--quiet": 0, "-q": 0, "--debug": 0}  # option -> its values


def again(found: Reading, *changes: str) -> str:
    """Return the command that repeats the run with settings changed; empty when none can, as with data from Python."""
    words = _typed(found) or _built(found)
    for change in changes:
        setting = change.partition("=")[0]
        for one in (setting, *(f"train.{key}" for key in OLD if setting == "train.stages")):
            words = _without(words, one)
    return shlex.join([*words, *cli_words(changes)]) if words else ""


def other(found: Reading, *options: str, verb: str = "train") -> str:
    """Return another command on the run's data and pixels; empty when they came from Python."""
    start = opening(found, verb)
    pixels = _pixels(found) if verb != "check" else []
    return shlex.join(["striate", verb, *start, *options, *pixels]) if start else ""


def on_weights(found: Reading, recipe: str) -> str:
    """Return the command that trains the run's network from the same weights with another recipe."""
    model = model_of(found)
    return other(found, "--model", model, *_weights(found), "--recipe", recipe, *_preset(found)) if model else ""


def as_study(found: Reading) -> str:
    """Return the command that compares the run's network with its alternatives: the ladder, up to transfer if it is.

    A task with steps of its own brings their networks, and takes neither another nor weights.
    """
    from striate.task.table import TASKS  # needs torch

    model, task = model_of(found), TASKS.get(str(at(found.info, "task.name")))
    if not model:
        return ""
    if task and task.steps:
        return other(found, verb="study")
    if found.setting("transfer.weights"):
        return other(found, "--ladder", *_weights(found), "--base", model, *_preset(found), verb="study")
    return other(found, "--model", model, verb="study")


def with_model(found: Reading, name: str) -> str:
    """Return the command that repeats the run with another network."""
    words, kept = _typed(found) or _built(found), list[str]()
    skipped = False
    for word in words:
        is_model = word in {"--model", "-m", "--without", "--pool"}
        if not (skipped or is_model or word.startswith(("--model=", "--without=", "--pool="))):
            kept.append(word)
        skipped = is_model
    return shlex.join([*kept, "--model", name]) if kept else ""


def model_of(found: Reading) -> str:
    """Return the network as `--model` names it; empty when it came from Python."""
    name = str(at(found.info, "model.name") or "")
    if found.variant:
        return str(found.variant.get("model") or name)
    if words := _typed(found):
        given = value_after(words, "--model", "-m") or str(found.setting("network") or "")
        if not given:
            return name  # the usual one for the data and the task
        stem = PurePath(given).name.removesuffix(".toml")  # what a run calls it, parts taken out behind it
        return given + name[len(stem) :] if name.startswith(stem) else given
    return name if _is_known(name) else ""


def _is_known(name: str) -> bool:
    from striate.run.network import require  # needs torch, which reading a folder otherwise does not

    try:
        require(name)
    except UserError:
        return False
    return True


def _without(words: list[str], setting: str) -> list[str]:
    """The command without what it sets for a setting."""
    own = [option for option, path in OPTIONS.items() if path == setting]
    starts = (f"--set={setting}=", *(f"{option}=" for option in own))
    told = [i for i, word in enumerate(words[1:], 1) if words[i - 1] == "--set" and word.startswith(f"{setting}=")]
    told += [i for i in range(1, len(words)) if words[i - 1] in own]
    kept = [word for i, word in enumerate(words) if i not in told and i + 1 not in told]
    return [word for word in kept if not word.startswith(starts)]


def _typed(found: Reading) -> list[str]:
    """The words of the `striate train` that was typed, without those that say where to write."""
    words = typed(found.info)
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


def _built(found: Reading) -> list[str]:
    """A command for a run that no `striate train` made: one of a study, or of Python."""
    start, name = opening(found, "train"), str(at(found.info, "recipe_name")).removesuffix(" changed")
    recipe = from_named(found.setting("") or {}, name)
    if not start or recipe is None or not at(found.info, "model.blueprint") or not (model := model_of(found)):
        return []
    words = ["--model", model, "--recipe", recipe[0], "--seed", str(found.info.get("seed", 0))]
    return ["striate", "train", *start, *words, *cli_words(recipe[1])]


def _pixels(found: Reading) -> list[str]:
    """The options that give another recipe the run's images."""
    data, usual = found.setting("data") or {}, DataSettings().model_dump(mode="json")
    given = {key: value for key, value in data.items() if value is not None and value != usual.get(key)}
    return cli_words(assignment(f"data.{key}", value) for key, value in given.items())


def _weights(found: Reading) -> list[str]:
    return ["--weights", str(found.setting("transfer.weights"))]


def _preset(found: Reading) -> list[str]:
    preset = found.setting("transfer.preset")
    return cli_words([f"transfer.preset={preset}"]) if preset else []
