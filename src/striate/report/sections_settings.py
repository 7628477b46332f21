"""What is needed to do it again: architecture, the whole recipe, versions, machine, command."""

from collections.abc import Mapping, Sequence
from typing import Any

from striate.base.numbers import NA, count, counted, number

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


def flatten(settings: Any, prefix: str = "") -> dict[str, str]:
    """Return nested settings as dotted names with their values as text; an operation of a list goes by its kind.

    Example:
        >>> flatten({"train": {"lr": 0.1, "clip": None}, "augment": [{"kind": "flip", "p": 0.5}]})
        {'train.lr': '0.1', 'train.clip': 'auto', 'augment.flip': 'p 0.5'}
    """
    if not isinstance(settings, Mapping) or not settings:
        return {prefix: write(settings)} if prefix else {}
    found: dict[str, str] = {}
    for key, value in settings.items():
        found |= flatten(_by_kind(value), f"{prefix}.{key}" if prefix else str(key))
    return found


def _by_kind(value: Any) -> Any:
    """Turn a list of operations, such as an augmentation, into a mapping from kind to the operation's settings."""
    is_list = isinstance(value, list) and value and all(isinstance(row, Mapping) and "kind" in row for row in value)
    if not is_list or len({row["kind"] for row in value}) < len(value):
        return value
    return {str(row["kind"]): write({key: item for key, item in row.items() if key != "kind"}) for row in value}


def write(value: Any) -> str:
    """Return a setting as short text."""
    if value is None:
        return "auto"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {write(item)}" for key, item in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ("; " if any(isinstance(item, Mapping) for item in value) else ", ").join(map(write, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def groups(recipe: Any) -> list[tuple[str, Pairs]]:
    """Return the recipe as groups of (name, value), in its own order; loose settings come first."""
    if not isinstance(recipe, Mapping):
        return []
    tables = {str(key): _by_kind(value) for key, value in recipe.items() if key != "text"}
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
    named = dict(zip((row.get("name") for row in variants), all_settings, strict=True))
    reference = named.get(baseline)
    rows = []
    for name in _in_tables({name: None for values in all_settings for name in values}):
        values = [values.get(name, "–") for values in all_settings]
        if len(set(values)) > 1:
            base = values[0] if reference is None else reference.get(name, "–")
            rows.append((name, [(value, value != base) for value in values]))
    return rows


def _in_tables(names: Mapping[str, None]) -> list[str]:
    """Return setting names with those of one table together, without a name that another variant has settings below."""
    tables = list(dict.fromkeys(name.split(".")[0] for name in names))
    inner = {name.rpartition(".")[0] for name in names}
    return sorted((name for name in names if name not in inner), key=lambda name: tables.index(name.split(".")[0]))


def _settings_of(variant: Mapping[str, Any]) -> dict[str, str]:
    recipe = {key: value for key, value in at(variant, "recipe", {}).items() if key != "text"}
    limit = {"training images": write(variant["num_train"])} if variant.get("num_train") is not None else {}
    return {"network": str(variant.get("model", NA)), **limit, **flatten(recipe)}
