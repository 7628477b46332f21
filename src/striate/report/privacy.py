"""Absolute paths name people and machines; a report that is passed on shows only their last part."""

import re
from typing import Any

START = r"(?:[A-Za-z]:[\\/]|~?/|\\\\)(?=[^/\\\s])"
WHOLE = re.compile(rf"{START}(?:.*[/\\])?(.*)")
QUOTED = re.compile(rf"""(['"]){START}(?:[^'"]*[/\\])?([^'"/\\]*)\1""")
WORD = re.compile(rf"""(?<![^\s'"=(,\[]){START}(?:[^\s'"/\\]+[/\\]+(?=[^\s'"/\\]))*([^\s'"/\\]+)[/\\]*""")
NAMES = frozenset({"classes", "names", "name", "per_class"})


def without_folders(value: Any, key: str = "") -> Any:
    """Return a document whose absolute paths are cut to their last part; names of classes and runs stay as they are.

    Example:
        >>> without_folders({"command": "striate train '/home/ann b/birds' --out=/tmp/x", "names": ["/a/b"]})
        {'command': "striate train 'birds' --out=x", 'names': ['/a/b']}
    """
    if isinstance(value, str):
        if key == "where" and (whole := WHOLE.fullmatch(value.rstrip("/\\"))):
            return whole[1]
        return WORD.sub(r"\1", QUOTED.sub(r"\1\2\1", value))
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    if isinstance(value, dict):
        return {name: item if name in NAMES else without_folders(item, name) for name, item in value.items()}
    return value
