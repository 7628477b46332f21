"""A run that is to have more epochs than it began with."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from striate.base import plugin
from striate.base.errors import ModelError, SettingsError
from striate.base.run_info import RunInfo
from striate.base.rundir import RunDir
from striate.base.text import plural
from striate.data.arguments import option_words
from striate.data.open import SHARES
from striate.engine.checkpoint import State
from striate.transfer.stages import patience_of

from .assignment import cli_words
from .recipe import RECIPES, Recipe
from .settings import TrainSettings

MAX_FIX = 110  # characters of a fix that are shown whole


def lengthened(run: RunDir, info: RunInfo, state: State | None, epochs: int) -> RunInfo:
    """Return the description of a run that goes on from a checkpoint until it has `epochs` epochs.

    From there on its learning rate is that of a training of `epochs` epochs, and patience counts anew.

    Raises:
        SettingsError: it has as many already, has none to count, or is held against others of equal length.
        ModelError: it is finished, and no checkpoint is kept.
    """
    before, where = info["num_epochs"], "--epochs"
    if info["recipe"].get("transfer", {}).get("head") == "only":
        raise SettingsError("a linear probe has no epochs", where=where, fix="leave --epochs out")
    if epochs <= before:
        raise SettingsError(f"the run has {plural(before, 'epoch')} already", where=where, fix="give more than that")
    if _is_compared(run.path):
        what = "a run of a study or search is as long as those it is compared with"
        raise SettingsError(what, where=run.path, **_instead(run, info, epochs))
    if state is None and info["status"] == "finished":
        what = "no checkpoint of this finished run is left to go on from (--keep-checkpoints keeps them)"
        raise ModelError(what, where=run.path, **_instead(run, info, epochs))
    done = state.document["epoch"] if state else 0
    note = f"trained longer: {epochs} epochs instead of {before}, with their learning rate from epoch {done + 1} on"
    name = info["recipe_name"].removesuffix(" changed") + " changed"
    longer: RunInfo = {
        **info,
        "num_epochs": epochs,
        "recipe_name": name,
        "longer_since": done,
        "notes": [*info.get("notes", []), note],
    }
    longer["recipe"] = _with_train(info["recipe"], epochs=epochs)
    if "resolved" in info:
        patience = patience_of(TrainSettings.parse(longer["recipe"]["train"], run.path / "run.json"), epochs)
        longer["resolved"] = _with_train(info["resolved"], epochs=epochs, patience=patience)
    longer.pop("result", None)
    return longer


def as_begun(fixed: dict[str, Any], now: RunInfo) -> dict[str, Any]:
    """Return what a checkpoint says must not change, for a run that was made longer: the epochs are those of now."""
    recipe = _with_train(fixed["recipe"], epochs=now["recipe"]["train"]["epochs"])
    return {**fixed, "recipe": recipe} | ({"num_epochs": now["num_epochs"]} if "num_epochs" in fixed else {})


def _with_train(recipe: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**recipe, "train": {**recipe["train"], **changes}}


def assignments(recipe: Mapping[str, Any], usual: Mapping[str, Any]) -> list[str]:
    """Return the settings `field=value` that make a plain recipe of a usual one.

    Example:
        >>> assignments({"train": {"lr": 0.1, "clip": 0}, "augment": [{"kind": "flip"}]}, {"train": {"clip": 0}})
        ['train.lr=0.1', 'augment=[{kind = "flip"}]']
    """
    found = []
    for group, value in recipe.items():
        parts = value.items() if isinstance(value, Mapping) else [("", value)]
        theirs = usual.get(group)
        for key, own in parts:
            if own is not None and own != (theirs or {}).get(key) if key else own != theirs:
                found.append(f"{group}{'.' * bool(key)}{key}={typed(own)}")
    return [one for one in found if not one.startswith("text=")]


def typed(value: Any) -> str:
    """Return a value as it is typed after `--set field=`: TOML, and text without quotes.

    Example:
        >>> typed("adam"), typed([{"kind": "zoom", "min": 0.8}]), typed(True)
        ('adam', '[{kind = "zoom", min = 0.8}]', 'true')
    """
    return value if isinstance(value, str) else _inline(value)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_inline(one)}" for key, one in value.items() if one is not None) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)


def _is_compared(path: Path) -> bool:
    above = path.resolve().parents[:2]
    return any((folder / f"{kind}.json").is_file() for folder in above for kind in ("study", "search"))


def _instead(run: RunDir, info: RunInfo, epochs: int) -> dict[str, Any]:
    """The command that trains a new run from the best weights, as the fix of an error."""
    data, name = info["dataset"], info["recipe_name"].removesuffix(" changed")
    if not data["where"] or data["where"] == "arrays" or info["model"]["blueprint"] is None:
        return {"fix": "start a new training in Python from its weights"}
    if data["options"].get("folds") or tuple(data["options"].get("split") or SHARES) != SHARES:
        # no option of train gives this split, and on another one images to test on have been trained on
        return {"fix": shlex.join(["striate", "resume", str(run.path), "--fork", "--epochs", str(epochs)])}
    recipe = ["--recipe", name] if name in RECIPES or Path(name).is_file() else []
    more = epochs - len(run.history()) if epochs > len(run.history()) else epochs
    usual = RECIPES.get(name, Recipe()).model_dump(mode="json")
    own = [one for one in assignments(info["recipe"], usual) if not one.startswith(("transfer.", "train.epochs="))]
    changes = cli_words([*own, f"train.epochs={more}"])
    words = [str(run.path), *recipe, *changes, *plugin.typed()]
    command = shlex.join(["striate", "train", data["where"], *option_words(data["options"]), "--weights", *words])
    if len(command) <= MAX_FIX:
        return {"fix": command}
    return {"fix": "start a new run from its best weights, with the command above", "details": (f"  {command}",)}
