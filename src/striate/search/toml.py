"""A blueprint as the TOML file that `--model FILE.toml` reads."""

import json
from collections.abc import Mapping
from typing import Any

from striate.model.blueprint import Blueprint


def to_toml(blueprint: Blueprint) -> str:
    """Return the text that `Blueprint.from_toml` reads back as the same blueprint.

    Example:
        >>> from striate.model.blueprint import Row
        >>> print(to_toml(Blueprint("tiny", (Row("conv", 8, options={"norm": "batch"}),))), end="")
        name = "tiny"
        <BLANKLINE>
        [[rows]]
        block = "conv"
        width = 8
        options = {norm = "batch"}
        name = "conv1"
    """
    table = blueprint.to_json()
    rows = table.pop("rows")
    parts = [table, *rows]
    texts = ["".join(f"{key} = {_value(value)}\n" for key, value in part.items()) for part in parts]
    return "\n[[rows]]\n".join(texts)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_value(item)}" if not key.isidentifier() else
                               f"{key} = {_value(item)}" for key, item in value.items()) + "}"  # fmt: skip
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)  # texts, numbers and truth values are written alike in both
