"""Text from outside (file, class and run names) made safe to show on a terminal or in a message."""

import unicodedata
from collections.abc import Sequence

UTF_32 = (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


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


def verb(count: int, one: str, many: str) -> str:
    """Return the form of a verb that goes with a count.

    Example:
        >>> f"{plural(1, 'image')} {verb(1, 'is', 'are')} lost"
        '1 image is lost'
    """
    return one if count == 1 else many


def listed(names: Sequence[str]) -> str:
    """Return names as a person lists them.

    Example:
        >>> listed(["a"]), listed(["a", "b", "c"]), listed([])
        ('a', 'a, b and c', '')
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def with_capital(text: str) -> str:
    """Return a text with its first letter as a capital and all others as they are.

    Example:
        >>> with_capital("micro F1"), with_capital("")
        ('Micro F1', '')
    """
    return text[:1].upper() + text[1:]


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


class NotUtf8(ValueError):
    """Text in another encoding; the message names it, `line` is that of the first byte that is not UTF-8."""

    def __init__(self, what: str, line: int | None = None) -> None:
        super().__init__(what if line is None else f"{what} (at line {line})")
        self.line = line


def text_of(content: bytes) -> str:
    """Return the text of a file that a person wrote; a UTF-8 byte order mark (of Windows) is no part of it.

    Raises:
        NotUtf8: it is UTF-16 or UTF-32, or no UTF-8.

    Example:
        >>> text_of(b"\\xef\\xbb\\xbfbase = 1")
        'base = 1'
    """
    for marks, name in ((UTF_32, "UTF-32"), (UTF_16, "UTF-16")):  # the mark of the first begins with that of the second
        if content.startswith(marks):
            raise NotUtf8(f"it is {name} text, not UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content[: problem.start].count(b"\n") + 1
        raise NotUtf8(f"byte {content[problem.start]:#04x} is not UTF-8", line) from problem
    if text[1:2] == "\0" or text[:1] == "\0":
        raise NotUtf8("it is UTF-16 text, not UTF-8")
    return text
