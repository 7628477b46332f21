"""A map that an encoder hands to a decoder."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """A map that a decoder can take.

    Args:
        name: of the row that gives it.
        stride: pixels of the image from one of its places to the next, as the nearest power of 2.
        channels: of the map.
        is_whole: whether it has the image's size exactly.
    """

    name: str
    stride: int
    channels: int
    is_whole: bool = False
