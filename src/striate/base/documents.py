"""JSON documents as they are read: an error line for whatever is missing or not what it should be."""

import json
import stat
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from .errors import ModelError
from .files import is_json

RESTORE = "restore this file from a copy"
MAX_BYTES = 1 << 30


class Document(dict[str, Any]):
    """A JSON object; a key that is missing is an error that names the file."""

    where: Path | str = ""

    def __missing__(self, key: str) -> NoReturn:
        raise ModelError(f"{key!r} is missing", where=self.where, fix=RESTORE)


def read_json(path: Path, what: str = "file", kind: type = object) -> Any:
    """Return the JSON document in `path`; its objects are a `Document` each.

    Args:
        kind: dict or list, where it must be one of them.

    Raises:
        ModelError: the file is missing, is not JSON or is another kind of document; the message names it.
    """
    try:
        found = _parsed(_content(path), path)
    except FileNotFoundError as problem:
        raise ModelError(f"{what} is missing", where=path, fix="name a finished run or study folder") from problem
    except (OSError, ValueError, RecursionError) as problem:
        raise ModelError(f"{what} cannot be read ({problem})", where=path, fix=RESTORE) from problem
    if not isinstance(found, kind):
        raise ModelError(f"{what} holds {_named(found)}, not {_NAMES[kind]}", where=path, fix=RESTORE)
    return found


def read_json_lines(path: Path, what: str = "list") -> list[Any]:
    """Return the objects of a JSON-lines file; a last line cut short by a kill is left out.

    Raises:
        ModelError: a line is no JSON object; the message has its number.
    """
    try:
        *lines, rest = _content(path).split(b"\n")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as problem:
        raise ModelError(f"{what} cannot be read ({problem})", where=path, fix=RESTORE) from problem
    lines += [rest] if is_json(rest) else []
    return [_object(line, f"{path}:{number}", what) for number, line in enumerate(lines, 1) if line.strip()]


_MISSING = object()


@contextmanager
def understood(where: Path) -> Iterator[None]:
    """Turn what goes wrong where the values of a document are taken into an error that names the file.

    Raises:
        ModelError: a value is not what it should be.
    """
    try:
        yield
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as problem:
        what = f"a value in it cannot be ({type(problem).__name__}: {problem})"
        raise ModelError(what, where=where, fix=RESTORE) from problem


def require_kinds(
    document: Mapping[str, Any],
    kinds: Mapping[str, type | tuple[type, ...]],
    where: Path,
    nullable: Container[str] = (),
) -> None:
    """Refuse a document one of whose values, at dotted paths, is of another kind; those that are missing are not asked.

    Args:
        nullable: fields that may be null.

    Raises:
        ModelError: the message names the file and the field.
    """
    for field, kind in kinds.items():
        value: Any = document
        for key in field.split("."):
            value = value.get(key, _MISSING) if isinstance(value, Mapping) else _MISSING
        if value is _MISSING or (value is None and field in nullable):
            continue
        if not isinstance(value, kind) or isinstance(value, bool):
            wanted = _NAMES[kind[0] if isinstance(kind, tuple) else kind]
            raise ModelError(f"holds {_named(value)}, not {wanted}", where=f"{where}: {field}", fix=RESTORE)


_NAMES = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def _named(value: Any) -> str:
    kind = next((name for kind, name in _NAMES.items() if type(value) is kind), None)
    return "an object" if isinstance(value, dict) else kind or "null"


def _content(path: Path) -> bytes:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no file")
    if found.st_size > MAX_BYTES:
        raise ValueError(f"{found.st_size:,} bytes")
    return path.read_bytes()


def _object(line: bytes, where: str, what: str) -> Any:
    try:
        found = _parsed(line, where)
    except (ValueError, RecursionError) as problem:
        raise ModelError(f"{what}: not JSON ({problem})", where=where, fix=RESTORE) from problem
    if not isinstance(found, dict):
        raise ModelError(f"{what}: holds {_named(found)}, not an object", where=where, fix=RESTORE)
    return found


def _parsed(content: bytes, where: Path | str) -> Any:
    def made(pairs: dict[str, Any]) -> Document:
        document = Document(pairs)
        document.where = where
        return document

    return json.loads(content, object_hook=made)
