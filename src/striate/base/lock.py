"""One process at a time in a folder: a lock file that names its holder, and that the system frees with the process."""

import errno
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ResourceError
from .files import sweep

NAME = ".lock"
_HOLDER = re.compile(rb"(pid \d+ on [^\n]*)?")  # all that a lock file of ours can hold
_MAX_HOLDER_BYTES = 300


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the folder's one lock; what a killed process left half written in the folder is removed.

    Raises:
        ResourceError: another process holds it, the folder cannot be written, or its .lock is no lock file.
    """
    descriptor = _open(path)
    try:
        holder = os.read(descriptor, _MAX_HOLDER_BYTES) if _is_file(descriptor) else None
        if holder is None or not _HOLDER.fullmatch(holder):
            raise ResourceError("not a lock file of Striate", where=path / NAME, fix="move this file away")
        if not _try_lock(descriptor):
            who = holder.decode("utf-8", "replace") or "an unknown process"
            raise ResourceError(f"folder is in use by {who}", where=path, fix="wait for it to end, or stop it")
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"pid {os.getpid()} on {socket.gethostname()}".encode())
        for folder in (path, *(inner for inner in path.iterdir() if inner.is_dir() and not inner.is_symlink())):
            sweep(folder)
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    """Open the lock file, never another one through a link, and without waiting at a pipe."""
    careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        return os.open(path / NAME, os.O_RDWR | os.O_CREAT | careful, 0o644)
    except OSError as problem:
        if problem.errno in {errno.ELOOP, errno.EMLINK}:
            what = "the lock file is a symbolic link, which is not followed"
            raise ResourceError(what, where=path / NAME, fix="remove this link") from problem
        what = f"folder cannot be written ({problem.strerror})"
        raise ResourceError(what, where=path, fix="check its permissions") from problem


def _is_file(descriptor: int) -> bool:
    """Whether it is a file, and under one name only: another name would be another's file."""
    found = os.fstat(descriptor)
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def _try_lock(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_free(path: Path) -> bool:
    """Return whether no process holds the lock of a folder, which need not be there."""
    try:
        descriptor = os.open(path / NAME, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return True
    try:
        return _try_lock(descriptor)
    finally:
        os.close(descriptor)
