"""The size of the cache: what is in it, and what has to go when there is more than its limit."""

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from striate.base.errors import SettingsError

from .cache import cache_dir
from .turn import is_free

MAX_BYTES, MAX_DISK_FRAC = 50 * 10**9, 0.25
LEFT_AFTER_S = 24 * 3600.0  # what is half written for so long was left by a process that was killed
KINDS = {"stores": "decoded images", "features": "features", "proposals": "proposals", "scans": "results of checks"}


@dataclass(frozen=True)
class Entry:
    """One thing in the cache: a folder or a file, when it was last used, and what it takes."""

    kind: str
    path: Path
    num_bytes: int
    used_s: float

    def remove(self) -> bool:
        """Remove it unless a process has it in use; return whether it is gone."""
        with suppress(OSError):
            if self.path.is_dir():
                if _is_held(self.path) or not is_free(self.path):
                    return False
                shutil.rmtree(self.path)
            else:
                self.path.unlink()
        return not self.path.exists()


def limit_bytes() -> int:
    """Return what the cache may hold: $STRIATE_CACHE_LIMIT in gigabytes; by default 50, and no more than a quarter of
    its disk.

    Raises:
        SettingsError: the variable is no number above 0.
    """
    text = os.environ.get("STRIATE_CACHE_LIMIT")
    if not text:
        folder = next(path for path in (cache_dir().absolute(), *cache_dir().absolute().parents) if path.is_dir())
        return min(MAX_BYTES, int(MAX_DISK_FRAC * shutil.disk_usage(folder).total))
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        fix = "set it to gigabytes, such as 20"
        raise SettingsError(f"a cache of {text!r} gigabytes", where="STRIATE_CACHE_LIMIT", fix=fix)
    return int(number * 1e9)


def entries() -> list[Entry]:
    """Return what is in the cache and can be made again, the longest unused first."""
    return sorted(_entries(cache_dir()), key=lambda entry: entry.used_s)


def make_room(num_bytes: int) -> None:
    """Remove what has not been used for longest until `num_bytes` more fit below the limit, or all else is in use."""
    found = entries()
    excess = sum(entry.num_bytes for entry in found) + num_bytes - limit_bytes()
    for entry in found:
        if excess <= 0:
            return
        excess -= entry.num_bytes if entry.remove() else 0


def touch(path: Path) -> None:
    """Note that a file of the cache was used just now; in a cache that cannot be written nothing is noted."""
    with suppress(OSError):
        os.utime(path)


def hold(folder: Path) -> BinaryIO:
    """Open the images of a store and keep it from being removed until the file is closed."""
    file = (folder / "images.u8").open("rb")
    with suppress(ImportError, OSError):  # Windows refuses to remove open files by itself; some network disks lock none
        import fcntl

        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return file


def _is_held(folder: Path) -> bool:
    try:
        import fcntl

        with (folder / "images.u8").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except (ImportError, OSError):
        return False
    return False


def _entries(root: Path) -> Iterator[Entry]:
    for kind, words in KINDS.items():
        folder = root / kind
        for path in folder.iterdir() if folder.is_dir() else ():
            used_s = _used_s(path)
            if not path.name.startswith("."):
                yield Entry(words, path, size_of([path]), used_s)
            elif time.time() - used_s > LEFT_AFTER_S:
                yield Entry("half written", path, size_of([path]), used_s)


def _used_s(path: Path) -> float:
    with suppress(OSError):
        return (path / "store.json" if (path / "store.json").is_file() else path).stat().st_mtime
    return 0.0


def size_of(paths: Iterable[Path]) -> int:
    """Return the bytes of files, and of all files in folders."""
    total = 0
    for path in paths:
        for file in path.rglob("*") if path.is_dir() else [path]:
            with suppress(OSError):
                total += file.stat().st_size if file.is_file() else 0
    return total
