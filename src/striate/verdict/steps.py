"""The steps of an ablation series: variants of which each keeps what the one before it changed, and changes more."""

from collections.abc import Mapping, Sequence
from typing import Any

FEWEST = 3  # with the baseline: a single step is in the differences already


def ablation_series(variants: Sequence[Mapping[str, Any]], baseline: str) -> tuple[str, ...]:
    """Return the names of an ablation series from the baseline on; empty where variants do not build on each other.

    Variants on fewer training images are none; those that undo a change of the step before are passed over.

    Args:
        variants: plain descriptions, as in study.json, in their order.

    Example:
        >>> recipe = lambda lr, augment: {"train": {"lr": lr}, "augment": augment}
        >>> steps = {"baseline": recipe(1, 0), "augmented": recipe(1, 1), "slow": recipe(2, 0), "both": recipe(3, 1)}
        >>> ablation_series([{"name": name, "model": "mlp", "recipe": one} for name, one in steps.items()], "baseline")
        ('baseline', 'augmented', 'both')
    """
    names = [variant["name"] for variant in variants]
    if baseline not in names:
        return ()
    start, *others = variants[names.index(baseline) :]
    first = last = _settings(start)
    found = [baseline]
    for variant in others:
        own = _settings(variant)
        is_kept = all(own.get(key) == value for key, value in last.items() if value != first.get(key))
        if is_kept and own != last and variant.get("num_train") == start.get("num_train"):
            found.append(variant["name"])
            last = own
    return tuple(found) if len(found) >= FEWEST else ()


def _settings(variant: Mapping[str, Any]) -> dict[str, Any]:
    """The network and every setting of the recipe that has an effect, by their paths."""
    found = {"model": variant.get("model")}
    for key, value in (variant.get("recipe") or {}).items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{name}": item for name, item in value.items()}
        elif key != "text":
            found[key] = value
    return found
