"""Where what can be made again is kept: decoded stores, the results of checks, features, copies of public datasets."""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from striate.base.errors import ResourceError
from striate.base.progress import say

TEMPORARY = "STRIATE_TEMPORARY_CACHE"  # so that the processes of a study share one with the process that starts them


def cache_dir() -> Path:
    """Return $STRIATE_CACHE, or ~/.cache/striate; a temporary folder for a user who has no home.

    Raises:
        ResourceError: there is no such folder either.
    """
    named = os.environ.get("STRIATE_CACHE")
    try:
        return Path(named) if named else Path.home() / ".cache" / "striate"
    except RuntimeError:  # no HOME, and a user who is a number
        return _temporary("there is no home folder")


def cached(*parts: str) -> Path:
    """Return where a thing is kept: in the cache, or where that cannot be written and lacks it, in a temporary one.

    Raises:
        ResourceError: neither can be written.
    """
    found = cache_dir().joinpath(*parts)
    if found.exists():
        return found
    reason = _reason_against(cache_dir())
    return _temporary(reason).joinpath(*parts) if reason else found


@cache
def _reason_against(folder: Path) -> str:
    """Why nothing can be written below `folder`; "" where something can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as problem:
        return f"the cache {folder} cannot be written ({problem.strerror or problem})"


def _temporary(reason: str) -> Path:
    known = os.environ.get(TEMPORARY)
    if known and Path(known).is_dir():
        return Path(known)
    fix = "set STRIATE_CACHE to a folder that can be written"
    try:
        made = tempfile.mkdtemp(prefix="striate-cache-")
    except OSError as problem:
        raise ResourceError(f"{reason}, and there is no temporary folder", where="STRIATE_CACHE", fix=fix) from problem
    os.environ[TEMPORARY] = made
    atexit.register(_remove, made, os.getpid())
    say(f"warning: {reason}: images are decoded into {made} until this command ends; {fix} to keep them")
    return Path(made)


def _remove(folder: str, pid: int) -> None:
    if os.getpid() == pid:  # a forked process leaves it to the one that made it
        os.environ.pop(TEMPORARY, None)
        shutil.rmtree(folder, ignore_errors=True)
