"""Processes that need the same folder of the cache take turns: the first one builds it, the others find it built."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

WAITING = "another process reads the same {}: waiting until it has them"


@contextmanager
def turn(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the one right to build, open or remove a folder of the cache; the system frees it with the process.

    Where a disk locks nothing, as some network disks, nobody waits.

    Args:
        folder: need not be there yet.
        waiting: called once where another process has the right, before this one waits for it.
    """
    lock = _acquired(folder, waiting)
    try:
        yield
    finally:
        if lock is not None:
            with suppress(OSError):
                _lock_of(folder).unlink()
            os.close(lock)


def is_free(folder: Path) -> bool:
    """Return whether no process builds or opens a folder of the cache just now."""
    try:
        import fcntl

        with _lock_of(folder).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.turn")


def _acquired(folder: Path, waiting: Callable[[], None]) -> int | None:
    """The locked file, or None where nothing can be locked: on Windows, or in a cache that cannot be written."""
    try:
        import fcntl

        path = _lock_of(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError:
        os.close(lock)
        return None
    if _is_there(path, lock):
        return lock
    os.close(lock)  # the holder before removed it: whoever comes next would lock another file
    return _acquired(folder, waiting)


def _is_there(path: Path, lock: int) -> bool:
    with suppress(OSError):
        return os.path.samestat(path.stat(), os.fstat(lock))
    return False
