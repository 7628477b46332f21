"""The one layer that writes: every file appears whole or not at all, and a test can make any step fail."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import ResourceError

Fault = Callable[[str, Path], None]
_fault: Fault | None = None  # set by tests only: called before each "write", "fsync" and "rename"


@contextmanager
def faults(plan: Fault) -> Iterator[None]:
    """Run `plan(step, path)` before every write, fsync and rename in this block (tests inject errors with it)."""
    global _fault
    before, _fault = _fault, plan
    try:
        yield
    finally:
        _fault = before


def _step(name: str, path: Path) -> None:
    if _fault is not None:
        _fault(name, path)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically: temporary name, fsync, rename, fsync of the folder.

    Raises:
        ResourceError: the disk is full or the folder cannot be written; the old file is intact, no temporary is left.
    """
    write_files({path: content})


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write many files, each atomically; flushed to the disk together, which takes half as long as one by one.

    Raises:
        ResourceError: as for `write_bytes`; files before the one it names may be the new ones.
    """
    beside = {path: temporary(path) for path in contents}
    path = Path()
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _step("write", path)
            new_file(beside[path], content)
        for path in contents:
            _step("fsync", path)
            _fsync_file(beside[path])
        for path in contents:
            _step("rename", path)
            beside[path].replace(path)
        for folder in {path.parent for path in contents}:
            _fsync_folder(folder)
    except OSError as problem:
        raise _disk_error(problem, path, len(contents[path])) from problem
    finally:
        for name in beside.values():
            with suppress(OSError):  # a parent may be a file
                name.unlink(missing_ok=True)


def temporary(path: Path) -> Path:
    """Return the name under which this process writes `path` before it is whole."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


_TEMPORARY = re.compile(r"\..+\.(\d{1,9})\.tmp")


def is_temporary(name: str) -> bool:
    """Whether a file of this name is one that was not whole yet."""
    return _TEMPORARY.fullmatch(name) is not None


def sweep(folder: Path) -> None:
    """Remove what processes that are no more left half written in a folder."""
    for path in folder.iterdir() if folder.is_dir() else ():
        found = _TEMPORARY.fullmatch(path.name)
        if found is None or _is_alive(int(found[1])):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    if pid == os.getpid():
        return False  # of another one that had its number
    try:
        os.kill(pid, 0) if os.name == "posix" else None  # on Windows this would end the process
    except ProcessLookupError:
        return False
    except OSError:  # not ours to ask
        return True
    return True


def new_file(path: Path, content: bytes) -> None:
    """Write a file that is not there yet; what is there is removed, and a link is not followed to what it names."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, _WRITE | os.O_EXCL, 0o666), "wb") as file:
        file.write(content)


_WRITE = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically; text that came from undecodable file names keeps its bytes."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, atomically. NaN and infinity become null."""
    write_text(path, to_json(value, indent=1) + "\n")


def to_json(value: Any, indent: int | None = None) -> str:
    """Return strict JSON (ASCII): NaN and infinity become null, numpy scalars and arrays become numbers and lists."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not (value == value and abs(value) != float("inf")):
        return None
    return str(value) if isinstance(value, Path) else value


def append_line(path: Path, text: str) -> None:
    """Append a line of JSON, flushed to the disk, so that it survives a kill; a line that one cut short is removed."""
    try:
        _step("write", path)
        with os.fdopen(os.open(path, _WRITE & ~os.O_WRONLY | os.O_RDWR, 0o666), "rb+") as file:
            rest = file.read().rpartition(b"\n")[2]
            is_whole = bool(rest) and is_json(rest)
            if rest and not is_whole:
                file.truncate(file.tell() - len(rest))
            file.seek(0, os.SEEK_END)
            file.write(b"\n" * is_whole + text.encode("utf-8", "surrogateescape") + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as problem:
        raise _disk_error(problem, path, len(text)) from problem


def is_json(content: bytes) -> bool:
    """Whether it is one whole JSON document."""
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path` when the block ends well, and vanishes when it raises.

    Every file in it is fsynced before the rename. An existing `path` is replaced.
    """
    beside = temporary(path)
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        yield beside
        for file in beside.rglob("*"):
            if file.is_file():
                _step("fsync", file)
                _fsync_file(file)
        _fsync_folder(beside)
        _step("rename", path)
        if path.exists():
            shutil.rmtree(path)
        beside.rename(path)
        _fsync_folder(path.parent)
    except OSError as problem:
        raise _disk_error(problem, path, 0) from problem
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def require_room(folder: Path, num_bytes: int, what: str) -> None:
    """Refuse work whose files would not fit on the disk of `folder`, which need not exist yet.

    Raises:
        ResourceError: there are fewer than `num_bytes` free.
    """
    folder = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        what = f"{what} need {num_bytes:,} bytes, {free:,} are free"
        raise ResourceError(what, where=folder, fix="free space or choose another folder")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _fsync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _fsync_folder(path: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _disk_error(problem: OSError, path: Path, num_bytes: int) -> ResourceError:
    need = f", {num_bytes:,} bytes needed" if num_bytes else ""
    reason = problem.strerror or str(problem)
    return ResourceError(f"cannot write{need} ({reason})", where=path, fix="free space or choose another folder")
