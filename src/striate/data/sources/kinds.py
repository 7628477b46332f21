"""What the cells of a column are: 0/1, whole numbers, numbers or text, and which of them do not fit the others."""

import re
from collections.abc import Callable, Sequence

MAX_NUMBER = 1e100  # beyond, squares and their sums would not be finite
NEARLY_ALL = 0.9
MAX_CLASSES, MIN_PER_CLASS = 20, 3  # whole numbers are taken for classes where they are few and come often
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "nat", "<na>", "#n/a", "?"})
_WORDS = {"true": 1, "yes": 1, "false": 0, "no": 0}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_DRESSED = re.compile(  # signs and currencies before, marks between thousands, a percent sign or a unit behind
    r"[-+\u2212$€£¥<>~ ]*\d[\d.,' \u00a0\u202f]*(%|‰|°|[a-zµ]{1,4}[²³]?)?", re.IGNORECASE
)
_WHOLE_FLOAT = re.compile(r"([+-]?\d+)\.0*", re.ASCII)

Test = Callable[[str], bool]


def is_missing(cell: str) -> bool:
    """Return whether a cell says that nothing is known."""
    return cell.casefold() in MISSING


def number(cell: str) -> float | None:
    """Return the number in a cell, or None: a word, a decimal comma, a unit, infinity.

    Example:
        >>> number("-1.5e3"), number("3,14"), number("30 kg"), number("inf")
        (-1500.0, None, None, None)
    """
    if not _NUMBER.fullmatch(cell):
        return None
    value = float(cell)
    return value if abs(value) <= MAX_NUMBER else None


def is_number(cell: str) -> bool:
    """Return whether a cell is a number."""
    return number(cell) is not None


def is_dressed(cell: str) -> bool:
    """Return whether a cell is a number, or one to a person only: with a decimal comma, a unit, a percent sign.

    Example:
        >>> is_dressed("3.5"), is_dressed("3,14"), is_dressed("1,234.5"), is_dressed("30 kg"), is_dressed("cat 3")
        (True, True, True, True, False)
    """
    return is_number(cell) or bool(_DRESSED.fullmatch(cell))


def is_whole(cell: str) -> bool:
    """Return whether a cell is a whole number, written `3` or `3.0`."""
    value = number(cell)
    return value is not None and value.is_integer()


def flag(cell: str) -> int | None:
    """Return 1, 0 or -1 for what means yes, no, and no or not known; None for any other cell.

    Example:
        >>> [flag(cell) for cell in ("1.0", "0", "-1", "True", "no", "2", "")]
        [1, 0, -1, 1, 0, None, None]
    """
    word = _WORDS.get(cell.casefold())
    value = number(cell) if word is None else word
    return int(value) if value in (0, 1, -1) else None


def is_flag(cell: str) -> bool:
    """Return whether a cell means yes, no, or no or not known."""
    return flag(cell) is not None


def misfits(cells: Sequence[str], test: Test) -> list[int] | None:
    """Return the rows that do not pass the test while nearly all others do, missing ones too; None if too many fail.

    Example:
        >>> misfits(["1", "2", "", "4"], is_number), misfits(["a", "b", "3"], is_number)
        ([2], None)
    """
    odd = [row for row, cell in enumerate(cells) if not test(cell)]
    num_known = len(cells) - sum(map(is_missing, cells))
    num_odd = sum(not is_missing(cells[row]) for row in odd)
    is_kind = 2 * num_odd < num_known and num_odd <= max(1, (1 - NEARLY_ALL) * num_known)
    return odd if is_kind else None


def fits(cells: Sequence[str], test: Test) -> bool:
    """Return whether all cells pass the test."""
    return all(map(test, cells))


def are_few(cells: Sequence[str]) -> bool:
    """Return whether whole numbers are so few and come so often that they are classes."""
    num_values = len(set(cells))
    return num_values <= MAX_CLASSES and len(cells) >= MIN_PER_CLASS * num_values


def are_rare(cells: Sequence[str]) -> bool:
    """Return whether most values come once, as measured numbers do and classes do not."""
    return len(set(cells)) > len(cells) / 2


def as_classes(cells: Sequence[str]) -> list[str]:
    """Return class names; where all are whole numbers and some are written `1.0`, all are written `1`.

    Example:
        >>> as_classes(["0.0", "1.0", "2"]), as_classes(["0.0", "1.5"])
        (['0', '1', '2'], ['0.0', '1.5'])
    """
    matches = [_WHOLE_FLOAT.fullmatch(cell) for cell in cells]
    if not any(matches) or not fits(cells, is_whole):
        return list(cells)
    return [match[1] if match else cell for match, cell in zip(matches, cells, strict=True)]
