"""Numbers in few digits, and text in columns."""

from collections.abc import Sequence


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
