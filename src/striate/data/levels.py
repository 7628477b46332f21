"""Which levels of an image with sixteen bits become black and white."""

import re

import numpy as np
import numpy.typing as npt

from striate.base.errors import SettingsError

from .sample import ImageU8

Levels = tuple[int, int]
FULL: Levels = (0, 65535)
AUTO = "auto"
FEW = 8  # an image that uses less than one part in so many of its levels is as good as black


def parse_levels(text: str) -> Levels | None:
    """Return the levels that `auto` (None: to be measured), `full` or `LOW-HIGH` stands for.

    Raises:
        SettingsError: it is none of these, or LOW is not below HIGH, or HIGH is above 65535.

    Example:
        >>> parse_levels("full"), parse_levels("0-4095"), parse_levels("auto")
        ((0, 65535), (0, 4095), None)
    """
    if text in ("full", AUTO):
        return FULL if text == "full" else None
    found = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text) if isinstance(text, str) else None  # Python's may be anything
    if found is None or not int(found[1]) < int(found[2]) <= FULL[1]:
        raise SettingsError(f"{text!r} is no range of levels", where="--levels", fix="write auto, full or 0-4095")
    return int(found[1]), int(found[2])


def words(levels: Levels) -> str:
    """Return levels as a person types them.

    Example:
        >>> words((0, 4095))
        '0-4095'
    """
    return f"{levels[0]}-{levels[1]}"


def to_sixteen(samples: npt.NDArray[np.uint16], levels: Levels) -> npt.NDArray[np.uint16]:
    """Return samples of sixteen bits stretched so that `levels` become 0 and 65535, what lies beyond them too.

    Example:
        >>> to_sixteen(np.array([0, 100, 4095, 60000], np.uint16), (100, 4095)).tolist()
        [0, 0, 65535, 65535]
    """
    if levels == FULL:
        return samples
    low, high = levels
    level = np.clip(samples.astype(np.int64), low, high) - low
    return ((level * FULL[1] + (high - low) // 2) // (high - low)).astype(np.uint16)


def to_eight(samples: npt.NDArray[np.uint16], levels: Levels) -> ImageU8:
    """Return samples of sixteen bits as eight: `levels` become 0 and 255, what lies beyond them too.

    Example:
        >>> to_eight(np.array([0, 100, 2148, 4095, 60000], np.uint16), (100, 4095)).tolist()
        [0, 0, 131, 255, 255]
    """
    low, high = levels
    level = np.clip(np.arange(FULL[1] + 1, dtype=np.int64), low, high) - low
    table = ((level * 255 + (high - low) // 2) // (high - low)).astype(np.uint8)
    return table[samples]


def levels_asked(text: str | None) -> Levels | None:
    """Return the levels that become black and white; None for those that the training images use."""
    return parse_levels(text) if text else FULL
