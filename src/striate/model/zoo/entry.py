"""One line of the zoo's table."""

from collections.abc import Callable
from dataclasses import dataclass

from striate.model.blueprint import Blueprint


@dataclass(frozen=True)
class Entry:
    """A network of the zoo.

    Args:
        make: function of the network's options (keyword arguments with defaults) that returns its blueprint.
        paper: title and where to find it.
        year: of the paper.
        text: what it is, in a few words.
        timm: its name in the library timm, where that is another one.
        is_rescaled: whether torchvision's own copy brings its input to -1..1 itself; ours takes it so.
    """

    make: Callable[..., Blueprint]
    paper: str
    year: int
    text: str
    timm: str = ""
    is_rescaled: bool = False
