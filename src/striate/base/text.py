"""Text from outside (file, class and run names) made safe to show on a terminal or in a message."""

import unicodedata


def shown(text: object, max_chars: int = 160) -> str:
    """Return `text` with control, format and surrogate characters as visible escapes, shortened in the middle.

    Example:
        >>> shown("a\\x1b[31mb\\n.png")
        'a\\\\x1b[31mb\\\\n.png'
    """
    safe = "".join(_visible(character) for character in str(text))
    if len(safe) <= max_chars:
        return safe
    head = max_chars * 2 // 3
    return safe[:head] + "..." + safe[head + 3 - max_chars :]


def _visible(character: str) -> str:
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return character.encode("unicode_escape").decode("ascii")
    return character


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """Return the count with its noun: `1 image`, `2,000 images`.

    Example:
        >>> plural(1, "image"), plural(2000, "image"), plural(2, "class", "classes")
        ('1 image', '2,000 images', '2 classes')
    """
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def duration(time_s: float) -> str:
    """Return a duration as a person says it: `0.8 s`, `42 s`, `3 min 20 s`, `1 h 05 min`.

    Example:
        >>> duration(0.84), duration(200), duration(3900)
        ('0.8 s', '3 min 20 s', '1 h 05 min')
    """
    if time_s < 10:
        return f"{time_s:.1f} s"
    minutes, seconds = divmod(round(time_s), 60)
    if not minutes:
        return f"{seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"
