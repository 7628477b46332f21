"""Cells of a CSV table: guarded from spreadsheets, tags in one cell, names that are not UTF-8; read row by row."""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .sums import checked

FORMULA = re.compile(r"'*[=+\-@\t\r]")
QUOTED = re.compile(r'[",\r\n]')


def guarded(text: str) -> str:
    """Return a cell that no spreadsheet runs as a formula.

    Example:
        >>> guarded("=cmd"), guarded("cat"), unguarded(guarded("'=x"))
        ("'=cmd", 'cat', "'=x")
    """
    return "'" + text if FORMULA.match(text) else text


def unguarded(cell: str) -> str:
    """Return the text that `guarded` made this cell from."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def cell(text: str) -> str:
    """Return a cell guarded and, where needed, quoted; csv.writer would leave a lone carriage return bare."""
    text = guarded(text)
    return '"' + text.replace('"', '""') + '"' if QUOTED.search(text) else text


def joined(names: Iterable[str]) -> str:
    """Return the cell of these tags, which `tags` reads.

    Example:
        >>> tags(joined(["salt|pepper", "sea"]))
        ['salt|pepper', 'sea']
    """
    return "|".join(re.sub(r"([|\\])", r"\\\1", name) for name in names)


def tags(cell: str) -> list[str]:
    """Return the tags of a cell: joined by `|`, with a backslash before `|` and `\\` inside a tag.

    Example:
        >>> tags("sea|salt\\\\|pepper"), tags("")
        (['sea', 'salt|pepper'], [])
    """
    return [re.sub(r"\\(.)", r"\1", tag, flags=re.DOTALL) for tag in re.findall(r"(?:\\.|[^|\\])+", cell, re.DOTALL)]


@contextmanager
def opened(path: Path) -> Iterator[Iterator[list[str]]]:
    """Open a table whose rows are read one by one, header first; each is a list of cells as they stand in the file.

    Raises:
        DamagedError: the file was damaged.
        OSError: it cannot be read.
        csv.Error: while reading, at a row that is none.
    """
    checked(path.parent, path.name)
    with path.open(encoding="utf-8", errors=_errors_of(path), newline="") as file:
        yield csv.reader(file, strict=True)


def encoding_errors(text: str) -> str:
    """Return how a table with these texts is encoded.

    Bytes of file names go as they are; other lone surrogates (a broken emoji in a class name) by their own code.
    """
    try:
        content = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "surrogatepass"
    try:
        return "surrogateescape" if content.decode("utf-8", "surrogatepass") == text else "surrogatepass"
    except UnicodeDecodeError:
        return "surrogateescape"


def _errors_of(path: Path) -> str:
    """How this file was written, by `encoding_errors`: what lone surrogates do not explain are bytes of names."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogatepass")
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "surrogateescape"
    return "surrogatepass"
