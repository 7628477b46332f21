"""How a person types what `open_dataset` was told: the options of a dataset as words of a command line."""

from collections.abc import Mapping
from typing import Any

PLAIN = ("target", "task", "group", "separator", "blank", "split_column", "per_class", "top_classes", "root", "folds",
         "channels", "levels", "ignore")  # fmt: skip


def option_words(options: Mapping[str, Any]) -> list[str]:
    """Return the words after DATA that open a dataset with these options of its own, without those at their defaults.

    Shares of a split and a single fold have no option and are left out.

    Example:
        >>> option_words({"limit": {"train": 200}, "classes": ["cat", "dog"], "seed": 0, "per_class": 50})
        ['--per-class', '50', '--classes', 'cat,dog', '--limit', 'train=200']
    """
    words = [
        word for name in PLAIN if options.get(name) for word in (f"--{name.replace('_', '-')}", str(options[name]))
    ]
    words += _classes([str(name) for name in options.get("classes") or ()])
    if options.get("limit"):
        words += ["--limit", ",".join(f"{split}={count}" for split, count in options["limit"].items())]
    words += ["--split-seed", str(options["seed"])] if options.get("seed") else []
    return words + (["--allow-empty"] if options.get("allow_empty") else [])


def _classes(names: list[str]) -> list[str]:
    """Return the words that name classes: together, or each by itself where a comma or blank would be misread.

    Example:
        >>> _classes(["cat", "dog"]), _classes(["Pepper,_bell", "dog"])
        (['--classes', 'cat,dog'], ['--classes', 'Pepper,_bell', '--classes', 'dog'])
    """
    if any("," in name or name != name.strip() for name in names):
        return [word for name in names for word in ("--classes", name)]
    return ["--classes", ",".join(names)] if names else []
