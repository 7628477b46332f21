"""The list of classes beside masks: which number or colour means which class, and which of them are ignored."""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from striate.base.errors import DataError
from striate.base.text import shown

from .names import natural_key

FILES = re.compile(
    r"_?class(?:es|_dict|_names|names)?\.(?:txt|csv)|label(?:map|_colors|_colours|s|_names)?\.(?:txt|csv)|codes\.txt",
    re.IGNORECASE,
)
IGNORED = re.compile(r"void|ignored?|ignore[_ ]label|un-?label+ed|unknown|not[_ ]classified", re.IGNORECASE)
NAME_COLUMNS, VALUE_COLUMNS = ("class", "name", "label", "classes"), ("pixel value", "value", "id", "index", "pixel")
COLOUR_COLUMNS = (("r", "g", "b"), ("red", "green", "blue"))
_NAME = r"(?P<name>[^\d\s:,;][^:,;\t]*?|\S*[^\d\s:,;\t]\S*)"
_COLOUR = r"(?P<r>\d{1,3})[\s,]+(?P<g>\d{1,3})[\s,]+(?P<b>\d{1,3})"
COLOUR_LINES = tuple(re.compile(text) for text in (rf"{_COLOUR}[\s,:]+{_NAME}", rf"{_NAME}[\s,:]+{_COLOUR}(?::.*)?"))
VALUE_LINE = re.compile(r"(?P<value>\d{1,5})\s*[:,;\t ]\s*(?P<name>\S.*)")


@dataclass(frozen=True)
class ClassList:
    """The classes of masks, in the order of the file: `values` are numbers, or colours as 0xRRGGBB."""

    file: str
    names: tuple[str, ...]
    values: tuple[int, ...]
    is_colour: bool

    @property
    def ignored(self) -> frozenset[str]:
        """The names that say that nobody knows."""
        return frozenset(name for name in self.names if IGNORED.fullmatch(name))


def find_class_list(root: Path, others: list[str]) -> ClassList | None:
    """Return the list of classes directly in a folder, or one level below it.

    Raises:
        DataError: the list names a class or a value twice, or has a line that says nothing.
    """
    fitting = [name for name in others if name.count("/") <= 1 and FILES.fullmatch(name.rpartition("/")[2])]
    for name in sorted(fitting, key=lambda name: (name.count("/"), natural_key(name))):
        if found := read_class_list(root / name, name):
            return found
    return None


def read_class_list(path: Path, name: str) -> ClassList | None:
    """Return the classes of a file: a table with a header, or a line a class; None of an empty one.

    Lines are `name`, `3 name`, `3: name`, `r g b name` or `name:r,g,b:...`; numbers count from 0 where none are given.

    Raises:
        DataError: it cannot be read, names a class or a value twice, or has a line that says nothing.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(
            f"the list of classes cannot be read ({problem})", where=path, fix="save it as UTF-8"
        ) from problem
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        return None
    rows = list(_table_rows(lines, path) or _line_rows(lines, path))
    _refuse_twice(path, rows)
    is_colour = isinstance(rows[0][2], tuple)
    values = tuple((v[0] << 16) | (v[1] << 8) | v[2] if isinstance(v, tuple) else v for _, _, v in rows)
    return ClassList(name, tuple(row[1] for row in rows), values, is_colour)


Row = tuple[int, str, int | tuple[int, int, int]]  # the line, the name, and a number or a colour


def _table_rows(lines: list[tuple[int, str]], path: Path) -> list[Row] | None:
    """The rows of a table whose header says where name, and value or colour, stand; None without such a header."""
    head = [cell.strip().casefold() for cell in next(csv.reader([lines[0][1]]))]
    name = next((head.index(one) for one in NAME_COLUMNS if one in head), None)
    colour = next((tuple(map(head.index, three)) for three in COLOUR_COLUMNS if set(three) <= set(head)), None)
    value = next((head.index(one) for one in VALUE_COLUMNS if one in head), None)
    if name is None or (colour is None and value is None):
        return None
    rows: list[Row] = []
    for number, line in lines[1:]:
        cells = [cell.strip() for cell in next(csv.reader([line]))]
        wanted = colour if colour is not None else (value,)
        if len(cells) < len(head) or not all(cells[at or 0].isdecimal() for at in wanted) or not cells[name]:
            raise _unclear(path, number, line)
        numbers = [int(cells[at or 0]) for at in wanted]
        rows.append((number, cells[name], _value(numbers, path, number, line)))
    return rows


def _line_rows(lines: list[tuple[int, str]], path: Path) -> Iterator[Row]:
    reads: tuple[Callable[[str], re.Match[str] | None], ...] = (
        *(one.fullmatch for one in COLOUR_LINES),
        VALUE_LINE.fullmatch,
    )
    way = next((read for read in reads if all(read(line) for _, line in lines)), None)
    for order, (number, line) in enumerate(lines):
        match = way(line) if way else None
        if match is None:
            yield number, line, order
            continue
        parts = match.groupdict()
        numbers = [int(parts[key]) for key in ("r", "g", "b") if key in parts] or [int(parts["value"])]
        yield number, parts["name"].strip(), _value(numbers, path, number, line)


def _value(numbers: list[int], path: Path, number: int, line: str) -> int | tuple[int, int, int]:
    if len(numbers) == 1:
        return numbers[0]
    if max(numbers) > 255:
        raise _unclear(path, number, line)
    return numbers[0], numbers[1], numbers[2]


def _unclear(path: Path, number: int, line: str) -> DataError:
    what = f"{shown(line, 60)!r} is no class with its number or colour"
    return DataError(what, where=f"{path}:{number}", fix="mend the line")


def _refuse_twice(path: Path, rows: list[Row]) -> None:
    for at, noun in ((1, "class"), (2, "value")):
        seen: dict[object, int] = {}
        for row in rows:
            if seen.setdefault(row[at], row[0]) != row[0]:
                what = f"{noun} {shown(row[at], 40)!r} is also in line {seen[row[at]]}"
                raise DataError(what, where=f"{path}:{row[0]}", fix="give each class one name and one value")
