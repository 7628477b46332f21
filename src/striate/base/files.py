"""The one layer that writes: every file appears whole or not at all, and a test can make any step fail."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import ModelError, ResourceError

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
    temporary = {path: path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in contents}
    path = Path()
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _step("write", path)
            with temporary[path].open("wb") as file:
                file.write(content)
        for path in contents:
            _step("fsync", path)
            _fsync_file(temporary[path])
        for path in contents:
            _step("rename", path)
            temporary[path].replace(path)
        for folder in {path.parent for path in contents}:
            _fsync_folder(folder)
    except OSError as problem:
        raise _disk_error(problem, path, len(contents[path])) from problem
    finally:
        for name in temporary.values():
            with suppress(OSError):  # a parent may be a file
                name.unlink(missing_ok=True)


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
    """Append one line and flush it to the disk, so that it survives a kill."""
    try:
        _step("write", path)
        with path.open("ab") as file:
            file.write(text.encode("utf-8", "surrogateescape") + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as problem:
        raise _disk_error(problem, path, len(text)) from problem


def read_json(path: Path, what: str = "file") -> Any:
    """Return the JSON document in `path`.

    Raises:
        ModelError: the file is missing or is not JSON; the message names it.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as problem:
        raise ModelError(f"{what} is missing", where=path, fix="name a finished run or study folder") from problem
    except (OSError, ValueError) as problem:
        raise ModelError(
            f"{what} cannot be read ({problem})", where=path, fix="restore this file from a copy"
        ) from problem


def read_json_lines(path: Path) -> list[Any]:
    """Return the documents of a JSON-lines file; a last line cut short by a kill is left out."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    return [json.loads(line) for line in lines[:-1] if line.strip()]


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path` when the block ends well, and vanishes when it raises.

    Every file in it is fsynced before the rename. An existing `path` is replaced.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _step("fsync", file)
                _fsync_file(file)
        _fsync_folder(temporary)
        _step("rename", path)
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)
        _fsync_folder(path.parent)
    except OSError as problem:
        raise _disk_error(problem, path, 0) from problem
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_room(folder: Path, num_bytes: int, what: str) -> None:
    """Refuse work whose files would not fit on the disk of `folder`, which need not exist yet.

    Raises:
        ResourceError: there are fewer than `num_bytes` free.
    """
    folder = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        what = f"{what} need {num_bytes:,} bytes, {free:,} are free"
        raise ResourceError(what, where=folder, fix="free space or choose another --out folder")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    return ResourceError(f"cannot write{need} ({reason})", where=path, fix="free space or choose another --out folder")
