"""`data.yaml` of YOLO sets: the classes, and which folders are train, val and test.

Only the small part of YAML that such files use is read: a key and a value a line, lists in brackets or with dashes,
numbers with names below `names`. Nothing else is guessed: a line that is none of these is refused with its number.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from striate.base.errors import DataError
from striate.base.text import NotUtf8, shown, text_of

SPLIT_KEYS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
MAX_BYTES = 1 << 20
FIX = "write names: [first, second, ...] or a line `0: first` for each class below names:"
_KEY = re.compile(r"([A-Za-z_][\w .-]*?)\s*:(?:\s+(.*))?$")
_NUMBERED = re.compile(r"(\d+)\s*:\s+(.+)$")


@dataclass(frozen=True)
class ClassFile:
    """What a list says: the names of the classes by number, and folders or lists of images by split.

    Args:
        count: `nc`, where it is there.
        path: the folder that the splits are relative to, as written.
    """

    file: Path
    names: dict[int, str] = field(default_factory=dict)
    count: int | None = None
    path: str = ""
    splits: dict[str, tuple[str, ...]] = field(default_factory=dict)


def read_list(path: Path) -> ClassFile:
    """Return what a `data.yaml` says, or a `classes.txt` or `obj.names` with a class a line.

    Raises:
        DataError: a line is not understood, `names` and `nc` contradict each other, or a class is there twice.
    """
    text = _text(path)
    if path.suffix.lower() not in {".yaml", ".yml"}:
        names = [line.strip() for line in text.splitlines() if line.strip()]
        return _checked(ClassFile(path, dict(enumerate(names))))
    values: dict[str, list[tuple[int, str]]] = {}
    key = ""
    for number, line in _lines(text):
        match = None if line[0] in " \t-" else _KEY.match(line)
        if match is not None:
            key = match[1].strip().lower()
            values[key] = [(number, match[2])] if match[2] else []
        elif line[0] not in " \t-":
            raise DataError(f"{shown(line, 40)!r} is no `key: value`", where=f"{path}:{number}", fix=FIX)
        else:
            values.setdefault(key, []).append((number, line.strip()))
    splits = {SPLIT_KEYS[one]: _words(values[one], path) for one in values if one in SPLIT_KEYS}
    count = _number(values.get("nc", []), path)
    where = _words(values.get("path", []), path)
    found = ClassFile(path, _names(values.get("names", []), path), count, where[0] if where else "", splits)
    return _checked(found)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise DataError("a list of classes of more than 1 MB", where=path, fix="name the list of classes")
        return text_of(content)
    except OSError as problem:
        raise DataError(f"cannot be read ({problem.strerror})", where=path, fix="restore it") from problem
    except NotUtf8 as problem:
        raise DataError(f"is not UTF-8 text ({problem})", where=path, fix="save it as UTF-8") from problem


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Number and content of each line, without comments, blank lines, and brackets that reach over several lines."""
    start, whole = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        plain = re.sub(r"(?:^|\s)#.*$", "", line).rstrip()
        if whole:
            whole += " " + plain.strip()
        elif plain and plain.strip() not in {"---", "..."}:
            start, whole = number, plain
        if whole and whole.count("[") <= whole.count("]") and whole.count("{") <= whole.count("}"):
            yield start, whole
            whole = ""
    if whole:
        yield start, whole


def _words(rows: Sequence[tuple[int, str]], path: Path) -> tuple[str, ...]:
    """The words of a value: one, several in brackets, or one a line behind a dash."""
    found: list[str] = []
    for number, text in rows:
        if text.startswith("["):
            if not text.endswith("]"):
                raise DataError("a bracket that is not closed", where=f"{path}:{number}", fix="close it with ]")
            found += _items(text[1:-1])
        else:
            found.append(_plain(text.removeprefix("-").strip()))
    return tuple(word for word in found if word and word not in {"~", "null"})


def _items(text: str) -> list[str]:
    """What commas divide, but for those in quotes."""
    return [_plain(one.strip()) for one in re.findall(r"""(?:"[^"]*"|'[^']*'|[^,])+""", text) if one.strip()]


def _plain(text: str) -> str:
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if is_quoted else text


def _names(rows: Sequence[tuple[int, str]], path: Path) -> dict[int, str]:
    found: dict[int, str] = {}
    if rows and rows[0][1].startswith("{"):
        number, text = rows[0]
        rows = [(number, one) for one in _items(text.strip("{} "))]
    if not any(_NUMBERED.match(text) for _, text in rows):
        return dict(enumerate(_words(rows, path)))
    for number, text in rows:
        match = _NUMBERED.match(text)
        if match is None:
            raise DataError(f"{shown(text, 40)!r} is no number with a name", where=f"{path}:{number}", fix=FIX)
        if int(match[1]) in found:
            raise DataError(f"class {match[1]} is there twice", where=f"{path}:{number}", fix="give each its number")
        found[int(match[1])] = _plain(match[2].strip())
    return found


def _number(rows: Sequence[tuple[int, str]], path: Path) -> int | None:
    if not rows:
        return None
    number, text = rows[0]
    if not text.isdecimal():
        raise DataError(f"nc: {shown(text, 20)} is no number", where=f"{path}:{number}", fix="write how many classes")
    return int(text)


def _checked(found: ClassFile) -> ClassFile:
    names = list(found.names.values())
    if same := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"class {shown(same, 40)!r} is named twice", where=found.file, fix="name each class once")
    if found.count is not None and names and found.count != len(names):
        what = f"nc is {found.count}, and there are {len(names)} names"
        raise DataError(what, where=found.file, fix="mend nc or names")
    return found
