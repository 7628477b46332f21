"""JSON documents as they are read: an error line for whatever is missing or not what it should be."""

import json
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, NoReturn, get_args, get_origin, get_type_hints, is_typeddict

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


def require_types(document: Mapping[str, Any], shape: type, where: Path, path: str = "") -> None:
    """Refuse a document one of whose values is of another type than its TypedDict says.

    Values that are missing are not asked for, nor what is in lists and in dicts of any keys.

    Raises:
        ModelError: the message names the file and the field.
    """
    for name, hint in _hints(shape).items():
        if name in document and hint is not Any:
            _require(document[name], get_args(hint) if isinstance(hint, UnionType) else (hint,), where, path + name)


@cache
def _hints(shape: type) -> dict[str, Any]:
    """The types of a TypedDict: kept, since working them out took half the time of a list of 500 runs."""
    return get_type_hints(shape)


def _require(value: Any, hints: tuple[Any, ...], where: Path, path: str) -> None:
    for hint in hints:
        kind = dict if is_typeddict(hint) else get_origin(hint) or hint
        if type(value) is kind or (kind is dict and isinstance(value, dict)) or (kind is float and type(value) is int):
            if isinstance(value, dict) and is_typeddict(hint):
                require_types(value, hint, where, f"{path}.")
            return
    first = hints[0]
    wanted = _NAMES[dict if is_typeddict(first) else get_origin(first) or first]
    raise ModelError(f"holds {_named(value)}, not {wanted}", where=f"{where}: {path}", fix=RESTORE)


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
