"""Sizes of images as a person types them: one number for a square, else height x width; of volumes the depth first."""

import re

SizeHW = tuple[int, ...]  # height and width; of volumes depth, height and width
_TEXT = re.compile(r"(\d{1,6})(?:\s*[x×]\s*(\d{1,6}))?(?:\s*[x×]\s*(\d{1,6}))?", re.IGNORECASE)


def parse_size(text: str) -> SizeHW:
    """Return (height, width) in pixels, or (depth, height, width) in voxels.

    Raises:
        ValueError: it is no size.

    Example:
        >>> parse_size("128"), parse_size("180x240"), parse_size("48x64x48")
        ((128, 128), (180, 240), (48, 64, 48))
    """
    parts = _TEXT.fullmatch(text.strip())
    if parts is None:
        raise ValueError("a size is one number of pixels, or height x width such as 180x240")
    sides = [int(part) for part in parts.groups() if part]
    return tuple(sides) if len(sides) > 1 else (sides[0], sides[0])


def typed_size(size_hw: SizeHW) -> int | str:
    """Return a size as settings hold it: the side of a square, or `180x240`."""
    text = size_text(size_hw)
    return int(text) if text.isdigit() else text


def size_setting(value: object) -> int | str | None:
    """Return the setting of a network's input that a number, a text or two numbers stand for; None stays.

    Raises:
        ValueError: it is no size, or a side is not 8 to 2048 pixels; of a series, of height 1, 8 to 8192.

    Example:
        >>> size_setting(32), size_setting("180x240"), size_setting([32, 32]), size_setting("1x150")
        (32, '180x240', 32, '1x150')
        >>> size_setting("48x64x48")
        '48x64x48'
    """
    if value is None:
        return None
    sides = value if isinstance(value, list | tuple) else parse_size(str(value))
    is_series = len(sides) == 2 and sides[0] == 1
    if not (
        len(sides) in (2, 3)
        and all(isinstance(side, int) and 8 <= side <= (8192 if is_series else 2048) for side in sides[is_series:])
    ):
        raise ValueError("of series a size is 1x8 to 1x8192" if is_series else "each side is 8 to 2048 pixels")
    return typed_size(tuple(sides))


def size_text(size_hw: SizeHW) -> str:
    """Return a size as it is typed.

    Example:
        >>> size_text((128, 128)), size_text((180, 240)), size_text((64, 64, 64))
        ('128', '180x240', '64x64x64')
    """
    is_square = len(size_hw) == 2 and size_hw[0] == size_hw[1]
    return str(size_hw[0]) if is_square else "x".join(map(str, size_hw))
