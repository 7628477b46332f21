"""A run's data as a command names them, with everything that was said about opening them."""

import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from striate.base import plugin
from striate.data.arguments import option_words
from striate.data.open import SHARES

from .reading import Reading, at


def opening(found: Reading, verb: str) -> list[str]:
    """Return DATA and the options that open it alike; empty where no command can.

    Data and targets from Python, shares of a split and folds have no option of `striate train`; neither has the limit
    of a variant's training images, whose choice is the study's own.
    """
    where, options = at(found.info, "dataset.where"), at(found.info, "dataset.options") or {}
    if not where or where == "arrays" or not _can_be_typed(found, options, verb):
        return []
    if verb == "check":  # which always looks at everything
        return [str(where), *option_words({**options, "folds": None, "allow_empty": False}), *_plugins(found)]
    skip = ["--on-bad", "skip"] if _skips_bad(found) else []
    return [str(where), *option_words(options), *skip, *_plugins(found)]


def _can_be_typed(found: Reading, options: Mapping[str, Any], verb: str) -> bool:
    if verb == "check":
        return True
    if tuple(options.get("split") or SHARES) != SHARES or found.variant.get("num_train") is not None:
        return False
    if found.study.get("target") and not options.get("target"):  # the split was made for another target
        return False
    return verb == "study" or not options.get("folds")


def _plugins(found: Reading) -> list[str]:
    """The options that load the run's plugins: as they were typed, else from where they are loaded now."""
    files = {path.name: str(path) for path in plugin.LOADED}
    for source in (found.study, found.info):
        files |= {PurePath(file).name: file for file in plugin.take_options(typed(source))[1]}
    names = [str(at(one, "file")) for one in at(found.info, "plugins") or ()]
    return [word for name in names for word in ("--plugin", files.get(name, name))]


def _skips_bad(found: Reading) -> bool:
    """Whether unusable files were to be left out; a study writes their list only when it has ended."""
    return found.has_skipped or any(
        value_after(typed(source), "--on-bad") == "skip" for source in (found.info, found.study)
    )


def typed(info: Mapping[str, Any]) -> list[str]:
    """Return the words of the command that was typed; empty when it came from Python."""
    try:
        return shlex.split(str(info.get("command") or ""))
    except ValueError:
        return []


def value_after(words: list[str], *names: str) -> str | None:
    """Return what an option of a command was set to, None when it was not.

    Example:
        >>> value_after(["striate", "train", "birds/", "-m", "mlp", "--size=32"], "--model", "-m")
        'mlp'
    """
    found = None
    for word, after in zip(words, [*words[1:], None], strict=False):
        name, sign, value = word.partition("=")
        if name in names and name.startswith("--") and sign:
            found = value
        elif word in names:
            found = after
    return found
