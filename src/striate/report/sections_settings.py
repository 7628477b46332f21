"""What is needed to do it again: architecture, the whole recipe, versions, machine, command."""

from collections.abc import Mapping, Sequence
from typing import Any

from striate.base.numbers import NA, count, counted, number
from striate.base.settings_text import by_kind, differing, flatten, write

from .read import at

Pairs = list[tuple[str, str]]


def architecture(model: Any) -> dict[str, Any] | None:
    """Return the table of the network's rows, with shapes and costs where the run recorded them."""
    layers = at(model, "layers")
    if isinstance(layers, list) and layers and all(isinstance(row, Mapping) for row in layers):
        return {
            "head": ["row", "block", "output", "parameters", "multiply-adds", "sees"],
            "body": [_layer(row) for row in layers],
            "num_text": 3,
        }
    rows = at(model, "blueprint.rows")
    if not isinstance(rows, list) or not rows:
        return None
    body = [_row(number_, row) for number_, row in enumerate(rows, 1) if isinstance(row, Mapping)]
    return {"head": ["row", "block", "options", "takes", "width", "repeat", "stride"], "body": body, "num_text": 4}


def _layer(row: Mapping[str, Any]) -> list[str]:
    shape, sees = row.get("out_shape"), row.get("receptive_field_hw")
    return [
        str(row.get("name") or row.get("index", "")),
        str(row.get("block", "")),
        " × ".join(map(str, shape)) if isinstance(shape, list) else NA,
        count(row.get("parameters")),
        counted(row.get("macs")),
        " × ".join(map(str, sees)) + " px" if isinstance(sees, list) else NA,
    ]


def _row(index: int, row: Mapping[str, Any]) -> list[str]:
    options = {**at(row, "options", {}), **at(row, "each", {})}
    width = number(row.get("width"))
    return [
        str(row.get("name") or index),
        str(row.get("block", "")),
        ", ".join(f"{key} {write(value)}" for key, value in options.items()),
        ", ".join(map(str, at(row, "inputs", []))) or "the row before",
        count(width) if width else "–",
        count(row.get("repeat", 1)),
        count(row.get("stride", 1)),
    ]


def groups(recipe: Any) -> list[tuple[str, Pairs]]:
    """Return the recipe as groups of (name, value), in its own order; loose settings come first."""
    if not isinstance(recipe, Mapping):
        return []
    tables = {str(key): by_kind(value) for key, value in recipe.items() if key != "text"}
    loose = [(key, write(value)) for key, value in tables.items() if not isinstance(value, Mapping)]
    nested = [
        (key, list(flatten(value).items())) for key, value in tables.items() if isinstance(value, Mapping) and value
    ]
    return ([("general", loose)] if loose else []) + nested


def rerun(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the command, the versions and the machine."""
    return {
        "command": str(at(info, "command", "")),
        "created": str(at(info, "created", "")).replace("T", " ")[:16],
        "versions": [(str(name), str(version)) for name, version in at(info, "versions", {}).items()],
        "system": str(at(info, "device.system", "")),
    }


def compare(variants: Sequence[Mapping[str, Any]], baseline: str) -> list[tuple[str, list[tuple[str, bool]]]]:
    """Return the settings in which the variants differ: (setting, [(value, whether it differs from the baseline)])."""
    all_settings = [_settings_of(row) for row in variants]
    names = [row.get("name") for row in variants]
    base = names.index(baseline) if baseline in names else 0
    return [(name, [(value, value != values[base]) for value in values]) for name, values in differing(all_settings)]


def _settings_of(variant: Mapping[str, Any]) -> dict[str, str]:
    recipe = {key: value for key, value in at(variant, "recipe", {}).items() if key != "text"}
    limit = {"training images": write(variant["num_train"])} if variant.get("num_train") is not None else {}
    return {"network": str(variant.get("model", NA)), **limit, **flatten(recipe)}
