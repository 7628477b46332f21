"""How results of ours are known where they lie among somebody's images."""

import re
from pathlib import Path

SOFTWARE = {"Software": "striate"}  # a text in every PNG that a command writes where the user says
HEAD_BYTES = 4096
_DOCUMENTS = ("run.json", "study.json", "search.json")
_KIND = re.compile(rb'"kind"\s*:\s*"(?:run|study|search)"')


def is_own_picture(path: str | Path) -> bool:
    """Return whether a command of ours wrote this PNG."""
    return b"Software\0striate" in _head(path)


def is_own_folder(path: str | Path) -> bool:
    """Return whether a folder holds a run, a study or a search."""
    return any(_KIND.search(_head(Path(path) / name)) for name in _DOCUMENTS)


def _head(path: str | Path) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""
