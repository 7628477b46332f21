"""Absolute paths name people and machines; a report that is passed on shows only their last part."""

import re
from typing import Any

ABSOLUTE = re.compile(r"""(?<![^\s'"=(,\[])(?:[A-Za-z]:[\\/]|~?/|\\\\)(?=[^/\\\s])(?:[^\s'"/\\]+[/\\])*([^\s'"/\\]*)""")
NAMES = frozenset({"classes", "names", "name", "per_class"})


def without_folders(value: Any, key: str = "") -> Any:
    """Return a document whose absolute paths are cut to their last part; names of classes and runs stay as they are.

    Example:
        >>> without_folders({"command": "striate train /home/ann/birds --out 'C:\\\\x\\\\runs'", "names": ["/a/b"]})
        {'command': "striate train birds --out 'runs'", 'names': ['/a/b']}
    """
    if isinstance(value, str):
        return ABSOLUTE.sub(lambda found: found[1] or ".", value)
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    if isinstance(value, dict):
        return {name: item if name in NAMES else without_folders(item, name) for name, item in value.items()}
    return value
