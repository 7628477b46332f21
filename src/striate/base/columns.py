"""Numbers in few digits, and text in columns."""

import shutil
import textwrap
from collections.abc import Collection, Sequence

MIN_CUT = 16  # characters of a text that is cut


def count(number: int) -> str:
    """Return a large number in few digits.

    Example:
        >>> count(1_814_073_344), count(5_000_000), count(1920)
        ('1.814 G', '5.0 M', '1,920')
    """
    if number >= 10**9:
        return f"{number / 10**9:.3f} G"
    return f"{number / 10**6:.1f} M" if number >= 10**6 else f"{number:,}"


def size(num_bytes: float) -> str:
    """Return bytes in few digits.

    Example:
        >>> size(40), size(200_000), size(3_211_264)
        ('40 B', '195.3 kB', '3.1 MB')
    """
    if num_bytes < 2**10:
        return f"{num_bytes:.0f} B"
    return f"{num_bytes / 2**10:.1f} kB" if num_bytes < 2**20 else f"{num_bytes / 2**20:.1f} MB"


def aligned(lines: Sequence[Sequence[str]], left: set[int]) -> list[str]:
    """Return lines of cells as text in columns; those of `left` begin at the same place, the others end there."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def terminal_width() -> int:
    """Return the width of the terminal, or of `COLUMNS`; in a pipe there is none, and nothing must be left out."""
    return shutil.get_terminal_size((10_000, 24)).columns


def fitted(
    lines: Sequence[Sequence[str]], left: Collection[int], width: int, drop: Sequence[int] = (), cut: int | None = None
) -> list[str]:
    """Return lines of cells in columns, as `aligned`, in at most `width` characters where that is possible.

    Args:
        drop: columns that may be left out, the first one first.
        cut: the column, the last one, whose text may be cut, if more than a few characters of it can stay.

    Example:
        >>> print("\\n".join(fitted([("a", "1", "long text"), ("b", "22", "text")], {0, 2}, 6, drop=(2,))))
        a   1
        b  22
    """
    columns = list(range(len(lines[0])))
    for column in (None, *drop):
        columns = [one for one in columns if one != column]
        if cut in columns and column is None:
            rest = aligned([line[:-1] for line in lines], set(left))
            room = width - max(map(len, rest)) - 2
            lines = [(*line[:-1], _cut(line[-1], room)) for line in lines] if room >= MIN_CUT else lines
        places = {place for place, one in enumerate(columns) if one in left}
        found = aligned([[line[one] for one in columns] for line in lines], places)
        if max(map(len, found)) <= width:
            break
    return found


def paragraph(head: str, text: str) -> str:
    """Return a text behind its head in lines of the terminal's width, each below the first.

    Example:
        >>> print(paragraph("frozen ", "a new head"))
        frozen a new head
    """
    width = max(terminal_width(), len(head) + MIN_CUT)
    return textwrap.fill(text, width, initial_indent=head, subsequent_indent=" " * len(head))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3].rstrip() + "..."
