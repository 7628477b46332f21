"""A run's data as a command names them, with everything that was said about opening them."""

import shlex
from collections.abc import Mapping
from typing import Any

from .reading import Reading, at

OPENING = {"per_class": "--per-class", "top_classes": "--top-classes", "group": "--group", "separator": "--separator"}
OPENING |= {"root": "--root", "task": "--task"}
SPLIT = [0.7, 0.15, 0.15]  # shares of train, val and test; no option changes them


def opening(found: Reading, verb: str) -> list[str]:
    """Return DATA and the options that open it alike; empty where no command can.

    Data and targets from Python, shares of a split and folds have no option of `striate train`; neither has the limit
    of a variant's training images, whose choice is the study's own.
    """
    where, options = at(found.info, "dataset.where"), at(found.info, "dataset.options") or {}
    if not where or where == "arrays" or not _can_be_typed(found, options, verb):
        return []
    words = [str(where)]
    for name, option in OPENING.items():
        if options.get(name) is not None:
            words += [option, str(options[name])]
    if options.get("classes"):
        words += ["--classes", ",".join(map(str, options["classes"]))]
    if options.get("limit"):
        words += ["--limit", ",".join(f"{split}={count}" for split, count in options["limit"].items())]
    words += ["--split-seed", str(options["seed"])] if options.get("seed") else []
    words += ["--target", str(at(found.info, "task.target"))] if options.get("target") else []
    if verb == "check":  # which always looks at everything
        return words
    words += ["--folds", str(options["folds"])] if options.get("folds") else []
    words += ["--allow-empty"] if options.get("allow_empty") else []
    return words + (["--on-bad", "skip"] if _skips_bad(found) else [])


def _can_be_typed(found: Reading, options: Mapping[str, Any], verb: str) -> bool:
    if any("," in str(name) or str(name) != str(name).strip() for name in options.get("classes") or ()):
        return False
    if verb == "check":
        return True
    if list(options.get("split") or SPLIT) != SPLIT or found.variant.get("num_train") is not None:
        return False
    if found.study.get("target") and not options.get("target"):  # the split was made for another target
        return False
    return verb == "study" or not options.get("folds")


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
